"""ssh to a real sshd, through what netcat and ncat make of a proxy: a command's output, and a MiB each way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.peers.namespaces import SERVER
from tests.peers.servers import SAMPLE, UPLOADS, USER
from tests.peers.ways.places import CONNECT, CONNECT_LOGIN, FAR, PASSWORD, SOCKS, SOCKS_LOGIN, Way
from tests.peers.ways.places import USER as PROXY_USER
from tests.peers.ways.stage import Case, Stage

from .gaps import NO_SOCKS4


def by_ssh(stage: Stage, proxy: str, host: str = SERVER[4]) -> None:
    """Run commands on the server; `proxy` is the command line between, with `{at}` for the way in."""
    scratch = stage.bench.scratch
    fixed = {
        "IdentityFile": scratch / "client_key",
        "UserKnownHostsFile": scratch / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "HostKeyAlias": SERVER[4],
        "BatchMode": "yes",
        "ConnectTimeout": "8",
    }
    if not stage.direct:
        fixed["ProxyCommand"] = f"{proxy.format(at=stage.way.at())} %h %p"
    ssh = ("ssh", "-F", "none", *(word for key, value in fixed.items() for word in ("-o", f"{key}={value}")))
    login = f"{USER}@{host}"
    stage.run(*ssh, login, f"sha256sum {SAMPLE}").succeeded().shows(stage.bench.site.sample_digest)
    whole = " ".join((*(f"'{word}'" for word in ssh), login))
    stage.run("sh", "-c", f"{whole} cat {SAMPLE} >{stage.folder}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    stage.run("sh", "-c", f"{whole} 'cat >{UPLOADS}/up.bin' <{stage.sample}").succeeded()
    stage.has_uploaded("up.bin")


def cases() -> Iterator[Case]:
    """netcat and ncat with each kind that they know."""

    def case(name: str, way: Way, play: Callable[[Stage], None], *, four: bool = False, direct: bool = True) -> Case:
        return Case(f"ssh, {name}", way, play, NO_SOCKS4 if four else {}, direct)

    for kind, way in (("4", SOCKS), ("5", SOCKS), ("connect", CONNECT)):
        netcat = partial(by_ssh, proxy=f"nc.openbsd -X {kind} -x {{at}}")
        yield case(f"nc -X {kind}", way, netcat, four=kind == "4")
    named = partial(by_ssh, proxy="nc.openbsd -X 5 -x {at}", host=FAR[4])
    yield case("nc -X 5, name", SOCKS, named)
    for kind, way in (("socks4", SOCKS), ("socks5", SOCKS), ("http", CONNECT)):
        ncat = partial(by_ssh, proxy=f"ncat --proxy {{at}} --proxy-type {kind}")
        yield case(f"ncat {kind}", way, ncat, four=kind == "socks4")
    for kind, way in (("socks5", SOCKS_LOGIN), ("http", CONNECT_LOGIN)):
        login = f"--proxy-auth {PROXY_USER}:{PASSWORD}"
        ncat = partial(by_ssh, proxy=f"ncat --proxy {{at}} --proxy-type {kind} {login}")
        yield case(f"ncat {kind}, password", way, ncat, direct=False)
