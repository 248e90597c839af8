"""RFC 6384: clients and servers of different address families, and what a client can ask about that (ALGS).

vsftpd listens on one family only. The table of cells has curl, lftp and ftplib; here are those that know the old
commands only, and a raw client that says ALGS.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import closing

from tests.peers import clients
from tests.peers.clients import Invocation, Transfer
from tests.peers.control_tap import Tap, modes_used
from tests.peers.gateway import GATEWAY_PORT, route
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER
from tests.peers.raw_client import OddError, RawClient
from tests.peers.servers import FTP_PORT, SAMPLE

from . import servers
from .stage import Bench, Daemon, RowError, Scene, Stage, check


def orders(bench: Bench, inside: int, outside: int) -> tuple[str, ...]:
    """From one family to the other."""
    return (route("ftp", GATEWAY_INSIDE[inside], GATEWAY_PORT, SERVER[outside], FTP_PORT),)


def moved(
    stage: Stage, client: Callable[[Transfer], Invocation], mode: str, inside: int, wanted: str, up: bool
) -> None:
    """One file, one way; the server must see the command of its own family."""
    source = stage.bench.site.root / SAMPLE
    local = stage.folder / ("up.bin" if up else SAMPLE)
    if up:
        local.write_bytes(source.read_bytes())
    direction = "upload" if up else "download"
    invocation = client(Transfer(mode, inside, direction, GATEWAY_INSIDE[inside], GATEWAY_PORT, local))
    with closing(Tap(stage.lab.server, FTP_PORT)) as tap:
        stage.run(*invocation.command, script=invocation.script).succeeded()
        used = modes_used(tap.lines())
    check(used == [wanted], f"the server saw {used}, not {wanted}")
    if up:
        stage.has_uploaded(local.name, source)
    else:
        stage.is_sample(SAMPLE)


def asked(raw: RawClient, command: str, reply: str) -> None:
    """Say a command; its reply must be this."""
    raw.send([f"{command}\r\n"])
    said = raw.expect(reply[0])
    check(re.fullmatch(reply, said) is not None, f"'{command}' was answered with '{said}', not '{reply}'")


def raw_client(stage: Stage, family: int, talk: Callable[[Stage, RawClient], None]) -> None:
    """Log in with the raw client, and talk."""
    try:
        with RawClient(stage.lab.client, GATEWAY_INSIDE[family], GATEWAY_PORT) as raw:
            talk(stage, raw)
    except OddError as error:
        raise RowError(str(error)) from error


def fetched(stage: Stage, raw: RawClient, command: str) -> None:
    """The sample by that passive command."""
    connection = raw.passive(command, check_address=True)
    raw.retrieve()
    check(raw.digest(connection) == stage.bench.site.sample_digest, "the download is not the sample")


def algs(stage: Stage, raw: RawClient) -> None:
    """An IPv6 client of an IPv4 server: what is translated, switched off, and on again (RFC 6384 section 11)."""
    asked(raw, "ALGS STATUS64", "216 EPSV EPRT")
    fetched(stage, raw, "EPSV")
    asked(raw, "ALGS DISABLE64", "216 NONE")
    asked(raw, "ALGS STATUS64", "216 NONE")
    asked(raw, "ALGS ENABLE64", "216 EPSV EPRT")
    fetched(stage, raw, "EPSV 2")
    asked(raw, "ALGS NONSENSE", "504 .*")
    asked(raw, "ALGS", "501 .*")


def algs_untranslated(stage: Stage, raw: RawClient) -> None:
    """Where the families are the same, nothing is translated."""
    asked(raw, "ALGS STATUS64", "216 NONE")
    fetched(stage, raw, "EPSV")


def epsv_all(stage: Stage, raw: RawClient) -> None:
    """EPSV ALL of an IPv6 client, before an IPv4 server; EPRT is refused from there on (RFC 2428 section 4)."""
    asked(raw, "EPSV ALL", "200 .*")
    fetched(stage, raw, "EPSV")
    asked(raw, "EPRT |2|fd77:1::2|40000|", "5.*")
    fetched(stage, raw, "EPSV")


def scenes() -> Iterator[Scene]:
    """Both directions, and the same family for comparison."""
    made = {"curl": clients.curl, "ncftp": clients.ncftp, "tnftp": clients.tnftp, "wget": clients.wget}
    old = {
        f"{name} {mode} {'up' if up else 'down'}": functools.partial(
            moved, client=made[name], mode=mode, inside=4, wanted=wanted, up=up
        )
        for name in made
        for mode, wanted in (("PASV", "EPSV"), ("PORT", "EPRT"))
        for up in (False, True)
        if (name, up) != ("wget", True)
    }
    yield Scene("families IPv4 client, IPv6 server", functools.partial(orders, inside=4, outside=6), _at(6), old)
    new = {
        f"{name} {mode} {'up' if up else 'down'}": functools.partial(
            moved, client=made[name], mode=mode, inside=6, wanted=wanted, up=up
        )
        for name in ("curl", "tnftp", "wget")
        for mode, wanted in (("EPSV", "PASV"), ("EPRT", "PORT"))
        for up in (False, True)
        if (name, up) != ("wget", True)
    }
    new["raw client, ALGS"] = functools.partial(raw_client, family=6, talk=algs)
    new["raw client, EPSV ALL"] = functools.partial(raw_client, family=6, talk=epsv_all)
    yield Scene("families IPv6 client, IPv4 server", functools.partial(orders, inside=6, outside=4), _at(4), new)
    same: dict[str, Callable[[Stage], None]] = {
        "raw client, ALGS": functools.partial(raw_client, family=6, talk=algs_untranslated)
    }
    yield Scene("families IPv6 both", functools.partial(orders, inside=6, outside=6), _at(6), same)


def _at(family: int) -> Callable[[Bench], list[Daemon]]:
    return lambda bench: [servers.vsftpd(bench, address=SERVER[family])]
