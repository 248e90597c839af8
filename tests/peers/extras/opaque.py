"""TLS passed on untouched (`--tls pass`): the gateway is blind behind AUTH, says so, and helps no data connection.

The client verifies the server's own certificate. RFC 6384 section 5: what the client asks for then goes to the server
as it is, so a passive data connection leads to a port where nobody is.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.servers import PASSWORD, SAMPLE, USER, digest_of

from . import servers
from .names import FIRST
from .stage import HOST, SAMPLE_URL, Bench, Daemon, Scene, Stage, check
from .tiny import LOGIN, ROUTE

NAMED = f"ftp://{FIRST}:{GATEWAY_PORT}"
RESOLVE = ("--resolve", f"{FIRST}:{GATEWAY_PORT}:{HOST}")


def orders(bench: Bench) -> tuple[str, ...]:
    """A gateway that passes TLS on."""
    return (ROUTE, "--tls", "pass")


def blind(stage: Stage) -> None:
    """What the gateway must have said, and that it opened nothing."""
    stage.logged(r"opaque.*data connections can no longer be helped")
    check(not any("data_" in line or "lease" in line for line in stage.log()), "the gateway opened something")
    stage.nothing_listens()


def curl_login(stage: Stage) -> None:
    """curl: log-in and the file's size, which need no data connection."""
    ran = stage.curl("--ssl-reqd", *RESOLVE, *LOGIN, "--head", f"{NAMED}/{SAMPLE}").succeeded()
    size = (stage.bench.site.root / SAMPLE).stat().st_size
    ran.shows("subject: CN=first.example", "SSL certificate verify ok", "< 230 ", f"Content-Length: {size}")
    blind(stage)


def curl_foreign(stage: Stage) -> None:
    """curl: as the gateway, by its address, the server's certificate does not do."""
    ran = stage.curl("--ssl-reqd", *LOGIN, "--head", SAMPLE_URL).failed()
    check("PASS" not in ran.said, "curl logged in")
    stage.nothing_listens()


def curl_passive(stage: Stage) -> None:
    """curl: EPSV gets an answer, the port leads nowhere, and nothing comes in the clear."""
    target = stage.folder / SAMPLE
    ran = stage.curl("--ssl-reqd", *RESOLVE, *LOGIN, "--output", str(target), f"{NAMED}/{SAMPLE}").failed()
    ran.shows("< 230 ", "< 229 ", "(Connection refused|Can't open data connection|Failed to connect|Couldn't connect)")
    check(digest_of(target) == "missing" or target.stat().st_size == 0, "something came")
    blind(stage)


def lftp_login(stage: Stage, more: str) -> str:
    """lftp: log in, do that; return what it printed."""
    settings = "set ftp:ssl-force yes; set net:timeout 3; set net:max-retries 1; "
    return stage.lftp(f"{settings} open -u {USER},{PASSWORD} {NAMED}; {more}").said


def lftp_only_login(stage: Stage) -> None:
    """lftp: log-in, and a command that needs no data connection."""
    said = lftp_login(stage, f"quote SIZE {SAMPLE}")
    check(f"213 {(stage.bench.site.root / SAMPLE).stat().st_size}" in said, "the server did not tell the size")
    blind(stage)


def lftp_passive(stage: Stage) -> None:
    """lftp: a download fails, with EPSV and with PASV."""
    for extended in ("yes", "no"):
        lftp_login(stage, f"set ftp:prefer-epsv {extended}; get {SAMPLE} -o {stage.folder}/{SAMPLE}")
        target = stage.folder / SAMPLE
        check(digest_of(target) == "missing" or target.stat().st_size == 0, "something came")
    blind(stage)


def plain_first(stage: Stage) -> None:
    """curl without TLS through the same gateway: the server demands TLS, and that is what the client hears."""
    stage.curl(*LOGIN, "--output", f"{stage.folder}/x", SAMPLE_URL).failed().shows(
        "< 530 Non-anonymous sessions must use"
    )
    stage.nothing_listens()


def scenes() -> Iterator[Scene]:
    """One gateway before vsftpd."""
    rows = {
        "curl logs in, verifies the server": curl_login,
        "curl refuses the server as the gateway": curl_foreign,
        "curl EPSV fails": curl_passive,
        "lftp logs in, verifies the server": lftp_only_login,
        "lftp EPSV and PASV fail": lftp_passive,
        "curl without TLS": plain_first,
    }
    yield Scene("pass", orders, _servers, rows)


def _servers(bench: Bench) -> list[Daemon]:
    # Else it waits a minute for a data connection of a client that has gone, and does not hear that it has.
    more = "accept_timeout=1\n"
    return [servers.vsftpd(bench, certificate=bench.certificates.folder / "first.pem", more=more)]
