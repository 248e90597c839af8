"""UDP ASSOCIATE: PySocks, npm's `socks` and a client by hand, against a name server and an echo; and what must be dropped."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.peers.extras.stage import check, until
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, SERVER
from tests.peers.ways import raw
from tests.peers.ways.install import MODULES, module
from tests.peers.ways.places import DNS_PORT, ECHO_PORT, FAR, FORBIDDEN, SOCKS, STRANGER
from tests.peers.ways.servers import ANSWER, ANSWER_NAME
from tests.peers.ways.stage import SOCKET_SECONDS, Case, Stage

from .gaps import CONNECT_ONLY

PYSOCKS = "tests.peers.ways.clients.pysocks_udp"
NODE_CLIENT = "tests/peers/ways/clients/socks.js"
# One datagram in one frame of Ethernet, with the head that SOCKS5 puts before it.
LARGEST = 1400


def pysocks(stage: Stage, what: str, host: str, port: int, last: str, shown: str) -> None:
    """PySocks; it must show what came."""
    proxy = "-" if stage.direct else stage.way.at()
    stage.python(PYSOCKS, what, proxy, host, str(port), last).succeeded().shows(shown)


def npm_socks(stage: Stage) -> None:
    """npm's `socks` frames datagrams itself."""
    where = (GATEWAY_INSIDE[4], str(stage.way.port), SERVER[4], str(ECHO_PORT))
    path = {"NODE_PATH": str(module(MODULES, "socks"))}
    stage.run("node", NODE_CLIENT, "associate", *where, **path).succeeded().shows(f"seen: 1200 bytes from {SERVER[4]}")


class Association:
    """An association: the connection that keeps it, our socket, and where the relay takes datagrams."""

    def __init__(self, stage: Stage, control: socket.socket, ours: socket.socket, family: int) -> None:
        self.stage, self.control, self.ours = stage, control, ours
        host, port = ours.getsockname()[:2]
        check(raw.greet(control) == raw.NO_LOGIN, "the proxy should want no password")
        reply = raw.ask5(control, raw.ASSOCIATE, host, port)
        check(reply.code == 0, f"the proxy refuses with {reply.code}")
        unnamed = reply.host in ("0.0.0.0", "::")
        self.relay = (GATEWAY_INSIDE[family] if unnamed else reply.host, reply.port)

    def send(self, payload: bytes, host: str = SERVER[4], fragment: int = 0, by: socket.socket | None = None) -> None:
        """Send to the echo, perhaps by another socket."""
        (by or self.ours).sendto(raw.datagram(host, ECHO_PORT, payload, fragment), self.relay)

    def receive(self) -> tuple[str, int, bytes]:
        """What the relay sends us."""
        data, source = self.ours.recvfrom(65535)
        check(source[:2] == self.relay, f"a datagram came from {source}")
        return raw.parse_datagram(data)

    def echoes(self, payload: bytes, host: str, named: str) -> None:
        """Fail unless it comes back, as from the server."""
        self.send(payload, host)
        came = self.receive()
        check(came == (named, ECHO_PORT, payload), f"what came back is {came[:2]} with {len(came[2])} bytes")

    def only_ours_passed(self) -> None:
        """Fail if the echo got anything but what was sent as `ours`; call it once that came back."""
        until(lambda: bool(self.stage.server_said("echo")), "the echo should tell what it got")
        told = [line.split(" ", 2)[2] for line in self.stage.server_said("echo")]
        check(told == ["b'ours'"], f"the server got {told}")


def socket_of(stage: Stage, host: str) -> socket.socket:
    """A socket for datagrams at an address of the client's."""
    with stage.bench.lab.client.entered():
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((host, 0))
    made.settimeout(SOCKET_SECONDS)
    return made


@contextmanager
def association(stage: Stage, family: int = 4) -> Iterator[Association]:
    """Ask for an association, by hand."""
    with stage.connection(family) as control, socket_of(stage, CLIENT[family]) as ours:
        yield Association(stage, control, ours, family)


def by_hand(stage: Stage, host: str, named: str, family: int = 4) -> None:
    """All bytes come back, in one datagram each."""
    with association(stage, family) as relay:
        for size in (1, LARGEST, 2):
            relay.echoes(b"x" * size, host, named)


def empty(stage: Stage) -> None:
    """A datagram may hold nothing, in both directions."""
    with association(stage) as relay:
        relay.echoes(b"", SERVER[4], SERVER[4])


