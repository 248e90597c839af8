"""The client chooses its server: by USER name@host[:port], or by the name that it asks for in its TLS handshake.

Two servers: vsftpd as first.example, with TLS in one of the scenes, and pyftpdlib as second.example, at two ports. Each
has a folder of its own, so a file shows who was reached.
"""

from __future__ import annotations

import dataclasses
import ftplib
import functools
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.namespaces import SERVER
from tests.peers.servers import PASSWORD, SAMPLE, USER, Site, digest_of

from . import servers
from .names import FIRST, SECOND, SECOND_ADDRESS
from .s_client import s_client
from .stage import HOST, SAMPLE_URL, Bench, Daemon, Row, RowError, Scene, Stage, check
from .stage import URL as GATEWAY_URL

ROUTE = f"ftp://*@{HOST}:{GATEWAY_PORT}"
OTHER_PORT = 2100
NOWHERE = "third.example"
ALLOWED = (FIRST, f"{SERVER[4]}:21", f"{SECOND_ADDRESS[4]}:{OTHER_PORT}", SECOND)


def orders(bench: Bench, *more: str) -> tuple[str, ...]:
    """A gateway that lets clients choose out of a few servers."""
    allowed = [word for upstream in ALLOWED for word in ("--allow-upstream", upstream)]
    return (ROUTE, *allowed, *more)


def minting_orders(bench: Bench) -> tuple[str, ...]:
    """The same with TLS both ways: minted certificates toward the client, the server's verified."""
    return orders(
        bench, "--tls", "mint", "--upstream-tls", "require", "--upstream-ca", str(bench.certificates.authority)
    )


def second_site(bench: Bench) -> Site:
    """The second server's folder."""
    folder = bench.scratch / "second"
    if not folder.is_dir():
        folder.mkdir()
        return Site(folder, 4000)
    site = Site.__new__(Site)
    site.root = folder / "root"
    site.uploads = site.root / "upload"
    site.sample_digest = digest_of(site.root / SAMPLE)
    return site


def is_second(stage: Stage, name: str = SAMPLE) -> None:
    """The file is the second server's."""
    check(
        digest_of(stage.folder / name) == second_site(stage.bench).sample_digest, "the file is not the second server's"
    )


def curl(stage: Stage, host: str, second: bool, *options: str) -> None:
    """curl: the server in the user's name."""
    # In a URL, as `--user` takes what stands behind the first colon as the password.
    url = SAMPLE_URL.replace("//", f"//{quote(f'{USER}@{host}', safe='')}:{PASSWORD}@")
    stage.curl(*options, "--output", f"{stage.folder}/{SAMPLE}", url).succeeded()
    is_second(stage) if second else stage.is_sample(SAMPLE)


def lftp(stage: Stage, host: str, second: bool, settings: str = "set ftp:ssl-allow no; ") -> None:
    """lftp: likewise."""
    user = f'-u "{USER}@{host},{PASSWORD}"'
    stage.lftp(f"{settings} open {user} {GATEWAY_URL}; get {SAMPLE} -o {stage.folder}/{SAMPLE}").succeeded()
    is_second(stage) if second else stage.is_sample(SAMPLE)


def ncftp(stage: Stage, host: str, second: bool) -> None:
    """ncftpget: likewise."""
    options = (
        "-u",
        f"{USER}@{host}",
        "-p",
        PASSWORD,
        "-P",
        str(GATEWAY_PORT),
        "-t",
        "10",
        "-r",
        "0",
        "-V",
        "-d",
        "stdout",
    )
    stage.run("ncftpget", *options, "-F", "-C", HOST, SAMPLE, f"{stage.folder}/{SAMPLE}").succeeded()
    is_second(stage) if second else stage.is_sample(SAMPLE)


def refused(stage: Stage, host: str) -> None:
    """A server that is not allowed: said so to the client, recorded, and the password never asked for."""
    url = SAMPLE_URL.replace("//", f"//{quote(f'{USER}@{host}', safe='')}:{PASSWORD}@")
    ran = stage.curl("--output", f"{stage.folder}/x", url).failed()
    # A name may lead to an address that is allowed, so it is looked up.
    ran.shows("< 530 The server cannot be reached" if host == NOWHERE else "< 530 This server is not allowed")
    check("> PASS" not in ran.said, "curl sent its password")
    check(not any("upstream_open" in line for line in stage.log()), "the gateway connected")


def unnamed(stage: Stage) -> None:
    """A client that names no server is asked which."""
    login = ("--user", f"{USER}:{PASSWORD}")
    stage.curl(*login, "--output", f"{stage.folder}/x", SAMPLE_URL).failed().shows("< 530 Which server")


def opened(stage: Stage, command: str) -> None:
    """ftplib: OPEN and SITE OPEN before USER."""
    with stage.ftplib(ftplib.FTP) as ftp:
        ftp.connect(HOST, GATEWAY_PORT)
        ftp.voidcmd(f"{command} {SECOND}:21")
        ftp.login(USER, PASSWORD)
        with (stage.folder / SAMPLE).open("wb") as target:
            ftp.retrbinary(f"RETR {SAMPLE}", target.write)
    is_second(stage)


def minted(stage: Stage) -> tuple[str, ...]:
    """What makes curl trust the gateway's own authority alone."""
    return ("--ssl-reqd", "--cacert", str(minting_authority(stage.bench)))


