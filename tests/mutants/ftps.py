"""The seeded faults of FTP's TLS, data modes, transfers and choice of server. Rows are those of the threat table."""

from __future__ import annotations

from tests.mutants.table import TALKS, Mutant, talks

PLUGIN, CONTROL, DATA = "plugins/alg_ftp/plugin.py", "plugins/alg_ftp/control.py", "plugins/alg_ftp/data.py"
PROTECTION, LOGIN, MODES = "plugins/alg_ftp/protection.py", "plugins/alg_ftp/login.py", "plugins/alg_ftp/modes.py"
TRANSFERS, FEATURES = "plugins/alg_ftp/transfers.py", "plugins/alg_ftp/features.py"
TLS, RECORDS, LIMITS = (f"tests/plugins/test_ftp_{name}.py" for name in ("tls", "records", "limits"))
KEPT, FIELDS = "tests/plugins/test_ftp_transfers.py", "tests/plugins/test_ftp_transfer_fields.py"


def _protection(row: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"ftps: {name}", row, PROTECTION, old, new, tests)


def _data(row: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"ftp data: {name}", row, DATA, old, new, tests)


def _login(row: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"ftp login: {name}", row, LOGIN, old, new, tests)


def _transfer(row: str, name: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"ftp transfer: {name}", row, TRANSFERS, old, new, tests)


