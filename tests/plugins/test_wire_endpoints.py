"""FTP's four spellings of an endpoint: exactly what is taken and what is not (T58, T62, T63, T93)."""

from __future__ import annotations

import pytest
from alg_ftp import wire
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import Endpoint
from alg.testing import endpoint
from tests.plugins.test_wire import reason

V4 = st.builds(Endpoint, st.ip_addresses(v=4), st.integers(0, 65535))
ANY = st.builds(Endpoint, st.ip_addresses(), st.integers(0, 65535))

# Numbers as other parsers take them, and we do not (T93).
NUMBER_BOMBS = (
    *("+5", "-5", " ", "", "1_0", "0x5", "5.0", "5e0", "1" * 5000, "0" * 5000, "0" * 4300 + "5", "\uff15", "\u0665"),
    *(
        "\u00b2",
        "\u2460",
        "5\u00a0",
        "\u30005",
        "5\v",
        "\f5",
        "5L",
        "5l",
        "0b1",
        "0o5",
        "True",
        "\u0be7",
        "\U0001d7d3",
        "५",
    ),
)


# PORT.


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        *((b"10,0,0,5,4,1", "10.0.0.5:1025"), (b"255,255,255,255,255,255", "255.255.255.255:65535")),
        *((b"0,0,0,0,0,0", "0.0.0.0:0"), (b"010,000,000,005,004,001", "10.0.0.5:1025")),
        *((b"10, 0 ,0 , 5,  4  ,1", "10.0.0.5:1025"), (b"127,0,0,1,0,22", "127.0.0.1:22")),
    ],
)
def test_port_takes_six_numbers(argument: bytes, expected: str) -> None:
    """With spaces around the commas and leading zeros, as servers take them; they are decimal."""
    assert wire.parse_port(argument) == endpoint(expected)


@pytest.mark.parametrize(
    "argument",
    [
        *(b"", b"10,0,0,5,4", b"10,0,0,5,4,1,2", b"10,0,0,5,4,256", b"256,0,0,5,4,1", b"10.0.0.5,4,1", b"10,0,0,5,,1"),
        *(b",10,0,0,5,4,1", b"10,0,0,5,4,1,", b" 10,0,0,5,4,1", b"10,0,0,5,4,1 ", b"10,0,0,5,4,1\n", b"10\t,0,0,5,4,1"),
        *(b"1 0,0,0,5,4,1", b"(10,0,0,5,4,1)", b"|1|10.0.0.5|1025|", b"10,0,0,5,0001,1", b"10;0;0;5;4;1"),
        *(b"10,0,0,5,4," + bomb.encode() for bomb in NUMBER_BOMBS),
        *(bomb.encode() + b",0,0,5,4,1" for bomb in NUMBER_BOMBS),
    ],
)
def test_port_takes_nothing_else(argument: bytes) -> None:
    """T05, T93."""
    assert reason(wire.parse_port, argument) == "bad_endpoint"


@given(V4)
def test_port_survives(each: Endpoint) -> None:
    """What we write, we read."""
    assert wire.parse_port(wire.format_port(each)) == each
    assert wire.parse_passive([wire.split_line_end(wire.format_passive(each), "server")]) == each


# EPRT.