def minting_authority(bench: Bench) -> Path:
    """The gateway's own authority, made on its first run."""
    found = sorted(bench.certificates.home.rglob("*.pem"))
    if not found:
        raise RowError("the gateway has made no authority")
    return next(file for file in found if "BEGIN CERTIFICATE" in file.read_text())


def curl_minted(stage: Stage, host: str, second: bool) -> None:
    """curl with TLS: the gateway's certificate is minted for its address."""
    curl(stage, host, second, *minted(stage))


def lftp_minted(stage: Stage, host: str, second: bool) -> None:
    """lftp with TLS."""
    lftp(stage, host, second, f"set ftp:ssl-force yes; set ssl:ca-file {minting_authority(stage.bench)}; ")


def curl_named(stage: Stage, name: str, second: bool) -> None:
    """curl: it connects to a name, which is the gateway, and asks for that name by SNI; the user is just the user."""
    options = (*minted(stage), "--connect-to", f"{name}:{GATEWAY_PORT}:{HOST}:{GATEWAY_PORT}")
    login = ("--user", f"{USER}:{PASSWORD}")
    target = stage.folder / SAMPLE
    ran = stage.curl(*options, *login, "--output", str(target), f"ftp://{name}:{GATEWAY_PORT}/{SAMPLE}").succeeded()
    ran.shows(f'subjectAltName: host "{name}" matched')
    is_second(stage) if second else stage.is_sample(SAMPLE)


def lftp_named(stage: Stage, name: str, second: bool) -> None:
    """lftp: likewise; the name is in its /etc/hosts."""
    settings = f"set ftp:ssl-force yes; set ssl:ca-file {minting_authority(stage.bench)}; "
    script = f"open -u {USER},{PASSWORD} ftp://{name}:{GATEWAY_PORT}; get {SAMPLE} -o {stage.folder}/{SAMPLE}"
    stage.lftp(settings + script).succeeded()
    is_second(stage) if second else stage.is_sample(SAMPLE)


def openssl_named(stage: Stage, name: str) -> None:
    """openssl s_client: the server of that name takes the user."""
    trust = ("-CAfile", str(minting_authority(stage.bench)), "-verify_return_error", "-verify_hostname", name)
    said = s_client(stage, *trust, "-servername", name)
    check("Verification: OK" in said and "\n215 " in said, "the log-in did not come about")
    stage.logged(f"upstream_open .*{name}")


def named_foreign(stage: Stage) -> None:
    """A name that is not allowed gets no certificate."""
    name = NOWHERE
    options = (*minted(stage), "--connect-to", f"{name}:{GATEWAY_PORT}:{HOST}:{GATEWAY_PORT}")
    target = f"ftp://{name}:{GATEWAY_PORT}/{SAMPLE}"
    ran = stage.curl(*options, "--user", f"{USER}:{PASSWORD}", "--output", f"{stage.folder}/x", target).failed()
    check("> USER" not in ran.said, "curl went on")
    check("> PASS" not in ran.said, "curl sent its password")


def scenes() -> Iterator[Scene]:
    """In the clear, and with TLS both ways."""
    by_user = {
        SERVER[4]: False,
        FIRST: False,
        SECOND: True,
        f"{SECOND_ADDRESS[4]}:{OTHER_PORT}": True,
    }
    rows: dict[str, Row] = {
        f"{client.__name__}, {USER}@{host}": functools.partial(client, host=host, second=second)
        for client in (curl, lftp, ncftp)
        for host, second in by_user.items()
    }
    others = (SECOND_ADDRESS[4], f"{SERVER[4]}:990", "127.0.0.1", HOST, NOWHERE)
    rows |= {f"curl, {USER}@{host} refused": functools.partial(refused, host=host) for host in others}
    rows["curl, no server named"] = unnamed
    rows |= {f"ftplib, {word}": functools.partial(opened, command=word) for word in ("OPEN", "SITE OPEN")}
    yield Scene("choice plain", orders, functools.partial(_servers, secure=False), rows)

    private: dict[str, Row] = {
        f"{name}, {USER}@{host}": functools.partial(client, host=host, second=second)
        for name, client in (("curl", curl_minted), ("lftp", lftp_minted))
        for host, second in by_user.items()
    }
    for name, second in ((FIRST, False), (SECOND, True)):
        private[f"curl, SNI {name}"] = functools.partial(curl_named, name=name, second=second)
        private[f"lftp, SNI {name}"] = functools.partial(lftp_named, name=name, second=second)
        private[f"openssl s_client, SNI {name}"] = functools.partial(openssl_named, name=name)
    private[f"curl, SNI {NOWHERE} refused"] = named_foreign
    yield Scene("choice TLS", minting_orders, functools.partial(_servers, secure=True), private)


def _servers(bench: Bench, secure: bool) -> list[Daemon]:
    folder = bench.certificates.folder
    first = folder / "first.pem" if secure else None
    second = folder / "second.pem" if secure else None
    other = dataclasses.replace(bench, site=second_site(bench))
    address = SECOND_ADDRESS[4]
    beside = servers.pyftpdlib(other, address=address, port=OTHER_PORT, certificate=second)
    return [
        servers.vsftpd(bench, address=SERVER[4], certificate=first),
        servers.pyftpdlib(other, address=address, certificate=second),
        dataclasses.replace(beside, name="pyftpdlib, other port"),
    ]
