"""The seeded faults of the small parsers and writers: the ClientHello, the PROXY header, the transfer log."""

from __future__ import annotations

from tests.mutants.table import Mutant

CLIENT_HELLO, PROXY_HEADER = "alg/core/client_hello.py", "alg/core/proxy_protocol.py"
XFERLOG = "alg/xferlog.py"
HEADERS, LINES = "tests/core/test_proxy_protocol.py", "tests/test_xferlog.py"
RECORDS, CONTENTS = "tests/core/test_client_hello.py", "tests/core/test_client_hello_contents.py"


def _hello(name: str, old: str, new: str, tests: str) -> Mutant:
    """A fault in the reading of a ClientHello: who believes another name than the server does can be led past a rule."""
    return Mutant(f"client hello: {name}", "T23", CLIENT_HELLO, old, new, (tests,))


CODEC_MUTANTS = (
    _hello("any record is a handshake", 'not in (b"", bytes((_HANDSHAKE,)))', "is None", RECORDS),
    _hello("any version of a record", 'header[1:2] not in (b"", bytes((_MAJOR,)))', "False", RECORDS),
    _hello("an empty record", "if not 1 <= length <= _MAX_FRAGMENT:", "if length > _MAX_FRAGMENT:", RECORDS),
    _hello("a record too long", "if not 1 <= length <= _MAX_FRAGMENT:", "if not length:", RECORDS),
    _hello("any handshake message", "if header and header[0] != _CLIENT_HELLO:", "if False:", RECORDS),
    _hello("of any length", "if length > MAX_CLIENT_HELLO:", "if False:", RECORDS),
    _hello("of a byte more", "if length > MAX_CLIENT_HELLO:", "if length > MAX_CLIENT_HELLO + 1:", RECORDS),
    _hello("of a byte less", "if length > MAX_CLIENT_HELLO:", "if length >= MAX_CLIENT_HELLO:", RECORDS),
    _hello("any number of records", "if len(fragments) == MAX_RECORDS:", "if False:", RECORDS),
    _hello("one record too few", "if len(fragments) == MAX_RECORDS:", "if len(fragments) == MAX_RECORDS - 1:", RECORDS),
    _hello("a message behind it", "if total > length:", "if False:", RECORDS),
    _hello("half a record", "return fragments if len(data) >= end else None", "return fragments", RECORDS),
    _hello("a value cut short", "if self._position > len(self._data):", "if False:", CONTENTS),
    _hello("a vector of any length", "if not low <= length <= high:", "if False:", CONTENTS),
    _hello(
        "bytes are left over",
        "        if self:\n            _refuse",
        "        if False:\n            _refuse",
        CONTENTS,
    ),
    _hello("half a number", "if len(data) % 2:", "if False:", CONTENTS),
    _hello("the last of two names counts", "if kind in extensions:", "if False:", CONTENTS),
    _hello("a second name in the list", "    names.end()\n    if len(name)", "    if len(name)", CONTENTS),
    _hello(
        "bytes behind the names",
        "    names = _Reader(extension.vector(2, 1))\n    extension.end()",
        "    names = _Reader(extension.vector(2, 1))",
        CONTENTS,
    ),
    _hello("another type of name", "if names.integer(1) != _HOST_NAME:", "if names.integer(1) > 255:", CONTENTS),
    _hello("a name of any length", "if len(name) > MAX_SERVER_NAME:", "if False:", CONTENTS),
    _hello("a name of a byte more", "if len(name) > MAX_SERVER_NAME:", "if len(name) > MAX_SERVER_NAME + 1:", CONTENTS),
    _hello("a name of any bytes", "if not _NAME.fullmatch(name):", "if False:", CONTENTS),
    _hello("a name up to the first odd byte", "if not _NAME.fullmatch(name):", "if not _NAME.match(name):", CONTENTS),
    _hello("names differ in case", "name = names.vector(2, 1).lower()", "name = names.vector(2, 1)", CONTENTS),
    _hello("names differ in a dot", 'name = name.removesuffix(b".")', "pass", CONTENTS),
    _hello("an address is a name", "if _is_address(name):", "if False:", CONTENTS),
    _hello(
        "127.1 is a name",
        "return is_numeric(name)",
        'return name.count(b".") == 3 and name.replace(b".", b"").isdigit()',
        CONTENTS,
    ),
    _hello(
        "a protocol without a name",
        'names.vector(1, 1).decode("latin-1")',
        'names.vector(1, 0).decode("latin-1")',
        CONTENTS,
    ),
    _hello("GREASE is a version", "if not _is_grease(each)", "if True", CONTENTS),
    # The PROXY header: the server believes it, and judges the client by it.
    Mutant(
        "proxy header: the endpoints change places",
        "T51",
        PROXY_HEADER,
        "(source, destination)]",
        "(destination, source)]",
        (HEADERS,),
    ),
    Mutant(
        "proxy header: the ports change places",
        "T51",
        PROXY_HEADER,
        "source.port.to_bytes(2) + destination.port.to_bytes(2)",
        "destination.port.to_bytes(2) + source.port.to_bytes(2)",
        (HEADERS,),
    ),
    Mutant(
        "proxy header: the client is left out",
        "T51",
        PROXY_HEADER,
        "_VERSION_2_PROXY = 0x21",
        "_VERSION_2_PROXY = 0x20",
        (HEADERS,),
    ),
    Mutant(
        "proxy header: mixed families",
        "T51",
        PROXY_HEADER,
        "_map(each.address) if mixed else each.address",
        "each.address",
        (HEADERS,),
    ),
    Mutant(
        "proxy header: dots in IPv6",
        "T51",
        PROXY_HEADER,
        'f"::ffff:{value >> 16 & 0xFFFF:x}:{value & 0xFFFF:x}"',
        'f"::ffff:{IPv4Address(value & 0xFFFFFFFF)}"',
        (HEADERS,),
    ),
    Mutant(
        "proxy header: with its zone",
        "T51",
        PROXY_HEADER,
        "return str(IPv6Address(value))",
        "return str(address)",
        (HEADERS,),
    ),
    # The transfer log: a name that a client made up must not become another line, or another field.
    Mutant(
        "transfer log: any character",
        "T71",
        XFERLOG,
        'char if char.isprintable() and char != " " else "_"',
        "char",
        (LINES,),
    ),
    Mutant(
        "transfer log: spaces", "T71", XFERLOG, 'char.isprintable() and char != " "', "char.isprintable()", (LINES,)
    ),
    Mutant(
        "transfer log: ASCII alone has controls",
        "T71",
        XFERLOG,
        'char.isprintable() and char != " "',
        'char > " "',
        (LINES,),
    ),
    Mutant("transfer log: an empty field", "T71", XFERLOG, ' or "?"', "", (LINES,)),
    Mutant("transfer log: users as they are", "T71", XFERLOG, "_to_word(transfer.user)", "transfer.user", (LINES,)),
    Mutant(
        "transfer log: hosts as they are",
        "T71",
        XFERLOG,
        "_to_word(transfer.remote_host)",
        "transfer.remote_host",
        (LINES,),
    ),
    Mutant(
        "transfer log: no time at all",
        "T71",
        XFERLOG,
        "max(1, int(transfer.seconds))",
        "int(transfer.seconds)",
        (LINES,),
    ),
)
