"""Addresses: the strict grammar (T05), the forms that hide in an address (T04), and what means "this host" (T03)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alg.core.addresses import (
    canonical,
    forms,
    is_link_local,
    is_public,
    is_this_host,
    is_unicast,
    name_of,
    names_this_host,
    parse_address,
    within,
)
from alg.core.errors import ProtocolError

# Six spellings of an IPv4 address in IPv6: mapped, compatible, translated, NAT64 (two prefixes), 6to4.
EMBED = {
    "mapped": lambda a: IPv6Address(0xFFFF << 32 | int(a)),
    "compatible": lambda a: IPv6Address(int(a)),
    "translated": lambda a: IPv6Address(0xFFFF << 48 | int(a)),
    "nat64": lambda a: IPv6Address(int(IPv6Address("64:ff9b::")) | int(a)),
    "local-nat64": lambda a: IPv6Address(int(IPv6Address("64:ff9b:1::")) | int(a)),
    "6to4": lambda a: IPv6Address(0x2002 << 112 | int(a) << 80),
}

each_embedding = pytest.mark.parametrize("embedding", EMBED)

LITERALS = {
    "10.0.0.5": "10.0.0.5",
    "0.0.0.0": "0.0.0.0",
    "255.255.255.255": "255.255.255.255",
    "::": "::",
    "::1": "::1",
    "2001:DB8::0005": "2001:db8::5",
    "2001:0db8:0000:0000:0000:0000:0000:0005": "2001:db8::5",
    "::ffff:10.0.0.5": "10.0.0.5",
    "::FFFF:a00:5": "10.0.0.5",
    "64:ff9b::10.0.0.5": "64:ff9b::a00:5",
    "0000:0000:0000:0000:0000:ffff:255.255.255.255": "255.255.255.255",
}

AMBIGUOUS = (
    *(
        "010.0.0.1",
        "10.0.0.01",
        "00.0.0.0",
        "127.1",
        "10.1",
        "10.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
    ),
    *(
        "017700000001",
        "10.0.0.256",
        "10.0.0.1.",
        ".10.0.0.1",
        "10..0.1",
        "10.0.0",
        "10.0.0.1.1",
        "+10.0.0.1",
        "10.0.0.-1",
    ),
    *(" 10.0.0.1", "10.0.0.1 ", "10.0.0.1\n", "10.0.0.1\0", "10.0.0.1\t", "1_0.0.0.1", "10,0,0,1", "10.0.0.1/32"),
    *(
        "\uff11\uff10.0.0.1",
        "1\u0660.0.0.1",
        "10\u30020\u30020\u30021",
        "[::1]",
        "::1%lo",
        "fe80::9%eth1",
        "fe80::9%25eth1",
    ),
    *("::1 ", ":::1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::10.0.0.256", "::ffff:010.0.0.1", "12345::", "::g"),
    *("localhost", "", ":", "1e1.0.0.1", "ftp.example.org", "10.0.0.1" + "0" * 60),
)


@pytest.mark.parametrize(("text", "address"), LITERALS.items())
def test_a_literal_is_parsed_to_its_canonical_form(text: str, address: str) -> None:
    """Text and bytes give the same address, an IPv4-mapped one is the IPv4 address."""
    assert ip_address(address) == parse_address(text) == parse_address(text.encode("ascii"))


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_other_parsers_read_differently_is_refused(text: str) -> None:
    """T05: only the one spelling that nobody reads otherwise is an address."""
    for form in (text, text.encode("utf-8")):
        with pytest.raises(ProtocolError) as refusal:
            parse_address(form)
        assert refusal.value.reason == "bad_address"


@given(st.ip_addresses())
def test_every_address_survives_its_text(address: IPv4Address | IPv6Address) -> None:
    """Parsing what an address is written as gives the address back."""
    assert canonical(address) == parse_address(str(address))


@given(st.text() | st.binary())
def test_nothing_but_a_refusal_comes_of_other_text(text: str | bytes) -> None:
    """Whatever the text, the outcome is an address or a `ProtocolError` in one line of ASCII."""
    try:
        parse_address(text)
    except ProtocolError as refusal:
        assert str(refusal).isascii()
        assert str(refusal).isprintable()


@each_embedding
@given(address=st.ip_addresses(v=4))
@example(address=IPv4Address("127.0.0.1"))
@example(address=IPv4Address("0.0.0.0"))
@example(address=IPv4Address("224.0.0.1"))
@example(address=IPv4Address("255.255.255.255"))
def test_an_embedded_address_is_judged_like_itself(embedding: str, address: IPv4Address) -> None:
    """T04: what is forbidden for an IPv4 address is forbidden for each IPv6 spelling of it."""
    spelled = EMBED[embedding](address)
    assert address in forms(spelled)
    if is_this_host(address):
        assert is_this_host(spelled)
    if not is_unicast(address):
        assert not is_unicast(spelled)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_hides_nothing(address: IPv4Address) -> None:
    """An IPv4 address has one form, and so has an IPv6 address outside the embedding prefixes."""
    assert (address,) == forms(address)
    assert (IPv6Address("2001:db8::7f00:1"),) == forms(IPv6Address("2001:db8::7f00:1"))


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "127.8.8.8", "127.255.255.255", "0.0.0.0", "0.0.0.1", "::1", "::", "::ffff:127.0.0.1"),
        *(
            "::ffff:0.0.0.0",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::",
        ),
    ],
)
def test_this_host_in_any_spelling(text: str) -> None:
    """T03: loopback and the unspecified address are this host, however they are written."""
    assert is_this_host(ip_address(text))


@pytest.mark.parametrize("text", ["126.255.255.255", "128.0.0.0", "1.0.0.0", "10.0.0.1", "2001:db8::1", "fe80::1"])
def test_other_hosts_are_not_this_host(text: str) -> None:
    """The neighbours of the ranges are not in them."""
    assert not is_this_host(ip_address(text))


@pytest.mark.parametrize(
    ("text", "unicast"),
    [
        *(("223.255.255.255", True), ("224.0.0.0", False), ("239.1.1.1", False), ("240.0.0.1", False)),
        *(("255.255.255.255", False), ("ff02::1", False), ("fe80::1", True), ("::ffff:224.0.0.1", False)),
        *(("2002:e000:1::", False), ("2001:db8::1", True)),
    ],
)
def test_groups_are_no_host(text: str, unicast: bool) -> None:
    """Multicast, broadcast and reserved addresses are nobody's, in any spelling."""
    assert unicast is is_unicast(ip_address(text))


