"""The nouns: sides, endpoints, port ranges and expectations as values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.core.errors import ProtocolError
from alg.core.model import DEFAULT_PORTS, Accept, Connect, Endpoint, Expectation, PortRange, Realm, Side
from alg.testing import endpoint

TARGET = endpoint("10.0.0.5:4000")

endpoints = st.builds(Endpoint, st.ip_addresses(), st.integers(0, 65535))


def test_the_sides_are_each_other() -> None:
    """The other side of the other side is the side."""
    assert Side.SERVER is Side.CLIENT.other
    assert Side.CLIENT is Side.SERVER.other


@given(endpoints, st.sampled_from([b"|", b" ", b"\n"]))
def test_an_endpoint_survives_its_bytes(each: Endpoint, separator: bytes) -> None:
    """What an endpoint is written as parses to the endpoint."""
    assert each == Endpoint.parse(*each.to_bytes(separator).split(separator))


@given(endpoints)
def test_an_endpoint_survives_its_text(each: Endpoint) -> None:
    """So does its text, with brackets where they are needed."""
    assert each == endpoint(str(each))


def test_an_endpoint_is_canonical() -> None:
    """An IPv4-mapped address is the IPv4 address."""
    assert Endpoint(IPv6Address("::ffff:10.0.0.5"), 4000) == TARGET
    assert hash(TARGET) == hash(Endpoint(IPv6Address("::ffff:10.0.0.5"), 4000))


@pytest.mark.parametrize("port", ["0", "1", "80", "65535", b"65535", 0, 65535])
def test_a_port_from_0_to_65535_is_taken(port: str | bytes | int) -> None:
    """Text, bytes and numbers."""
    assert int(port) == Endpoint.parse("10.0.0.5", port).port


@pytest.mark.parametrize(
    "port",
    [
        *("65536", "99999", "100000", "-1", "+5", " 7", "7 ", "7\n", "1_0", "00", "007", "0x10", "1e3", "1.0", "", "a"),
        *("\uff18\uff10", "\u0663", "\u00b2", b"\xff", b"80\0", "9" * 5000, -1, 65536, 2**32),
    ],
)
def test_any_other_port_is_the_fault_of_the_peer(port: str | bytes | int) -> None:
    """T93: no sign, no blank, no underscore, no other script, no leading zero, nothing above 65535."""
    with pytest.raises(ProtocolError) as refusal:
        Endpoint.parse("10.0.0.5", port)
    assert refusal.value.reason == "bad_port"
    assert len(str(refusal.value)) < 100


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_endpoint_with_an_impossible_port_cannot_be_made(port: int) -> None:
    """That is a mistake of the caller."""
    with pytest.raises(ValueError, match="outside 0 to 65535"):
        Endpoint(IPv4Address("10.0.0.5"), port)


@pytest.mark.parametrize(("low", "high", "size"), [(1, 1, 1), (1, 65535, 65535), (20000, 20009, 10)])
def test_a_port_range_holds_both_ends(low: int, high: int, size: int) -> None:
    """Its length counts both, its text is LOW-HIGH."""
    assert size == len(PortRange(low, high))
    assert f"{low}-{high}" == str(PortRange(low, high))


@pytest.mark.parametrize(("low", "high"), [(0, 10), (10, 9), (1, 65536), (-1, 5)])
def test_an_impossible_port_range_cannot_be_made(low: int, high: int) -> None:
    """1 <= LOW <= HIGH <= 65535."""
    with pytest.raises(ValueError, match="LOW-HIGH"):
        PortRange(low, high)


def test_a_realm_has_a_pool_by_default() -> None:
    """Below the ports that Linux takes for outgoing connections."""
    assert Realm().ports == DEFAULT_PORTS
    assert DEFAULT_PORTS.high < 32768


@pytest.mark.parametrize("origin", list(Side))
def test_the_usual_expectation_accepts_on_one_side_and_connects_on_the_other(origin: Side) -> None:
    """It is used once, within a minute, by the origin's peer, and nobody looks into it."""
    usual = Expectation.usual(origin, TARGET)
    assert usual.accepted == (origin,)
    assert Accept() == usual.plan(origin)
    assert Connect(TARGET) == usual.plan(origin.other)
    assert usual.targets == (TARGET,)
    assert (usual.limit, usual.lifetime, usual.plugin) == (1, 60.0, None)


def test_where_both_legs_are_accepted_there_is_no_target() -> None:
    """Mode conversion needs other pairs: here the client opens, and the server too."""
    both = Expectation(Accept(), Accept())
    assert both.accepted == tuple(Side)
    assert not both.targets
