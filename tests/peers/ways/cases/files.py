"""FTP through a proxy, against vsftpd: passive, active with BIND (socksify), and active without, which wants the plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tests.peers.extras.stage import check
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER, bracketed
from tests.peers.servers import FTP_PORT, PASSWORD, SAMPLE, UPLOADS, USER
from tests.peers.ways.places import ALLOWED, CONNECT, FAR, SOCKS, Way
from tests.peers.ways.stage import CLIENT_SECONDS, Case, Stage

from .gaps import CONNECT_ONLY, NO_REWRITING, NO_SOCKS4, NO_SOCKS4A
from .web import chained, proxy_option

# The script of the mitmproxy lab: ftplib over connections that PySocks opens.
THROUGH_PROXY = "tests.peers.mitm.ftplib_client"
LOGIN = ("--user", f"{USER}:{PASSWORD}")
SWITCHES = {
    "PASV": ("--disable-epsv",),
    "EPSV": (),
    "PORT": ("--ftp-port", "-", "--disable-eprt"),
    "EPRT": ("--ftp-port", "-"),
}


def by_curl(stage: Stage, option: str, mode: str, host: str, family: int = 4) -> None:
    """curl in a data mode, down and up; it must have sent that command, and no other that comes to the same.

    `family` is that of the way to the proxy, and so of the address that an active client announces.
    """
    url = f"ftp://{bracketed(host)}"
    shared = (*proxy_option(stage, option, family), *LOGIN, *SWITCHES[mode])
    down = stage.curl(*shared, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    up = stage.curl(*shared, "--upload-file", str(stage.sample), f"{url}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin")
    for ran in (down, up):
        ran.shows(rf"(?m)^> {mode}\b")
        check(ran.said.count("> RETR") + ran.said.count("> STOR") == 1, "curl should move one file")


def by_ftplib(stage: Stage, scheme: str, mode: str) -> None:
    """ftplib with PySocks: active, it announces its own address."""
    script = "tests.peers.ftplib_client"
    start = (script,) if stage.direct else (THROUGH_PROXY, scheme, stage.way.at(), script)
    for direction, remote, local in (
        ("download", SAMPLE, stage.folder / SAMPLE),
        ("upload", f"{UPLOADS}/up.bin", stage.sample),
    ):
        where = (SERVER[4], str(FTP_PORT), mode, direction, remote, str(local))
        login = ("--user", USER, "--password", PASSWORD, "--timeout", str(CLIENT_SECONDS))
        stage.python(*start, *where, *login).succeeded().shows(rf"\*cmd\* '{mode}\b")
    stage.is_sample(SAMPLE)
    stage.has_uploaded("up.bin")


def by_lftp(stage: Stage, kind: str, passive: bool) -> None:
    """lftp under proxychains, down and up in one session."""
    mode = "yes" if passive else "no"
    script = (
        f"set net:max-retries 1; set net:timeout {CLIENT_SECONDS}; set cmd:fail-exit yes; set ftp:auto-passive-mode no; "
        f"set ftp:passive-mode {mode}; set ftp:ssl-allow no; open -u {USER},{PASSWORD} ftp://{SERVER[4]}; "
        f"get {SAMPLE} -o {stage.folder}/{SAMPLE}; put {stage.sample} -o {UPLOADS}/up.bin"
    )
    stage.run(*chained(stage, kind), "lftp", "--norc", "-d", "-c", script).succeeded()
    stage.is_sample(SAMPLE)
    stage.has_uploaded("up.bin")


SOCKSIFY = """\
route {{
  from: 0/0 to: {target} via: {host} port = {port}
  proxyprotocol: {protocol}
  protocol: tcp
  command: connect bind
}}
"""


def socksified(stage: Stage, protocol: str) -> tuple[str, ...]:
    """What stands before a command line that Dante's client leads through the proxy, listening with BIND."""
    if stage.direct:
        return ()
    text = SOCKSIFY.format(target=ALLOWED[4], host=GATEWAY_INSIDE[4], port=stage.way.port, protocol=protocol)
    return ("env", f"SOCKS_CONF={stage.write('socks.conf', text)}", "socksify")


def curl_binds(stage: Stage, protocol: str, mode: str) -> None:
    """curl, active, listens at the gateway."""
    shared = (*socksified(stage, protocol), "curl", "--silent", "--show-error", "--verbose", "--max-time", "8")
    shared += (*LOGIN, *SWITCHES[mode])
    url = f"ftp://{SERVER[4]}"
    stage.run(*shared, "--output", f"{stage.folder}/{SAMPLE}", f"{url}/{SAMPLE}").succeeded().shows(rf"> {mode}\b")
    stage.is_sample(SAMPLE)
    stage.run(*shared, "--upload-file", str(stage.sample), f"{url}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin")