EPRT_TAKEN = {
    b"|1|10.0.0.5|1025|": "10.0.0.5:1025",
    b"|2|2001:db8::5|1025|": "[2001:db8::5]:1025",
    b"|2|2001:0DB8:0000:0000:0000:0000:0000:0005|65535|": "[2001:db8::5]:65535",
    b"|2|::ffff:10.0.0.5|1025|": "10.0.0.5:1025",
    b"|1|10.0.0.5|0|": "10.0.0.5:0",
    b"!1!10.0.0.5!1025!": "10.0.0.5:1025",
    b"~1~10.0.0.5~1025~": "10.0.0.5:1025",
    b"/1/10.0.0.5/1025/": "10.0.0.5:1025",
    b":1:10.0.0.5:1025:": "10.0.0.5:1025",
    b":2:2001:db8::5:1025:": "[2001:db8::5]:1025",
    b".1.10.0.0.5.1025.": "10.0.0.5:1025",
    b"x1x10.0.0.5x1025x": "10.0.0.5:1025",
}
EPRT_BAD_FAMILY = (
    *(b"|3|10.0.0.5|1025|", b"|0|10.0.0.5|1025|", b"|01|10.0.0.5|1025|", b"|11|10.0.0.5|1025|", b"|999|10.0.0.5|1025|"),
    *(b"|2|10.0.0.5|1025|", b"|1|2001:db8::5|1025|", b"|1|::ffff:10.0.0.5|1025|", b"|3|nonsense|1025|"),
)
EPRT_BAD = {
    "bad_endpoint": (
        *(b"", b"|", b"||||", b"|1|10.0.0.5|1025", b"1|10.0.0.5|1025|", b"|1|10.0.0.5|1025||", b"|1|10.0.0.5|1025| "),
        *(b" |1|10.0.0.5|1025|", b"||10.0.0.5|1025|", b"|1||1025|", b"|1|10.0.0.5||", b"|1|10.0.0.5|", b"|1|10.0.0.5"),
        *(
            b"11110.0.0.5110251",
            b"51510.0.0.5510255",
            b" 1 10.0.0.5 1025 ",
            b"\t1\t10.0.0.5\t1025\t",
            b"\xff1\xff10.0.0.5\xff1025\xff",
        ),
        *(
            b"|1|10.0.0.5!1025|",
            b"!1|10.0.0.5|1025|",
            b"|1|10.0.0.5|100000|",
            b"|1|10.0.0.5|-5|",
            b"|1|10.0.0.5|1025|\n",
        ),
        *(
            b"|1 |10.0.0.5|1025|",
            b"| 1|10.0.0.5|1025|",
            b"|+1|10.0.0.5|1025|",
            b"|1000|10.0.0.5|1025|",
            b"\x7f1\x7f10.0.0.5\x7f5\x7f",
        ),
        *(b"|1|10.0.0.5| 1025|", b"10,0,0,5,4,1", b"|1|10.0.0.5|" + b"9" * 5000 + b"|"),
    ),
    "bad_port": (b"|1|10.0.0.5|65536|", b"|1|10.0.0.5|99999|", b"|1|10.0.0.5|01025|", b"|1|10.0.0.5|00|"),
    "bad_address": (
        *(
            b"|1|010.0.0.5|1025|",
            b"|1|10.5|1025|",
            b"|1|167772165|1025|",
            b"|1|0x0a.0.0.5|1025|",
            b"|1|10.0.0.5 |1025|",
        ),
        *(b"|1| 10.0.0.5|1025|", b"|1|10.0.0.256|1025|", b"|1|ftp.example.org|1025|", b"|1|10.0.0.5|1025|1025|"),
        *(
            b"|2|[2001:db8::5]|1025|",
            b"|2|fe80::5%eth1|1025|",
            b"|2|2001:db8:::5|1025|",
            b"|2|" + b"1:" * 3000 + b"|1025|",
        ),
    ),
}


@pytest.mark.parametrize(("argument", "expected"), EPRT_TAKEN.items())
def test_eprt_takes_these(argument: bytes, expected: str) -> None:
    """T62: any printable delimiter but a digit."""
    assert wire.parse_eprt(argument) == endpoint(expected)


@pytest.mark.parametrize("argument", EPRT_BAD_FAMILY)
def test_eprt_knows_two_families(argument: bytes) -> None:
    """T62: 522 is the answer to another family, or to an address that is not of its family."""
    with pytest.raises(wire.FamilyError) as refusal:
        wire.parse_eprt(argument)
    assert refusal.value.reason == "bad_family"


@pytest.mark.parametrize(("why", "argument"), [(why, each) for why, these in EPRT_BAD.items() for each in these])
def test_eprt_takes_nothing_else(why: str, argument: bytes) -> None:
    """T62, T05, T93."""
    assert reason(wire.parse_eprt, argument) == why


@pytest.mark.parametrize("bomb", NUMBER_BOMBS)
def test_eprt_ports_are_plain_numbers(bomb: str) -> None:
    """T93."""
    assert reason(wire.parse_eprt, b"|1|10.0.0.5|%s|" % bomb.encode()) in ("bad_endpoint", "bad_port")


@given(ANY)
def test_eprt_survives(each: Endpoint) -> None:
    """What we write, we read; and it says the family that it is."""
    assert wire.parse_eprt(wire.format_eprt(each)) == each


# 227.

