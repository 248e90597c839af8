"""The seeded faults of the ways in: what a client may ask for, who it has to prove to be, who is believed about it."""

from __future__ import annotations

from tests.mutants.table import Mutant

HOSTS, OPENING, DOORWAY = "alg/core/hosts.py", "alg/core/opening.py", "alg/core/doorway.py"
SOCKS, SOCKS4, SOCKS5 = "alg/core/socks.py", "alg/core/socks4.py", "alg/core/socks5.py"
DATAGRAM, CONNECT, HEADER = "alg/core/socks_datagram.py", "alg/core/http_connect.py", "alg/core/proxy_header.py"

NAMES, ASKED, PASSWORDS = "tests/core/test_hosts.py", "tests/core/test_socks.py", "tests/core/test_socks_passwords.py"
DATAGRAMS, HTTP, PROXY = (
    "tests/core/test_socks_datagram.py",
    "tests/core/test_http_connect.py",
    "tests/core/test_proxy_header.py",
)


def _socks(name: str, row: str, path: str, old: str, new: str, tests: str = ASKED) -> Mutant:
    return Mutant(f"socks: {name}", row, path, old, new, (tests,))


def _connect(name: str, row: str, old: str, new: str) -> Mutant:
    return Mutant(f"connect: {name}", row, CONNECT, old, new, (HTTP,))


def _proxy(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"proxy header: {name}", "T51", HEADER, old, new, (PROXY,))