def two_targets(stage: Stage) -> None:
    """One association is for several servers; each answer says whose it is."""
    with association(stage) as relay:
        relay.echoes(b"four", SERVER[4], SERVER[4])
        relay.echoes(b"six", SERVER[6], SERVER[6])
        relay.echoes(b"four", SERVER[4], SERVER[4])


def fragment(stage: Stage) -> None:
    """Who does not put fragments together must drop them (RFC 1928, section 7)."""
    with association(stage) as relay:
        relay.send(b"fragment", fragment=1)
        relay.send(b"last", fragment=0x82)
        relay.echoes(b"ours", SERVER[4], SERVER[4])
        relay.only_ours_passed()


def stranger(stage: Stage) -> None:
    """Datagrams from another address than the association's client are dropped (RFC 1928, section 7)."""
    with association(stage) as relay, socket_of(stage, STRANGER) as other:
        relay.send(b"stranger", by=other)
        relay.echoes(b"ours", SERVER[4], SERVER[4])
        relay.only_ours_passed()


def forbidden(stage: Stage) -> None:
    """What the rules forbid is forbidden in datagrams, too."""
    with association(stage) as relay:
        relay.send(b"forbidden", FORBIDDEN)
        relay.send(b"loop", GATEWAY_INSIDE[4])
        relay.echoes(b"ours", SERVER[4], SERVER[4])
        relay.only_ours_passed()


def rubbish(stage: Stage) -> None:
    """What is cut short, of an unknown kind or without a head is dropped, and harms nothing."""
    with association(stage) as relay:
        for data in (
            b"",
            b"\0",
            b"\0\0\0",
            b"\0\0\0\1\x0a",
            b"\0\0\0\x09" + b"x" * 20,
            b"\0\0\0\3\xffabc",
            b"GET / HTTP/1.1",
        ):
            relay.ours.sendto(data, relay.relay)
        relay.echoes(b"ours", SERVER[4], SERVER[4])
        relay.only_ours_passed()


def over(stage: Stage) -> None:
    """The association ends with its connection: the relay's socket is gone (RFC 1928, section 7)."""
    with association(stage) as relay:
        relay.echoes(b"ours", SERVER[4], SERVER[4])
        relay.ours.connect(relay.relay)
        relay.control.close()

        def gone() -> bool:
            try:
                relay.ours.send(raw.datagram(SERVER[4], ECHO_PORT, b"late"))
                relay.ours.settimeout(0.1)
                relay.ours.recv(2048)
            except ConnectionRefusedError:
                return True
            except TimeoutError:
                return False
            return False

        until(gone, "the relay still takes datagrams")


def cases() -> Iterator[Case]:
    """Libraries, then by hand, then what must be dropped."""

    def case(name: str, play: Callable[[Stage], None], direct: bool = False) -> Case:
        return Case(f"udp, {name}", SOCKS, play, CONNECT_ONLY, direct)

    for family in (4, 6):
        shown = rf"seen: {ANSWER} from {SERVER[family]}"
        asked = partial(pysocks, what="name", host=SERVER[family], port=DNS_PORT, last=ANSWER_NAME, shown=shown)
        yield case(f"PySocks asks a name server, IPv{family}", asked, direct=True)
    echoed = partial(pysocks, what="echo", port=ECHO_PORT, last=str(LARGEST), shown=rf"seen: {LARGEST} bytes from")
    yield case("PySocks, echo", partial(echoed, host=SERVER[4]), direct=True)
    yield case("npm socks, echo", npm_socks)
    yield case("by hand, IPv4", partial(by_hand, host=SERVER[4], named=SERVER[4]))
    yield case("by hand, IPv6", partial(by_hand, host=SERVER[6], named=SERVER[6]))
    yield case("by hand, name", partial(by_hand, host=FAR[4], named=SERVER[4]))
    yield case("by hand, over IPv6", partial(by_hand, host=SERVER[4], named=SERVER[4], family=6))
    yield case("two servers by turns", two_targets)
    yield case("empty", empty)
    yield case("fragments are dropped", fragment)
    yield case("a stranger's are dropped", stranger)
    yield case("those to forbidden targets are dropped", forbidden)
    yield case("rubbish is dropped", rubbish)
    yield case("the association ends with its connection", over)
