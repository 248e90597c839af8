"""The PROXY protocol toward the gateway: curl, HAProxy in both versions, and headers by hand that name another client.

The gateway's log must show whom the header names. A header from someone who is not trusted leads nowhere, and so does
a connection without one from someone who is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from tests.peers.extras.stage import Daemon, check, until
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, SERVER
from tests.peers.servers import PASSWORD, SAMPLE, UPLOADS, USER
from tests.peers.ways import raw
from tests.peers.ways.install import program
from tests.peers.ways.others import HAPROXY
from tests.peers.ways.places import BALANCED_FTP, BALANCER, HEADER, HEADER_FTP, STRANGER, WEB_PORT, Way
from tests.peers.ways.stage import Case, Stage

from .gaps import NO_FTP
from .web import move

SENDER_PORT = 2120
NAMED = "192.0.2.77"
"""Whom headers by hand name; nobody has this address."""
REQUEST = f"GET /{SAMPLE} HTTP/1.1\r\nHost: {SERVER[4]}\r\nRange: bytes=0-9\r\nConnection: close\r\n\r\n".encode()

SENDER = """\
listen sender
  bind {host}:{port}
  server gateway {gateway}:{target} {option} source {balancer}
"""


@contextmanager
def sender(stage: Stage, version: int) -> Iterator[None]:
    """HAProxy in the client's namespace, before the gateway."""
    option = "send-proxy" if version == 1 else "send-proxy-v2"
    where = {"host": CLIENT[4], "port": SENDER_PORT, "gateway": GATEWAY_INSIDE[4], "target": stage.way.port}
    where["balancer"] = BALANCER if stage.way is BALANCED_FTP else CLIENT[4]
    file = stage.write("sender.conf", HAPROXY + SENDER.format(**where, option=option))
    listens = ((CLIENT[4], SENDER_PORT),)
    with Daemon("sender", [program("haproxy"), "-db", "-f", file], listens).running(stage.bench.lab.client):
        yield


def by_curl(stage: Stage) -> None:
    """curl writes the header itself, in version 1."""
    move(stage, ("--haproxy-protocol",), GATEWAY_INSIDE[4], stage.way.port)


def by_haproxy(stage: Stage, version: int) -> None:
    """curl knows nothing of it."""
    with sender(stage, version):
        move(stage, (), CLIENT[4], SENDER_PORT)


def ftp(stage: Stage, active: bool, version: int = 0) -> None:
    """By HAProxy the control connection alone has a header; data goes straight to the gateway, or comes from it.

    Without HAProxy, curl writes headers of version 1: one on each connection that it opens, those for data among them.
    """
    # Passive, curl must go where the 227 says: at HAProxy's address nobody listens for data.
    mode = ("--ftp-port", "-", "--disable-eprt") if active else ("--disable-epsv", "--no-ftp-skip-pasv-ip")
    url = f"ftp://{CLIENT[4]}:{SENDER_PORT}" if version else f"ftp://{stage.way.at()}"
    shared = ("--user", f"{USER}:{PASSWORD}", *mode, *(() if version else ("--haproxy-protocol",)))
    with sender(stage, version) if version else nullcontext():
        stage.curl(*shared, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded()
        stage.is_sample(SAMPLE)
        stage.curl(*shared, "--upload-file", str(stage.sample), f"{url}/{UPLOADS}/up.bin").succeeded()
        stage.has_uploaded("up.bin")


def answered(stage: Stage, head: bytes, source: str = "") -> bytes:
    """What comes to a request behind this header."""
    answer = b""
    with suppress(ConnectionResetError, BrokenPipeError), stage.connection(source=source) as connection:
        connection.sendall(head + REQUEST)
        while part := connection.recv(4096):
            answer += part
    stage.note(f"{head!r} -> {answer[:200]!r}")
    return answer


def by_hand(stage: Stage, version: int) -> None:
    """The gateway believes the header."""
    head = raw.header(version, NAMED, GATEWAY_INSIDE[4], stage.way.port)
    check(answered(stage, head).endswith(stage.sample.read_bytes()[:10]), "the server's answer should come")
    until(lambda: any(NAMED in line for line in stage.log()), f"the gateway's log should name {NAMED}")


def local(stage: Stage) -> None:
    """A health check, as it were: the sender speaks for itself."""
    check(answered(stage, raw.LOCAL_HEADER).endswith(stage.sample.read_bytes()[:10]), "the server's answer should come")


def turned_away(stage: Stage, head: bytes, source: str = "") -> None:
    """Nothing comes from the server."""
    answer = answered(stage, head, source)
    check(b"206 Partial" not in answer and b"200 OK" not in answer, "the server's answer should not come")


def cases() -> Iterator[Case]:
    """Senders, then headers by hand, then FTP."""

    def case(
        name: str, play: Callable[[Stage], None], way: Way = HEADER, gaps: Mapping[str, str] | None = None
    ) -> Case:
        return Case(f"PROXY, {name}", way, play, gaps or {})

    head = {version: raw.header(version, NAMED, GATEWAY_INSIDE[4], WEB_PORT) for version in (1, 2)}
    yield case("curl, v1", by_curl)
    for version in (1, 2):
        yield case(f"HAProxy, v{version}", partial(by_haproxy, version=version))
        yield case(f"by hand, v{version}", partial(by_hand, version=version))
        yield case(f"from a stranger, v{version}", partial(turned_away, head=head[version], source=STRANGER))
        yield case(f"twice, v{version}", partial(turned_away, head=head[version] * 2))
    yield case("local, v2", local)
    yield case("none", partial(turned_away, head=b""))
    yield case("cut short by the request, v1", partial(turned_away, head=b"PROXY TCP4 192.0.2.77 "))
    yield case("with a version 3", partial(turned_away, head=raw.SIGNATURE + b"\x31\x11\0\x0c" + head[2][16:]))
    for version, name in ((0, "curl, v1"), (1, "HAProxy, v1"), (2, "HAProxy, v2")):
        way = BALANCED_FTP if version else HEADER_FTP  # a listed sender has a header on each connection, also for data
        for active in (False, True):
            play = partial(ftp, version=version, active=active)
            yield case(f"{name}, FTP {'PORT' if active else 'PASV'}", play, way, NO_FTP)
