"""curl and proxychains move a MiB down and up between themselves and nginx, by every kind of proxy and address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tests.peers.namespaces import GATEWAY_INSIDE, SERVER, bracketed
from tests.peers.servers import SAMPLE, UPLOADS
from tests.peers.ways.places import (
    CLOSED_PORT,
    CONNECT,
    CONNECT_LOGIN,
    FAR,
    FORBIDDEN,
    NOWHERE,
    PASSWORD,
    SOCKS,
    SOCKS_LOGIN,
    USER,
    WEB_PORT,
    Way,
)
from tests.peers.ways.stage import Case, Stage

from .gaps import NO_RULES, NO_SOCKS4, NO_SOCKS4A, SAYS_401

LOGIN = f"{USER}:{PASSWORD}"
# curl's status where a SOCKS proxy refuses, and where an HTTP proxy does.
PROXY_FAILED, TUNNEL_FAILED = 97, 56
# With --fail, curl says 22 for an HTTP proxy's refusal as for a server's.
AS_IT_IS = "--no-fail"


def proxy_option(stage: Stage, option: str, family: int = 4) -> tuple[str, ...]:
    """What tells curl of the proxy; nothing where there is none."""
    if stage.direct:
        return ()
    if option == "--proxytunnel":
        return (option, "--proxy", f"http://{stage.way.at(family)}")
    return (option, stage.way.at(family))


def move(stage: Stage, proxy: tuple[str, ...], host: str, port: int = 80) -> None:
    """Down and up."""
    url = f"http://{bracketed(host)}:{port}"
    stage.curl(*proxy, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    stage.curl(*proxy, "--upload-file", str(stage.sample), f"{url}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin")


def by_curl(stage: Stage, option: str, host: str, family: int = 4, login: str = "") -> None:
    """curl, with one of its options; `family` is that of the way to the proxy."""
    move(stage, (*proxy_option(stage, option, family), *(("--proxy-user", login) if login else ())), host)


def denied(stage: Stage, option: str, login: str) -> None:
    """curl is turned away: its status says that the proxy did it, and for HTTP that a login is wanted."""
    proxy = (*proxy_option(stage, option), *(("--proxy-user", login) if login else ()))
    ran = stage.curl(AS_IT_IS, *proxy, "--output", f"{stage.folder}/{SAMPLE}", f"http://{SERVER[4]}/{SAMPLE}")
    if option == "--proxytunnel":
        ran.ended(TUNNEL_FAILED).shows("HTTP/1.[01] 407", "(?i)proxy-authenticate: basic")
    else:
        ran.ended(PROXY_FAILED)


def refused(stage: Stage, option: str, host: str, port: int) -> None:
    """curl's status says that the proxy did not let it through, or could not reach the target."""
    ran = stage.curl(AS_IT_IS, *proxy_option(stage, option), f"http://{host}:{port}/{SAMPLE}")
    if option == "--proxytunnel":
        ran.ended(TUNNEL_FAILED).shows("HTTP/1.[01] [45]", "CONNECT tunnel failed")
    else:
        ran.ended(PROXY_FAILED)


CHAINS = """\
strict_chain
tcp_read_time_out 6000
tcp_connect_time_out 6000
quiet_mode
[ProxyList]
{kind} {host} {port}
"""


def chained(stage: Stage, kind: str) -> tuple[str, ...]:
    """What stands before a command line that proxychains leads through the proxy."""
    if stage.direct:
        return ()
    text = CHAINS.format(kind=kind, host=GATEWAY_INSIDE[4], port=stage.way.port)
    return ("proxychains4", "-f", stage.write("proxychains.conf", text))


def by_proxychains(stage: Stage, kind: str) -> None:
    """curl knows nothing of the proxy."""
    url = f"http://{SERVER[4]}"
    curl = (*chained(stage, kind), "curl", "--silent", "--show-error", "--fail", "--max-time", "8")
    stage.run(*curl, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    stage.run(*curl, "--upload-file", str(stage.sample), f"{url}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin")


def cases() -> Iterator[Case]:
    """Every kind of proxy, then passwords, then proxychains."""

    def case(
        name: str, way: Way, play: Callable[[Stage], None], gaps: Mapping[str, str] | None = None, direct: bool = True
    ) -> Case:
        return Case(f"web, {name}", way, play, gaps or {}, direct)

    yield case("curl --socks4", SOCKS, partial(by_curl, option="--socks4", host=SERVER[4]), NO_SOCKS4)
    yield case("curl --socks4a, name", SOCKS, partial(by_curl, option="--socks4a", host=FAR[4]), NO_SOCKS4A)
    for way, option, by_name in (
        (SOCKS, "--socks5", "--socks5-hostname"),
        (CONNECT, "--proxytunnel", "--proxytunnel"),
    ):
        for family in (4, 6):
            yield case(f"curl {option} to IPv{family}", way, partial(by_curl, option=option, host=SERVER[family]))
            yield case(f"curl {by_name}, name of IPv{family}", way, partial(by_curl, option=by_name, host=FAR[family]))
        over = partial(by_curl, option=option, host=SERVER[4], family=6)
        yield case(f"curl {option} over IPv6", way, over)
    yield case("curl --socks5, name known to the client", SOCKS, partial(by_curl, option="--socks5", host="server4"))
    for way, option in ((SOCKS_LOGIN, "--socks5"), (CONNECT_LOGIN, "--proxytunnel")):
        right = partial(by_curl, option=option, host=SERVER[4], login=LOGIN)
        yield case(f"curl {option}, right password", way, right, direct=False)
        for name, login in (
            ("wrong password", f"{USER}:wrong"),
            ("wrong user", f"bob:{PASSWORD}"),
            ("no password", ""),
        ):
            play = partial(denied, option=option, login=login)
            yield case(f"curl {option}, {name}", way, play, SAYS_401 if login else None, direct=False)
    for option in ("--socks4", "--socks4a"):
        without = partial(denied, option=option, login="")
        yield case(f"curl {option} where a password is asked", SOCKS_LOGIN, without, direct=False)
    yield from refusals()
    for kind, way in (("socks4", SOCKS), ("socks5", SOCKS), ("http", CONNECT)):
        gaps = NO_SOCKS4 if kind == "socks4" else None
        yield case(f"proxychains4 {kind}, curl", way, partial(by_proxychains, kind=kind), gaps)


def refusals() -> Iterator[Case]:
    """What curl makes of a refusal."""
    for option, way in (("--socks4a", SOCKS), ("--socks5-hostname", SOCKS), ("--proxytunnel", CONNECT)):
        for name, host, port in (
            ("a forbidden target", FORBIDDEN, WEB_PORT),
            ("a closed port", SERVER[4], CLOSED_PORT),
            ("an unknown name", NOWHERE, WEB_PORT),
        ):
            # A proxy that knows no SOCKS4 refuses, too, and curl says the same.
            gaps = NO_RULES if host == FORBIDDEN and option != "--socks4a" else {}
            yield Case(f"web, curl {option}, {name}", way, partial(refused, option=option, host=host, port=port), gaps)