def test_within_asks_for_the_address_itself() -> None:
    """A rule that grants an IPv4 network grants its mapped spelling, which is the same address, and no other."""
    networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert within(ip_address("10.1.2.3"), networks)
    assert within(ip_address("::ffff:10.1.2.3"), networks)
    assert within(ip_address("2001:db8::1"), networks)
    assert not within(ip_address("64:ff9b::10.1.2.3"), networks)
    assert not within(ip_address("::10.1.2.3"), networks)
    assert not within(ip_address("11.0.0.1"), networks)


@pytest.mark.parametrize(
    ("address", "network", "named"),
    [
        *(("127.0.0.1", "127.0.0.1/32", True), ("127.0.0.1", "127.0.0.0/8", True), ("::1", "::1/128", True)),
        *(("127.0.0.1", "0.0.0.0/0", False), ("127.0.0.1", "0.0.0.0/1", False), ("127.0.0.1", "127.0.0.0/7", False)),
        *(("::1", "::/0", False), ("::1", "::/127", False), ("::127.0.0.1", "127.0.0.0/8", False)),
        *(("64:ff9b::7f00:1", "64:ff9b::/96", False), ("127.0.0.1", "127.0.0.2/32", False)),
    ],
)
def test_this_host_is_named_only_by_its_own_networks(address: str, network: str, named: bool) -> None:
    """A wide network does not say "this host" by name."""
    assert named is names_this_host(ip_address(address), (ip_network(network, strict=False),))


@pytest.mark.parametrize(
    ("host", "name"),
    [("ftp.example.org", "ftp.example.org"), ("10.0.0.1", None), ("2001:db8::1", None), ("10.0.0.01", "10.0.0.01")],
)
def test_name_of(host: str, name: str | None) -> None:
    """A name is what is no literal address."""
    assert name_of(host) == name


@pytest.mark.parametrize(
    ("text", "public"),
    [
        *((text, True) for text in ("8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "64:ff9b::808:808")),
        *(
            (text, False)
            for text in ("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "127.0.0.1")
        ),
        *((text, False) for text in ("224.0.0.1", "240.0.0.1", "255.255.255.255", "0.0.0.0", "192.0.2.1")),
        *((text, False) for text in ("fd00::1", "fe80::1", "fec0::1", "ff02::1", "::1", "::", "2001:db8::1")),
        *(
            (text, False)
            for text in ("::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "64:ff9b::e000:1")
        ),
    ],
)
def test_what_is_of_the_public_internet(text: str, public: bool) -> None:
    """T12: nothing private, of one link, of a group or reserved, in whatever form it hides."""
    assert is_public(ip_address(text)) == public


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("169.254.169.254", True),
        ("fe80::1", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("10.0.0.1", False),
        ("fd00::1", False),
    ],
)
def test_what_is_good_on_one_link_only(text: str, local: bool) -> None:
    """The metadata of clouds are there."""
    assert is_link_local(ip_address(text)) == local