def inetutils_binds(stage: Stage, protocol: str) -> None:
    """inetutils' ftp, active, the same; its status is 0 whatever happens."""
    words = ("binary", f"get {SAMPLE} {stage.folder}/{SAMPLE}", f"put {stage.sample} {UPLOADS}/up.bin", "quit")
    script = "\n".join((f"user {USER} {PASSWORD}", *words, ""))
    stage.run(*socksified(stage, protocol), "inetutils-ftp", "-A", "-n", "-v", "-d", SERVER[4], script=script).shows(
        "PORT|EPRT"
    )
    stage.is_sample(SAMPLE)
    stage.has_uploaded("up.bin")


def case(name: str, way: Way, play: Callable[[Stage], None], gaps: Mapping[str, str] | None = None) -> Case:
    """All of them go without a proxy, too."""
    return Case(f"ftp, {name}", way, play, gaps or {}, direct=True)


def cases() -> Iterator[Case]:
    """Passive; active without BIND and with it."""
    yield from by_libcurl()
    yield from by_others()
    yield from with_bind()


def by_libcurl() -> Iterator[Case]:
    """curl, by its own options."""
    for option, way, gaps in (
        ("--socks4", SOCKS, NO_SOCKS4),
        ("--socks5", SOCKS, {}),
        ("--proxytunnel", CONNECT, {}),
    ):
        for mode in ("PASV", "EPSV"):
            yield case(f"curl {option} {mode}", way, partial(by_curl, option=option, mode=mode, host=SERVER[4]), gaps)
    for option, way, gaps in (
        ("--socks4a", SOCKS, NO_SOCKS4A),
        ("--socks5-hostname", SOCKS, {}),
        ("--proxytunnel", CONNECT, {}),
    ):
        yield case(f"curl {option} EPSV, name", way, partial(by_curl, option=option, mode="EPSV", host=FAR[4]), gaps)
    for option, way in (("--socks5", SOCKS), ("--proxytunnel", CONNECT)):
        yield case(f"curl {option} EPSV to IPv6", way, partial(by_curl, option=option, mode="EPSV", host=SERVER[6]))
    for option, way in (("--socks4", SOCKS), ("--socks5", SOCKS), ("--proxytunnel", CONNECT)):
        for mode in ("PORT", "EPRT"):
            curl = partial(by_curl, option=option, mode=mode, host=SERVER[4])
            yield case(f"curl {option} {mode}", way, curl, NO_REWRITING)
    for option, way in (("--socks5", SOCKS), ("--proxytunnel", CONNECT)):
        for family in (4, 6):
            curl = partial(by_curl, option=option, mode="EPRT", host=SERVER[6], family=family)
            yield case(f"curl {option} over IPv{family}, EPRT to IPv6", way, curl, NO_REWRITING)


def by_others() -> Iterator[Case]:
    """ftplib with PySocks, lftp under proxychains."""
    for scheme, way in (("socks5", SOCKS), ("http", CONNECT)):
        for mode in ("PASV", "EPSV"):
            yield case(f"ftplib {scheme} {mode}", way, partial(by_ftplib, scheme=scheme, mode=mode))
        yield case(f"proxychains4 {scheme}, lftp passive", way, partial(by_lftp, kind=scheme, passive=True))
        for mode in ("PORT", "EPRT"):
            yield case(f"ftplib {scheme} {mode}", way, partial(by_ftplib, scheme=scheme, mode=mode), NO_REWRITING)
        lftp = partial(by_lftp, kind=scheme, passive=False)
        yield case(f"proxychains4 {scheme}, lftp active", way, lftp, NO_REWRITING)


def with_bind() -> Iterator[Case]:
    """Active clients under socksify."""
    for protocol in ("socks_v4", "socks_v5"):
        for mode in ("PORT", "EPRT"):
            binds = partial(curl_binds, protocol=protocol, mode=mode)
            yield case(f"socksify {protocol}, curl {mode}", SOCKS, binds, CONNECT_ONLY)
        inetutils = partial(inetutils_binds, protocol=protocol)
        yield case(f"socksify {protocol}, inetutils-ftp active", SOCKS, inetutils, CONNECT_ONLY)
