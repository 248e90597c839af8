"""The command lines of the gateway under test, one for each way in. What its options are called stands here alone."""

from __future__ import annotations

from tests.peers.gateway import Orders, route
from tests.peers.namespaces import CLIENT, GATEWAY_INSIDE, SERVER, bracketed
from tests.peers.servers import FTP_PORT

from .places import (
    ALLOWED,
    BALANCED_FTP,
    BALANCER,
    CONNECT,
    CONNECT_LOGIN,
    DEEP_ALLOWED,
    DEEP_NAME,
    FAR,
    HEADER,
    HEADER_FTP,
    PASSWORD,
    SECOND_HTTP_PORT,
    SECOND_SOCKS_PORT,
    SOCKS,
    SOCKS_LOGIN,
    USER,
    VIA_HTTP,
    VIA_SOCKS,
    WEB_PORT,
    Way,
)

READY = r"\bready: "
LOGIN = ("--proxy-auth", f"{USER}:{PASSWORD}")
FTP = ("--plugin", f"{FTP_PORT}=ftp")
TRUSTED = ("--accept-proxy-protocol", f"{CLIENT[4]}/32")


def _allow(*targets: str) -> tuple[str, ...]:
    return tuple(word for target in targets for word in ("--allow-upstream", target))


def _listen(scheme: str, way: Way, *more: str) -> tuple[str, ...]:
    """A way at its addresses, and what else is said of it."""
    return (*(f"{scheme}@{bracketed(host)}:{port}" for host, port in way.listens), *more)


SERVERS = _allow(*ALLOWED.values(), *FAR.values())
BEHIND = _allow(DEEP_ALLOWED, DEEP_NAME, ALLOWED[4])

ARGUMENTS: dict[Way, tuple[str, ...]] = {
    SOCKS: _listen("socks", SOCKS, *SERVERS, *FTP),
    SOCKS_LOGIN: _listen("socks", SOCKS_LOGIN, *SERVERS, *FTP, *LOGIN),
    CONNECT: _listen("connect", CONNECT, *SERVERS, *FTP),
    CONNECT_LOGIN: _listen("connect", CONNECT_LOGIN, *SERVERS, *FTP, *LOGIN),
    HEADER: (route("tcp", GATEWAY_INSIDE[4], HEADER.port, SERVER[4], WEB_PORT), *TRUSTED),
    HEADER_FTP: (route("ftp", GATEWAY_INSIDE[4], HEADER_FTP.port, SERVER[4], FTP_PORT), *TRUSTED),
    BALANCED_FTP: (
        *(route("ftp", GATEWAY_INSIDE[4], BALANCED_FTP.port, SERVER[4], FTP_PORT), "--accept-proxy-protocol"),
        f"{BALANCER}/32",
    ),
    VIA_SOCKS: _listen("socks", VIA_SOCKS, "--via", f"socks5://{SERVER[4]}:{SECOND_SOCKS_PORT}", *BEHIND, *FTP),
    VIA_HTTP: _listen("socks", VIA_HTTP, "--via", f"http://{SERVER[4]}:{SECOND_HTTP_PORT}", *BEHIND, *FTP),
}


def orders(way: Way) -> Orders:
    """What the gateway is told for a way in."""
    return Orders(ARGUMENTS[way], len(way.listens), ready=READY)