PASSIVE_TAKEN = (
    *(b"227 Entering Passive Mode (10,0,0,5,4,1).", b"227 Entering Passive Mode (10,0,0,5,4,1)", b"227 (10,0,0,5,4,1)"),
    *(b"227 10,0,0,5,4,1", b"227 =10,0,0,5,4,1", b"227 Entering Passive Mode. 10,0,0,5,4,1", b"227 [10,0,0,5,4,1]"),
    *(
        b"227 ( 10, 0 ,0,5 , 4,1 )",
        b"227 (010,000,000,005,004,001)",
        b"227 3 of 4: 10,0,0,5,4,1; bye",
        b"227 1,2 (10,0,0,5,4,1)",
    ),
    *(
        b"227 256,1,1,1,1,1 10,0,0,5,4,1",
        b"227 (10,0,0,5,4,1),",
        b"227 Passive (10,0,0,5,4,1) 40 users",
        b"227-10,0,0,5,4,1",
    ),
    b"227 caf\xe9 (10,0,0,5,4,1) \xff",
)
PASSIVE_REFUSED = (
    *(
        b"227",
        b"227 ",
        b"227 Entering Passive Mode",
        b"227 (10,0,0,5,4)",
        b"227 (10,0,0,5,4,1,2)",
        b"227 (10,0,0,5,4,256)",
    ),
    *(b"227 (1216,256,2,127,127,127)", b"227 (10, 0,0,5,4,1,2)", b"227 (10,0,0,5,4,1, 2)", b"227 (10,0,0,5,4,1 2)"),
    *(
        b"227 (10,0,0,5,4,1 , 2)",
        b"227 (10.0.0.5:1025)",
        b"227 (|||1025|)",
        b"227 (10;0;0;5;4;1)",
        b"227 (10,0,0,5,-4,1)",
    ),
    *(
        b"227 (10,0,0,5,0x4,1)",
        b"227 (10,0,0,5,4,)",
        b"227 (10,,0,0,5,4)",
        b"227 (10\t,0\t,0\t,5\t,4\t,1)",
        b"227 (0010,0,0,5,4,1)",
    ),
    *(b"227 (10,0,0,5,4,%s)" % bomb.encode() for bomb in ("\uff15", "\u0665", "+5", "1" * 5000)),
)


@pytest.mark.parametrize("line", PASSIVE_TAKEN)
def test_227_takes_these(line: bytes) -> None:
    """T63: what servers really say."""
    assert wire.parse_passive([line]) == endpoint("10.0.0.5:1025")


@pytest.mark.parametrize("line", PASSIVE_REFUSED)
def test_227_takes_nothing_else(line: bytes) -> None:
    """T63, T93: exactly six numbers in a row, each up to 255."""
    assert wire.parse_passive([line]) is None


@pytest.mark.parametrize(
    ("lines", "port"),
    [
        *(([b"227-x", b"227 (10,0,0,5,4,1)"], 1025), ([b"227-(10,0,0,5,4,2)", b"227 (10,0,0,5,4,1)"], 1025)),
        *(([b"227-x", b"10,0,0,5,4,1", b"227 x"], 1025), ([b"227-x", b" (10,0,0,5,4,1)", b"227"], 1025)),
        *(
            ([b"227-(10,0,0,5,4,1)", b"(10,0,0,5,4,2)", b"227 x"], 1025),
            ([b"227-x", b"   110,0,0,5,4,1", b"227 x"], 1025),
        ),
        (([b"227-10,0,0", b"5,4,1", b"227 x"]), None),
    ],
)
def test_227_in_several_lines(lines: list[bytes], port: int | None) -> None:
    """T58: the last line first, then the others from the top; a line is never joined to the next or cut."""
    found = wire.parse_passive(lines)
    assert (found.port if found else None) == port


def test_a_line_in_the_middle_is_read_whole() -> None:
    """Its first characters are no code, so they are part of what it says."""
    assert wire.parse_passive([b"227-x", b"   110,0,0,5,4,1", b"227 x"]) == endpoint("110.0.0.5:1025")


# 229.


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"229 Entering Extended Passive Mode (|||1025|)",
            b"229 (|||1025|)",
            b"229 ok (|||1025|) bye",
            b"229 (!!!1025!)",
        ),
        *(b"229 (|1|10.0.0.5|1025|)", b"229 (|2|2001:db8::5|1025|)", b"229 (||10.0.0.5|1025|)", b"229 (|1||1025|)"),
        *(b"229 (|||01025|)", b"229 (really) (|||1025|)", b"229-(|||1025|)"),
    ],
)
def test_229_takes_these(line: bytes) -> None:
    """T62: an address in it is not looked at."""
    assert wire.parse_extended_passive([line]) == 1025


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"229",
            b"229 |||1025|",
            b"229 (|||1025)",
            b"229 (||1025|)",
            b"229 (||||1025|)",
            b"229 (|||0|)",
            b"229 (|||65536|)",
        ),
        *(
            b"229 (|||102525|)",
            b"229 (|!|1025|)",
            b"229 (111102511)",
            b"229 (|||-1|)",
            b"229 (   1025 )",
            b"229 (10,0,0,5,4,1)",
        ),
        *(b"229 ( |||1025|)", b"229 (||| 1025|)", b"229 (\xff\xff\xff1025\xff)", b"229 (|||)", b"229 (|||1025| )"),
        *(b"229 (|||%s|)" % bomb.encode() for bomb in NUMBER_BOMBS),
    ],
)
def test_229_takes_nothing_else(line: bytes) -> None:
    """T62, T93."""
    assert wire.parse_extended_passive([line]) is None


@given(st.integers(1, 65535), st.lists(st.just(b"229-x"), max_size=2))
def test_229_survives(port: int, before: list[bytes]) -> None:
    """What we write, we read, also behind other lines."""
    line = wire.split_line_end(wire.format_extended_passive(port), "server")
    assert wire.parse_extended_passive([*before, line]) == port
