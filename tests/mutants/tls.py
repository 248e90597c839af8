"""The seeded faults of TLS, of leg pairs and of the choice of a server: each is a decision about security, left out."""

from __future__ import annotations

from tests.mutants.table import Mutant

TLS, LAYER, SETTINGS = "alg/relay/tls.py", "alg/relay/tls_layer.py", "alg/relay/tls_settings.py"
CARRIER, FLOW, RESOLUTION = "alg/relay/carrier.py", "alg/relay/flow.py", "alg/relay/resolution.py"
DIALER, LEASE, CORE_SESSION = "alg/relay/dialer.py", "alg/relay/lease.py", "alg/core/session.py"
REQUESTS, CONTROL, PLUGIN = "alg/core/requests.py", "plugins/alg_ftp/control.py", "plugins/alg_ftp/plugin.py"
PROTECTION = "plugins/alg_ftp/protection.py"

VERIFY, REFUSALS = "tests/relay/test_tls_verify.py", "tests/relay/test_tls_refusals.py"
DEFAULTS, ENDS, COVERED = "tests/relay/test_tls_defaults.py", "tests/relay/test_tls_end.py", "tests/relay/test_tls.py"
CLEAR, FTPS, PAIRS = "tests/relay/test_tls_clear.py", "tests/relay/test_ftps.py", "tests/relay/test_pairs.py"
CHOOSING, PROXY = "tests/relay/test_choosing.py", "tests/relay/test_proxy_header.py"

TLS_MUTANTS = (
    Mutant("data connections get tickets", "F05", TLS, "number if self._tickets else 0", "number", (FTPS,)),
    Mutant("nothing is verified", "T108", SETTINGS, "if not tls.verify or (", "if True or (", (VERIFY,)),
    Mutant(
        "any name will do",
        "T108",
        SETTINGS,
        "    elif tls.ca is not None:\n",
        "    elif tls.ca is not None:\n        context.check_hostname = False\n",
        (VERIFY,),
    ),
    Mutant("pins are not compared", "T108", TLS, "if self._is_pinned and not (", "if False and not (", (VERIFY,)),
    Mutant(
        "TLS 1.0 will do",
        "T108",
        SETTINGS,
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        'context.set_ciphers("ALL:@SECLEVEL=0"); context.minimum_version = ssl.TLSVersion.TLSv1',
        (DEFAULTS,),
    ),
    Mutant("clients may renegotiate", "T108", SETTINGS, "ssl.OP_NO_RENEGOTIATION", "0x100", (DEFAULTS,)),
    Mutant(
        "a foreign name is served",
        "T23",
        SETTINGS,
        "if name is not None and not certificates.matches(",
        "if False and not certificates.matches(",
        (REFUSALS,),
    ),
    Mutant(
        "another protocol is served",
        "T23",
        SETTINGS,
        "if self._alpn and hello.alpn and not set(",
        "if False and not set(",
        (REFUSALS,),
    ),
    Mutant(
        "anybody with TLS is let in",
        "T67",
        TLS,
        "if self._must_resume and not self._ssl.session_reused:",
        "if False:",
        (FTPS,),
    ),
    Mutant(
        "all sessions share their tickets",
        "T67",
        SETTINGS,
        "return self._certificates.own_context(local) if self._route.client_tls.resumption else None",
        "return self._certificates._operators if self._route.client_tls.resumption else None",
        (FTPS,),
    ),
    Mutant(
        "sessions of the control connection are not resumed",
        "T67",
        SETTINGS,
        "session=session, is_pinned",
        "session=None, is_pinned",
        (FTPS,),
    ),
    Mutant("relay: no barrier before TLS", "T20", REQUESTS, "if direction.stream.buffered:", "if False:", (CLEAR,)),
    Mutant(
        "a barrier after 234 only", "T20", CONTROL, "        if self.client.buffered:\n", "        if False:\n", (FTPS,)
    ),
    Mutant(
        "replies in the clear behind 234",
        "T21",
        PLUGIN,
        "reply.code in protection.ACCEPTED and stream.buffered:",
        "False:",
        ("tests/plugins/test_ftp_tls.py",),
    ),
    Mutant(
        "required TLS may be refused",
        "T22",
        PROTECTION,
        'raise TlsError(f"the server answers AUTH TLS with {reply.code}, and TLS is required", reason="tls_refused")',
        "return",
        (FTPS,),
    ),
    Mutant(
        "USER before required TLS",
        "T22",
        PROTECTION,
        "return command.verb in _SECRETS or not (self._has_tls or command.verb in _BEFORE_TLS)",
        "return False",
        (FTPS,),
    ),
    Mutant(
        "truncation is an orderly end",
        "F05",
        CARRIER,
        "return bool(self._pumps) and leg.truncated and not said_nothing",
        "return False",
        (ENDS,),
    ),
    Mutant(
        "truncation is FIN in the clear", "F05", CARRIER, "if truncated and not other.covered:", "if False:", (ENDS,)
    ),
    Mutant(
        "who hangs up after all was said is a truncation",
        "F05",
        CARRIER,
        "said_nothing = side.other in self._ended and not leg.received",
        "said_nothing = False",
        (ENDS,),
    ),
    Mutant(
        "a flow without its TLS is an empty one",
        "F05",
        FLOW,
        "        self.legs[side.other].reset()\n        self._break()",
        "        self._break()",
        (ENDS,),
    ),
    Mutant(
        "said in the clear after a failed handshake",
        "T22",
        LAYER,
        'if self._said_end or not data or not self._engine.complete:\n            return b""',
        "if self._said_end or not data or not self._engine.complete:\n            return bytes(data)",
        (ENDS, VERIFY),
    ),
    Mutant("read while a leg shakes hands", "T21", FLOW, " and not shaking and machine", " and machine", (COVERED,)),
    Mutant(
        "any upstream may be chosen",
        "T03",
        RESOLUTION,
        "        allowed = [each for each in found if self._claims(each) or self._allows(each.address, by_name=by_name)]",
        "        allowed = list(found)",
        (CHOOSING,),
    ),
    Mutant(
        "a wildcard leads to private addresses",
        "T03",
        RESOLUTION,
        "(is_public(address) or any(",
        "(True or any(",
        (CHOOSING,),
    ),
    Mutant(
        "this host may be chosen",
        "T15",
        RESOLUTION,
        "        if is_this_host(address):\n",
        "        if False:\n",
        (CHOOSING,),
    ),
    Mutant("our own listener may be chosen", "T15", DIALER, "self._gate.judge_dial(target)", "pass", (CHOOSING,)),
    Mutant(
        "a resolver may take for ever",
        "F07",
        RESOLUTION,
        "connect_timeouts.begin(self._time_out)",
        "connect_timeouts.begin(lambda: None)",
        (CHOOSING,),
    ),
    Mutant(
        "a stranger on the second listener",
        "T17",
        CORE_SESSION,
        "if canonical(peer) not in self.sources[side]:",
        "if canonical(peer) not in [each for all in self.sources.values() for each in all]:",
        (PAIRS,),
    ),
    Mutant(
        "who waits in vain waits on", "T18", LEASE, "            waiting.give_up()\n", "            pass\n", (PAIRS,)
    ),
    Mutant("opaque, and yet read", "T69", PLUGIN, "            self.flow.splice()\n", "            pass\n", (FTPS,)),
    Mutant(
        "PROT C where P is required",
        "T68",
        PROTECTION,
        '(level, config.client_data_tls) in ((b"C", DataTls.REQUIRE), (b"P", DataTls.NEVER))',
        "False",
        (FTPS,),
    ),
)
