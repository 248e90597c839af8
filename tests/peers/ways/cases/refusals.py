"""What a proxy must refuse, and with which answer: forbidden targets, closed ports, unknown names, wrong greetings.

In every case the target would answer if it were reached: the gateway itself can reach it, and the lab has seen that.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

from tests.peers.extras.stage import check
from tests.peers.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, bracketed
from tests.peers.ways import raw
from tests.peers.ways.places import (
    CLOSED_PORT,
    CONNECT,
    CONNECT_BARE,
    FORBIDDEN,
    GREETING_PORT,
    NOWHERE,
    SOCKS,
    SOCKS_BARE,
    SOCKS_LOGIN,
    WEB_PORT,
    Way,
)
from tests.peers.ways.stage import Case, Stage

from .gaps import HANGS_UP, KNOWS_NOT_ITSELF, NO_RULES, NO_SOCKS4, SAYS_ONE

# RFC 1928, section 6, and the statuses of RFC 9110, section 15, that say the same.
BY_RULE, UNREACHABLE, REFUSED, UNKNOWN_COMMAND, UNKNOWN_ADDRESS = 2, 4, 5, 7, 8
FORBIDDEN_STATUS, GATEWAY_STATUS = 403, (502, 503, 504)

# Addresses of the gateway's own, and others that it can reach, in every spelling that might slip through.
TARGETS = {
    "a forbidden network": (FORBIDDEN, WEB_PORT),
    "the gateway's inner address": (GATEWAY_INSIDE[4], GREETING_PORT),
    "the gateway's outer address": (GATEWAY_OUTSIDE[4], GREETING_PORT),
    "the gateway's outer address, IPv6": (GATEWAY_OUTSIDE[6], GREETING_PORT),
    "loopback": ("127.0.0.1", GREETING_PORT),
    "loopback, IPv6": ("::1", GREETING_PORT),
    "loopback, IPv4 in IPv6": ("::ffff:127.0.0.1", GREETING_PORT),
    "the unspecified address": ("0.0.0.0", GREETING_PORT),
    "localhost, by name": ("localhost", GREETING_PORT),
}
# As a name: the resolver of many systems takes these for 127.0.0.1.
SPELLINGS = ("127.1", "2130706433", "0x7f.1", "0177.0.0.1")


def refused5(stage: Stage, host: str, port: int, codes: Collection[int] = (BY_RULE,)) -> None:
    """SOCKS5: this answer, and then the end."""
    with stage.connection() as connection:
        check(raw.greet(connection) == raw.NO_LOGIN, "the proxy should want no password")
        reply = raw.ask5(connection, raw.CONNECT, host, port)
        check(reply.code in codes, f"the answer should be one of {sorted(codes)}, and is {reply.code}")
        check(raw.at_end(connection), "the proxy should close the connection")


def refused4(stage: Stage, host: str, port: int) -> None:
    """SOCKS4 and 4a: there is one answer for all, and then the end."""
    with stage.connection() as connection:
        reply = raw.ask4(connection, raw.CONNECT, host, port)
        check(reply.code == raw.REFUSED4, f"the answer should be {raw.REFUSED4}, and is {reply.code}")
        check(raw.at_end(connection), "the proxy should close the connection")


def refused_tunnel(stage: Stage, host: str, port: int, statuses: Collection[int] = (FORBIDDEN_STATUS,)) -> None:
    """CONNECT: this status."""
    with stage.connection() as connection:
        status = raw.ask_http(connection, f"{bracketed(host)}:{port}")
        check(status in statuses, f"the status should be one of {sorted(statuses)}, and is {status}")


def wrong_command(stage: Stage) -> None:
    """A command that is none."""
    with stage.connection() as connection:
        raw.greet(connection)
        reply = raw.ask5(connection, 9, SERVER[4], WEB_PORT)
        check(reply.code == UNKNOWN_COMMAND, f"the answer should be {UNKNOWN_COMMAND}, and is {reply.code}")
        check(raw.at_end(connection), "the proxy should close the connection")


def wrong_address(stage: Stage) -> None:
    """A kind of address that is none."""
    with stage.connection() as connection:
        raw.greet(connection)
        connection.sendall(b"\5\1\0\x09" + b"\x0a\x4d\2\2" + struct.pack("!H", WEB_PORT))
        reply = raw.reply5(connection)
        check(reply.code == UNKNOWN_ADDRESS, f"the answer should be {UNKNOWN_ADDRESS}, and is {reply.code}")


def no_method(stage: Stage, *methods: int) -> None:
    """None of the methods suits: 255, and then the end (RFC 1928, section 3)."""
    with stage.connection() as connection:
        method = raw.greet(connection, *methods)
        check(method == raw.NO_METHOD, f"the proxy takes method {method}")
        check(raw.at_end(connection), "the proxy should close the connection")


def not_this_protocol(stage: Stage, said: bytes) -> None:
    """What is no greeting ends the connection; nothing of HTTP is passed on."""
    with stage.connection() as connection:
        connection.sendall(said)
        answer = b""
        while part := _received(connection):
            answer += part
        check(b"200" not in answer.split(b"\r\n")[0], f"the proxy answers {answer[:60]!r}")


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(2048)
    except ConnectionResetError:
        return b""


def cases() -> Iterator[Case]:
    """Targets, then answers, then proxies to which nobody gave any rule."""

    def case(name: str, way: Way, play: Callable[[Stage], None], gaps: Mapping[str, str] | None = None) -> Case:
        return Case(f"refusal, {name}", way, play, gaps or {})

    for name, (host, port) in TARGETS.items():
        gaps = KNOWS_NOT_ITSELF if host in GATEWAY_OUTSIDE.values() else {}
        # That there is no way to 0.0.0.0 may be a matter of the address and not of any rule.
        codes = (BY_RULE, UNKNOWN_ADDRESS) if host == "0.0.0.0" else (BY_RULE,)
        yield case(f"{name}, SOCKS5", SOCKS, partial(refused5, host=host, port=port, codes=codes), {**NO_RULES, **gaps})
        yield case(f"{name}, CONNECT", CONNECT, partial(refused_tunnel, host=host, port=port), gaps)
        if ":" not in host:
            yield case(f"{name}, SOCKS4", SOCKS, partial(refused4, host=host, port=port), {**NO_SOCKS4, **gaps})
    for spelling in SPELLINGS:
        any_code = (BY_RULE, UNREACHABLE, 1, UNKNOWN_ADDRESS)
        yield case(
            f"{spelling}, SOCKS5", SOCKS, partial(refused5, host=spelling, port=GREETING_PORT, codes=any_code), NO_RULES
        )
        statuses = (FORBIDDEN_STATUS, 400, *GATEWAY_STATUS)
        tunnel = partial(refused_tunnel, host=spelling, port=GREETING_PORT, statuses=statuses)
        yield case(f"{spelling}, CONNECT", CONNECT, tunnel)
    itself = (GATEWAY_INSIDE[4], SOCKS.port)
    yield case("the proxy itself, SOCKS5", SOCKS, partial(refused5, host=itself[0], port=itself[1]), NO_RULES)
    itself = (GATEWAY_INSIDE[4], CONNECT.port)
    yield case("the proxy itself, CONNECT", CONNECT, partial(refused_tunnel, host=itself[0], port=itself[1]))
    yield from answers(case)
    for name in ("a forbidden network", "loopback"):
        host, port = TARGETS[name]
        yield case(f"{name}, SOCKS5", SOCKS_BARE, partial(refused5, host=host, port=port), NO_RULES)
        bare = {"tinyproxy": "tinyproxy without a filter is open to every target"}
        yield case(f"{name}, CONNECT", CONNECT_BARE, partial(refused_tunnel, host=host, port=port), bare)


def answers(case: Callable[..., Case]) -> Iterator[Case]:
    """Why a connection did not come about, and greetings that lead nowhere."""
    five_hundred = {"tinyproxy": "tinyproxy says 500 for whatever it cannot reach"}
    closed = (SERVER[4], CLOSED_PORT)
    yield case("a closed port, SOCKS5", SOCKS, lambda stage: refused5(stage, *closed, (REFUSED,)))
    yield case("a closed port, SOCKS4", SOCKS, lambda stage: refused4(stage, *closed), NO_SOCKS4)
    tunnel = partial(refused_tunnel, host=closed[0], port=closed[1], statuses=GATEWAY_STATUS)
    yield case("a closed port, CONNECT", CONNECT, tunnel, five_hundred)
    unknown = (NOWHERE, WEB_PORT)
    # A name that no rule knows may be refused by rule, before anybody looks it up.
    yield case(
        "an unknown name, SOCKS5", SOCKS, lambda stage: refused5(stage, *unknown, (UNREACHABLE, BY_RULE)), SAYS_ONE
    )
    statuses = (*GATEWAY_STATUS, FORBIDDEN_STATUS)
    tunnel = partial(refused_tunnel, host=unknown[0], port=unknown[1], statuses=statuses)
    yield case("an unknown name, CONNECT", CONNECT, tunnel, five_hundred)
    yield case("an unknown command", SOCKS, wrong_command, HANGS_UP)
    yield case("an unknown kind of address", SOCKS, wrong_address, HANGS_UP)
    yield case("no method that suits", SOCKS, lambda stage: no_method(stage, 1, 128))
    yield case("no method where a password is asked", SOCKS_LOGIN, lambda stage: no_method(stage, raw.NO_LOGIN))
    web = f"GET http://{SERVER[4]}/sample.bin HTTP/1.1\r\nHost: {SERVER[4]}\r\nConnection: close\r\n\r\n".encode()
    yield case("HTTP at a SOCKS port", SOCKS, partial(not_this_protocol, said=web))
    yield case("SOCKS5 at an HTTP port", CONNECT, partial(not_this_protocol, said=b"\5\1\0\r\n\r\n"))
    plain = {"tinyproxy": "tinyproxy is an HTTP proxy for other methods than CONNECT, too"}
    yield case("GET at an HTTP port", CONNECT, partial(not_this_protocol, said=web), plain)
