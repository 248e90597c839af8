"""The seeded faults of the mitmproxy host. Rows are those of the threat and fault tables, or `mitm` for what only it owes."""

from __future__ import annotations

from tests.mutants.table import Mutant

ADDON, COMPAT, SESSIONS = "alg/mitm/addon.py", "alg/mitm/compat.py", "alg/mitm/sessions.py"
LAYER, LEASE, LEGS = "alg/mitm/layer.py", "alg/mitm/lease.py", "alg/mitm/legs.py"
MESSAGES, SESSION, TUNNELS = "alg/mitm/messages.py", "alg/mitm/session.py", "alg/mitm/tunnels.py"
SETTINGS = "alg/mitm/settings.py"

FTP, MODES, ADDONS = "tests/mitm/test_ftp.py", "tests/mitm/test_modes.py", "tests/mitm/test_addons.py"
PLUGINS, TLS, OPTIONS = "tests/mitm/test_plugins.py", "tests/mitm/test_tls.py", "tests/mitm/test_options.py"

MITM_MUTANTS = (
    # Fail closed.
    Mutant(
        "mitm: a hook that failed is passed over", "F27", MESSAGES, "if compat.hook_failed():", "if False:", (ADDONS,)
    ),
    Mutant(
        "mitm: a killed flow lives on",
        "F27",
        MESSAGES,
        "self.flow.error.msg == Error.KILLED_MESSAGE",
        "False",
        (ADDONS,),
    ),
    Mutant(
        "mitm: what cannot be treated passes",
        "F27",
        ADDON,
        "nextlayer.layer = RefusedLayer(nextlayer.context)",
        "pass",
        (PLUGINS,),
    ),
    Mutant(
        "mitm: a refused lease stays open",
        "T18",
        LAYER,
        "if request.refused:\n            self.session.close_binding(command.number)",
        "if request.refused:",
        (ADDONS,),
    ),
    Mutant("mitm: bytes ahead have no bound", "T28", LAYER, "> AHEAD_LIMIT:", "> (1 << 40):", (PLUGINS,)),
    Mutant(
        "mitm: needs are not asked for",
        "F27",
        SETTINGS,
        "if (needed := made.needs()) and",
        "if (needed := made.needs()) and False and",
        (OPTIONS,),
    ),
    # Leases.
    Mutant(
        "mitm: a stranger comes through",
        "T16",
        LEASE,
        'self.session.write(error.reason, f"at {self.endpoints.get(side)}: {error}")\n            return False',
        'self.session.write(error.reason, f"at {self.endpoints.get(side)}: {error}")\n            return True',
        (FTP,),
    ),
    Mutant(
        "mitm: leases outlive their session",
        "T18",
        SESSION,
        "for number in list(self._leases):\n                self.close_binding(number)",
        "pass",
        (FTP,),
    ),
    Mutant(
        "mitm: mitmproxy's listener is a target",
        "T03",
        "alg/mitm/services.py",
        "listening = [endpoint_of(address) for address in compat.proxyserver().listen_addrs()]",
        "listening: list[Endpoint] = []",
        (FTP,),
    ),
    Mutant(
        "mitm: a watched connection is anybody's",
        "T16",
        LEASE,
        "and canonical(peer) in self.lease.sources.get(Side.CLIENT, ())",
        "",
        (MODES,),
    ),
    Mutant("mitm: ports are not given back", "T19", LEASE, "port.give_back()", "pass", (FTP,)),
    # Ends.
    Mutant(
        "mitm: a reset is an end",
        "F05",
        COMPAT,
        "return isinstance(reader, asyncio.StreamReader) and not reader.at_eof()",
        "return False",
        (FTP,),
    ),
    Mutant(
        "mitm: data outlives a session that was ended",
        "F05",
        SESSION,
        "compat.inject(Cut(related.flow, error))",
        "pass",
        (ADDONS,),
    ),
    Mutant(
        "mitm: a cut in TLS is an end",
        "T22",
        TUNNELS,
        "self.news.append(Ended(truncated=True))",
        "self.news.append(Ended(truncated=False))",
        (TLS,),
    ),
    Mutant("mitm: no goodbye", "T22", TUNNELS, "self.tls.shutdown()", "pass", (TLS,)),
    # TLS.
    Mutant(
        "mitm: the clear is read while a handshake waits",
        "T21",
        LEGS,
        'raise ProtocolError("the server says more before the TLS handshake", reason="bytes_before_tls")',
        "yield from self._on_data(side, event.data if isinstance(event, events.DataReceived) else b'')\n                return",
        (TLS,),
    ),
    Mutant("mitm: sessions are not resumed", "T69", TUNNELS, "self.tls.set_session(self._resume)", "pass", (TLS,)),
    Mutant(
        "mitm: the name is not waited for",
        "mitm",
        LAYER,
        "return literal(server.address) is not None",
        "return False",
        (TLS,),
    ),
    Mutant(
        "mitm: a failed handshake is none",
        "T22",
        TUNNELS,
        "self.news.append(Shaken(_error(err) if err else None))",
        "self.news.append(Shaken(None))",
        (TLS,),
    ),
    Mutant(
        "mitm: tickets are sent at once", "F05", TUNNELS, "if not (self._holds_tickets and", "if not (False and", (TLS,)
    ),
    Mutant(
        "mitm: what we close in a CONNECT tunnel is a reset",
        "F05",
        COMPAT,
        "return isinstance(client.proxy_mode, mode_specs.RegularMode | mode_specs.UpstreamMode)",
        "return False",
        (MODES,),
    ),
    # What is ours.
    Mutant(
        "mitm: ignored hosts are treated",
        "mitm",
        ADDON,
        "None if _is_ignored(server) else treatment",
        "treatment",
        (MODES,),
    ),
    Mutant("mitm: data is guessed at", "mitm", ADDON, "compat.ask_at_start(stream)", "pass", (MODES,)),
    Mutant(
        "mitm: nobody is asked before the first byte",
        "mitm",
        ADDON,
        "compat.ask_at_start(handler.layer)",
        "pass",
        (MODES,),
    ),
)