FTPS_MUTANTS = (
    # Bytes around the handshake.
    Mutant("ftps: bytes behind AUTH", "T20", CONTROL, "if self.client.buffered:", "if False:", (TLS, "-k", "auth_end")),
    _protection(
        "T20",
        "bytes behind AUTH that the server refuses",
        '            control.refuse_ahead("AUTH")\n            if reply',
        "            if reply",
        *(TLS, "-k", "whatever_the_server_says"),
    ),
    _protection(
        "T20",
        "bytes that come during the server's handshake",
        '        control.refuse_ahead("AUTH")\n        control.reply(command, 234',
        "        control.reply(command, 234",
        *(TLS, "-k", "auth_end or during"),
    ),
    _protection(
        "T20",
        "AUTH does not wait for its turn",
        "        await control.catch_up()\n",
        "",
        *talks("auth-waits", "auth-behind-noop-pipelined"),
    ),
    Mutant(
        "ftps: bytes behind 234",
        "T21",
        PLUGIN,
        "reply.code in protection.ACCEPTED and stream.buffered:",
        "False:",
        (TLS, "-k", "behind_234"),
    ),
    Mutant(
        "ftp: what comes behind a reply is read first",
        "T59",
        CONTROL,
        "        await self._done\n",
        "        pass\n",
        (f"{TALKS}::test_glued[ftp-mode-421-behind]", f"{TALKS}::test_glued[ftp-227-twice-for-one]"),
    ),
    # Nothing falls back.
    _protection(
        "T22",
        "the login passes before TLS",
        "return command.verb in _SECRETS or not (self._has_tls or command.verb in _BEFORE_TLS)",
        "return False",
        *talks("auth-refused-required", "auth-dropped-from-feat", "tls-require-never"),
    ),
    _protection(
        "T22",
        "a password passes before TLS",
        '"HELP", "SYST", "HOST"',
        '"HELP", "PASV", "HOST"',
        TALKS,
        "-k",
        "tls-require-never",
    ),
    _protection(
        "T22",
        "a server that refuses TLS is taken as it is",
        'raise TlsError(f"the server answers AUTH TLS with {reply.code}, and TLS is required", reason="tls_refused")',
        "return",
        *talks("auth-refused-by-required-server", "choose-server-tls-required"),
    ),
    Mutant(
        "ftps: a server that greets oddly is taken as it is",
        "T22",
        PLUGIN,
        "        if not greeting.good:\n            self.flow.close()",
        "        if False:\n            self.flow.close()",
        talks("auth-required-greeting", "auth-required-greeting-refused"),
    ),
    _protection(
        "T22",
        "TLS that is required is not begun",
        "as_client or server.tls_policy is TlsPolicy.REQUIRE)",
        "as_client)",
        *talks("tls-never-require", "tls-require-require", "choose-server-tls"),
    ),
    _protection(
        "T22",
        "TLS of the client is not continued",
        "return not server.secure and (as_client or",
        "return not server.secure and (",
        *talks("choose-tls-both", "choose-tls-required"),
    ),
    _protection(
        "T22",
        "AUTH is for this side only",
        "if flow.connected and flow.server.tls_policy is TlsPolicy.CLIENT and not flow.server.secure:",
        "if False:",
        *talks("tls-client-client", "auth-refused"),
    ),
    _protection(
        "T22",
        "any reply to AUTH is yes",
        "            if reply.code not in ACCEPTED:\n                flow",
        "            if not reply.code:\n                flow",
        *talks("auth-refused", "auth-refused-required"),
    ),
    Mutant(
        "ftps: FEAT promises what there is not",
        "T22",
        PLUGIN,
        "(self._protection.offered and offers_tls(lines))",
        "self._protection.offered",
        talks("feat-tls-client-without", "auth-dropped-from-feat"),
    ),
    Mutant("ftps: GSSAPI is TLS", "T22", FEATURES, r"\b(?:TLS|SSL)", "", talks("feat-tls-client-without")),
    Mutant(
        "ftps: the server's features are ours",
        "T22",
        PLUGIN,
        "            return True  # those of the server are for us\n",
        "            pass\n",
        talks("feat-tls-never", "feat"),
    ),
    # Data connections.
    _protection(
        "T67",
        "data to the server in the clear",
        "return self.client_data or not self._has_tls",
        "return self.client_data",
        *talks("tls-never-require", "implicit-server"),
    ),
    _protection(
        "T67",
        "PROT is not told",
        "        if not reply.good:\n            what",
        "        if False:\n            what",
        *talks("prot-refused", "prot-refused-on-our-account"),
    ),
    _protection(
        "T67",
        "what an implicit server does is known",
        "        self._server_data: bool | None = None\n",
        "        self._server_data: bool | None = self._flow.connected and self._flow.server.secure\n",
        *talks("implicit-both", "implicit-server"),
    ),
    _data(
        "T67",
        "the client's leg is never TLS",
        "if client is None else Connect(client, tls=Side.CLIENT in tls)",
        "if client is None else Connect(client)",
        *talks("mode-dialled-tls"),
    ),
    _protection("T68", "PROT C although TLS is required", '(b"C", DataTls.REQUIRE), ', "", *talks("prot-required")),
    _protection("T68", "PROT P although there is never TLS", ', (b"P", DataTls.NEVER)', "", *talks("prot-never")),
    _protection(
        "T68",
        "data without PROT although TLS is required",
        "return self._control.config.client_data_tls is DataTls.REQUIRE and not self.client_data",
        "return False",
        *talks("prot-required"),
    ),
    _protection(
        "T68",
        "implicit TLS stands above the settings",
        " and control.config.client_data_tls is not DataTls.NEVER",
        "",
        *talks("implicit-never"),
    ),
    _protection(
        "T68",
        "CCC for everybody",
        "if not self._control.config.ccc:",
        "if False:",
        *talks("ccc-refused", "prot-required"),
    ),
    _protection("T68", "CCC before the login", "if not self._control.logged_in:", "if False:", *talks("ccc")),
    _protection("T68", "a new login after CCC", "command.verb in _SECRETS or not", "not", *talks("ccc-new-login")),
    _protection(
        "T68",
        "a level that was refused counts",
        "                self.client_data = before\n",
        "",
        *talks("prot-refused"),
    ),
    _protection("T68", "PROT without PBSZ", "if not self._buffer_sized:", "if False:", *talks("prot-order")),
    _protection(
        "T68",
        "PROT P outlives AUTH",
        "self._buffer_sized = self.client_data = False",
        "self._buffer_sized = False",
        *talks("ccc"),
    ),
    Mutant(
        "ftps: a listener outlives its level",
        "T68",
        PLUGIN,
        "            if self._protection.data_sides != agreed_on:\n",
        "            if False:\n",
        talks("prot-after-pasv", "auth-after-pasv"),
    ),
    Mutant(
        "ftps: opaque, and yet listening",
        "T69",
        PLUGIN,
        "        if agreed:\n            self._data.give_up()\n",
        "        if agreed:\n",
        talks("tls-pass"),
    ),
    Mutant(
        "ftps: guessing on",
        "T69",
        PLUGIN,
        "            self.flow.splice()\n        return agreed",
        "            pass\n        return False",
        (TLS, "-k", "opaque_opens"),
    ),
    # Third parties in converted modes.
    _data(
        "T06",
        "a 227 is believed where the client is active",
        "            return Endpoint(peer, target.port)\n        return target\n\n    def _active_line",
        "            return target if self._flow.client else target\n        return target\n\n    def _active_line",
        *talks("bounce-227-active-client", "bounce-227-families", "bounce-227-tls"),
    ),
    _data(
        "T06",
        "the server's port is not judged where the client is active",
        "Accept(tls=Side.SERVER in tls) if server is None else",
        "Accept(tls=Side.SERVER in tls) if server is None or server.port < 1024 else",
        *talks("bounce-229-low-port"),
    ),
    _data(
        "T01",
        "an active client of a passive server names anybody",
        "if (client is None) != (server is None):",
        "if server is not None:\n            client = None\n        if (client is None) != (server is None):",
        *talks("bounce-port-passive-server", "mode-server-passive"),
    ),
    Mutant(
        "ftp modes: a client's mode is advice",
        "T60",
        MODES,
        "return mode is DataMode.CLIENT or verb in _MODES[mode]",
        "return True",
        talks("mode-client-active", "mode-client-pasv-only"),
    ),
    Mutant(
        "ftp modes: EPSV ALL is for us alone",
        "T61",
        MODES,
        '        if self.only_epsv:\n            verbs = ("EPSV",)\n',
        "",
        talks("epsv-all-no-fallback"),
    ),
    Mutant(
        "ftp modes: what is not known is asked for again",
        "T61",
        MODES,
        "        self._unknown.add(verb)\n",
        "",
        talks("mode-epsv-unknown", "mode-eprt-unknown"),
    ),
    _data(
        "T70",
        "rules are about what the server says",
        "if agreed and verb != command.verb else reply\n",
        "if False else reply\n",
        *talks("rules-converted", "rules-converted-active"),
    ),
    _data(
        "T61",
        "a family of its own",
        "            if target.address.version != peer.version:\n",
        "            if False:\n",
        *talks("family-6-4"),
    ),
    # The choice of a server.
    _login(
        "T22",
        "rules begin with the server",
        "            if self._refuse(command):\n",
        "            if False:\n",
        *talks("choose-rules", "choose-tls-required"),
    ),
    _login(
        "T14",
        "the refusal tells of the host",
        'self._control.reply(command, 530, "This server is not allowed.")',
        'self._control.reply(command, 530, str(__import__("sys").exc_info()[1]))',
        RECORDS,
        "-k",
        "not_allowed",
    ),
    _login(
        "T05",
        "any text is a host",
        "    match = _TARGET.fullmatch(text)\n",
        "    match = _TARGET.match(text)\n",
        *talks("choose-malformed"),
    ),
    _login(
        "T05", "port 0", "if 1 <= port <= 65535 else None", "if port <= 65535 else None", *talks("choose-malformed")
    ),
    _login(
        "T70",
        "anybody may log in by choice",
        "        if not self._control.admits(forwarded):\n",
        "        if False:\n",
        *talks("choose-users"),
    ),
    _login(
        "T22",
        "a server that wants nobody",
        "        if not greeting.good:\n",
        "        if False:\n",
        *talks("choose-greeting-refused"),
    ),
    Mutant(
        "ftp: no rate before the login",
        "T93",
        CONTROL,
        "if not self._rate.admit(self.flow.now):",
        "if self.flow.connected and not self._rate.admit(self.flow.now):",
        (LIMITS, "-k", "before_there_is"),
    ),
    # Records.
    _transfer(
        "T67",
        "a refused session has no record",
        "if secure and reply.code in _DATA_REFUSED and",
        "if False and",
        FIELDS,
        "-k",
        "resumed",
    ),
    _transfer(
        "T71",
        "a hostile name is written as it is",
        "{transfer.path[:_LONGEST]!a}",
        "{transfer.path}",
        FIELDS,
        "-k",
        "hostile",
    ),
    _transfer(
        "T67",
        "the next transfer takes the reply",
        "if transfer.command is command or",
        "if transfer.command.is_transfer or",
        *talks("transfer-pipelined"),
    ),
    _transfer(
        "T80", "transfers are kept for ever", "if len(self._open) > _MOST_OPEN:", "if False:", KEPT, "-k", "not_kept"
    ),
    Mutant(
        "ftp transfer: a session that breaks has none",
        "T67",
        PLUGIN,
        "        finally:\n            self._transfers.close()",
        "        finally:\n            pass",
        (KEPT, "-k", "aborted or lost"),
    ),
)