DOOR_MUTANTS = (
    Mutant("doors: a resolver reads addresses", "T05", HOSTS, ' and not is_numeric(text.removesuffix(b"."))', "", (NAMES,)),
    Mutant("doors: with a dot behind it", "T05", HOSTS, 'is_numeric(text.removesuffix(b"."))', "is_numeric(text)", (NAMES,)),
    Mutant("doors: names of any length", "T33", HOSTS, "len(text) <= MAX_HOST and ", "", (NAMES,)),
    Mutant("doors: a name of a byte more", "T33", HOSTS, "<= MAX_HOST", "<= MAX_HOST + 1", (NAMES,)),
    Mutant("doors: names of anything", "T28", HOSTS, "_NAME.fullmatch(text)", "_NAME.match(text)", (NAMES,)),
    Mutant("doors: early data without bound", "T33", OPENING, "len(self._buffer) > MAX_EARLY_DATA", "False", (ASKED,)),
    Mutant("doors: a byte less of it", "T33", OPENING, "> MAX_EARLY_DATA:", ">= MAX_EARLY_DATA:", (ASKED,)),
    Mutant("doors: on after a refusal", "T42", OPENING, "        if self._failed:\n", "        if False:\n", (PASSWORDS,)),
    Mutant("doors: nobody has an empty password", "T42", DOORWAY, "if same and wanted is not None", "if same", (NAMES,)),
    Mutant("doors: any password", "T42", DOORWAY, "user if same and wanted", "user if wanted", (NAMES,)),
    _socks("SOCKS4 needs no password", "T42", SOCKS, "            if self._users is not None:", "            if False:", PASSWORDS),
    _socks("no users are everybody", "T42", SOCKS, "needs_password = self._users is not None", "needs_password = bool(self._users)", PASSWORDS),
    _socks("a method that was not offered", "T42", SOCKS, "if method not in offered:", "if False:", PASSWORDS),
    _socks("no password after the method", "T42", SOCKS, "_Phase.CREDENTIALS if needs_password else _Phase.REQUEST", "_Phase.REQUEST", PASSWORDS),
    _socks("who is nobody goes on", "T42", SOCKS, "if self.user is None:", "if False:", PASSWORDS),
    _socks("any version inside", "T33", SOCKS, "if (version := octets.integer()) != wanted:", "if (version := octets.integer()) > 255:"),
    _socks("answers in the wrong order", "T42", DOORWAY, "return self.take_replies() + self._refuse(error)", "return self._refuse(error) + self.take_replies()", PASSWORDS),
    _socks("bind is over with one reply", "T43", SOCKS, "_Phase.ARRIVAL if is_first else _Phase.NOTHING", "_Phase.NOTHING"),
    _socks("a refusal behind a success", "T43", SOCKS, "_Phase.ARRIVAL if is_first else _Phase.NOTHING", "_Phase.ARRIVAL"),
    _socks("a user id without bound", "T33", SOCKS4, "octets.until_nul(MAX_USER_ID)", "octets.until_nul(1 << 20)"),
    _socks("a user id of a byte less", "T33", SOCKS4, "octets.until_nul(MAX_USER_ID)", "octets.until_nul(MAX_USER_ID - 1)"),
    _socks("a host without bound", "T33", SOCKS4, "octets.until_nul(MAX_HOST)", "octets.until_nul(1 << 20)"),
    _socks("0.0.0.0 is 4A", "T05", SOCKS4, "if 0 < address <= 0xFF:", "if address <= 0xFF:"),
    _socks("4A is 0.0.0.1", "T05", SOCKS4, "if 0 < address <= 0xFF:", "if False:"),
    _socks("SOCKS4 to port 0", "T33", SOCKS4, " and port == 0:", " and False:"),
    _socks("SOCKS5 to port 0", "T33", SOCKS5, " and port == 0:", " and False:"),
    _socks("no methods", "T33", SOCKS5, "    if not count:", "    if False:"),
    _socks("a mapped address is another", "T05", SOCKS5, "canonical(IPv6Address(octets.take(16)))", "IPv6Address(octets.take(16))"),
    _socks("names unread", "T05", SOCKS5, "parse_host(name)", 'name.decode("latin-1")'),
    _socks("fragments", "T42", DATAGRAM, "        if octets.integer():", "        if octets.integer() > 255:", DATAGRAMS),
    _socks("reserved bytes", "T42", DATAGRAM, "        if octets.integer(2):", "        if octets.integer(2) > 65535:", DATAGRAMS),
    _socks("a datagram to port 0", "T42", DATAGRAM, "    if not port:", "    if False:", DATAGRAMS),
    _connect("any method", "T42", 'if request.method != b"CONNECT":', "if False:"),
    _connect("any version", "T33", 'if request.http_version not in (b"1.0", b"1.1"):', "if False:"),
    _connect("a body", "T33", 'if codings or any(length.strip(b"0") for length in lengths):', "if False:"),
    _connect("a chunked body", "T33", "if codings or any(", "if any("),
    _connect("no password", "T42", "            if self.user is None:", "            if False:"),
    _connect("no users are everybody", "T42", "if self._users is not None:", "if self._users:"),
    _connect("any number of tries", "T42", "if self._tries == MAX_TRIES or ", "if "),
    _connect("two passwords", "T42", "if len(fields) > 1:", "if False:"),
    _connect("bare line feeds", "T28", "if not line.endswith(_CRLF):", "if False:"),
    _connect("fields over several lines", "T28", 'if line.startswith((b" ", b"\\t")):', "if False:"),
    _connect("control characters", "T28", "if _CONTROL.search(line, 0, len(line) - 2):", "if False:"),
    _connect("any head", "T33", "if len(self._buffer) >= MAX_HEAD:", "if False:"),
    _connect("a head of a byte less", "T33", "self._buffer.find(b\"\\n\", self._line, MAX_HEAD)", "self._buffer.find(b\"\\n\", self._line, MAX_HEAD - 1)"),
    _connect("any number of fields", "T33", "if self._fields > MAX_HEADERS:", "if False:"),
    _connect("one field less", "T33", "if self._fields > MAX_HEADERS:", "if self._fields >= MAX_HEADERS:"),
    _connect("to port 0", "T33", "if not asked.port:", "if False:"),
    _connect("any number is a port", "T93", "parse_port(port)", "int(port) & 0xFFFF"),
    _connect("anything in brackets", "T05", 'if b":" not in bracketed:', "if False:"),
    _connect("the words of an error", "T28", "printable(error.reason, 100)", "str(error)"),
    _connect("reasons of several lines", "T28", 'printable(error.reason, 100).encode("ascii")', 'error.reason.encode("latin-1")'),
    _connect("a password in the target is told", "T42", '    if b"@" in target:', "    if False:"),
    _proxy("none is none", "            raise ProtocolError(f\"no PROXY header", "            return\n            raise ProtocolError(f\"no PROXY header"),
    _proxy("a longer line", "find(b\"\\n\", 0, MAX_LINE)", "find(b\"\\n\", 0, MAX_LINE + 1)"),
    _proxy("a shorter line", "find(b\"\\n\", 0, MAX_LINE)", "find(b\"\\n\", 0, MAX_LINE - 1)"),
    _proxy("a line without end", "len(self._buffer) >= MAX_LINE:", "False:"),
    _proxy("the other family", 'if (b":" in address) != (family == b"TCP6"):', "if False:"),
    _proxy("any version", "if version != _VERSION or ", "if "),
    _proxy("any command", " or command not in (_LOCAL, _PROXY):", ":"),
    _proxy("any family", " and family not in _ADDRESSES:", " and False:"),
    _proxy("too short a block", "if not _needed(command, family) <= length <= MAX_BLOCK:", "if length > MAX_BLOCK:"),
    _proxy("a block without bound", "if not _needed(command, family) <= length <= MAX_BLOCK:", "if length < _needed(command, family):"),
    _proxy("a block of a byte less", "<= length <= MAX_BLOCK:", "<= length < MAX_BLOCK:"),
    _proxy("LOCAL is believed", "    if command == _LOCAL:", "    if False:"),
    _proxy("extras are not looked at", "        _check_extras(octets, header)", "        pass"),
    _proxy("two checksums", "if len(checksums) > 1:", "if False:"),
    _proxy("any checksum", "if crc32c(header[:start] + bytes(4) + header[start + 4 :]) != int.from_bytes(value):", "if False:"),
    _proxy("a checksum of any length", "if len(value) != 4:", "if False:"),
    _proxy("extras past the end", '        _refuse("a type-length-value runs past its end")', "        return"),
)  # fmt: skip
