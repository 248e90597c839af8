"""The command line as a user sees it: exact lines, exit codes, never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alg import __version__
from alg.cli import main
from tests import pki

CONFIG = """\
drain = 5
[routes.files]
route = "ftp://203.0.113.2@10.77.1.1:2121"
client = { advertise = "198.51.100.1", targets = ["10.0.0.0/8"] }
server = { bind = "203.0.113.1", ports = "20000-20999", min_port = 20 }
options = { profiles = ["read-only"] }
[routes.web]
route = "tcp://www.example.org:80@[::]:8080"
"""
SAID = """\
ftp 10.77.1.1:2121 -> 203.0.113.2:21
  plugin ftp reads what clients and servers say
  clients: no TLS
  servers: TLS if the client has it
  servers: show a certificate for their own name by a CA of the system
"""

CHOOSING = ("transparent 0.0.0.0:8080", "socks 127.0.0.1:1080", "connect 127.0.0.1:8081")


def alg(*arguments: str | Path) -> Result:
    """Run it."""
    return CliRunner().invoke(main, [str(each) for each in arguments], prog_name="alg")


def test_version() -> None:
    """One line with all that a report of a defect needs."""
    result = alg("--version")
    assert result.exit_code == 0
    number = r"(\S+|not installed)"
    line = rf"alg {re.escape(__version__)}, Python \S+, \S+ \S+"
    line += (
        "".join(f", {name} {number}" for name in ("pydantic", "click", "uvloop", "cryptography", "mitmproxy")) + r"\n"
    )
    assert re.fullmatch(line, result.stdout)


def test_check_shows_what_would_happen(tmp_path: Path) -> None:
    """`alg check` prints the routes with all their defaults, and nothing else."""
    path = tmp_path / "alg.toml"
    path.write_text(CONFIG)
    result = alg("check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(SAID)
    lines = result.stdout.splitlines()
    assert "tcp [::]:8080 -> www.example.org:80" in lines
    assert lines[6:11] == [
        "  clients: data channels listen at the local address of the client's leg, ports 16384-32767",
        "  clients: are told 198.51.100.1",
        "  clients: may announce their own address, 10.0.0.0/8, ports from 1024",
        "  servers: data channels listen at 203.0.113.1, ports 20000-20999",
        "  servers: may announce their own address, ports from 20",
    ]
    assert lines[-2:] == [
        "connect within 10 s, idle for 900 s at most, drain within 5 s",
        "at most 100000 sessions, 10000 of one client; 16 leases a session, 256 a client, 4096 in all",
    ]


def test_check_shows_the_ways_in(tmp_path: Path) -> None:
    """Who may ask, and how; which plugin treats what; where that may lead, and what servers see."""
    path = tmp_path / "alg.toml"
    path.write_text("""
[routes.all]
route = "transparent@0.0.0.0:8080"
upstreams = ["10.0.0.0/8"]
plugins = { 53 = ["tcp", "udp"], "8000-8010" = "http" }
keep_client_address = true
[routes.asked]
route = "socks@127.0.0.1:1080"
upstreams = ["*"]
users = { ann = "secret" }
client = { proxy_protocol = ["192.0.2.1"] }
[routes.chained]
route = "connect@127.0.0.1:8081"
upstreams = ["a.example"]
clients = ["203.0.113.0/24"]
server = { via = "socks5://192.0.2.9:1080" }
""")
    result = alg("check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    transparent, asked, chained = (lines.index(f"{name} -> as the client says") for name in CHOOSING)
    assert lines[transparent + 1 : transparent + 3] == [
        "  clients: know nothing of us: what they say is intercepted (alg nft)",
        "  port 53=tcp:",
    ]
    assert "  port 53=udp:\n    plugin udp reads nothing\n    datagrams: a flow ends after 60 s" in result.stdout
    assert "  port 8000-8010=http:\n    plugin http reads what clients and servers say\n" in result.stdout
    assert "  servers: see the address of their client" in lines[transparent:asked]
    assert "  clients: data channels listen at the address of whom we stand for, ports 16384-32767" in lines
    assert lines[asked + 1 : asked + 5] == [
        "  clients: ask for their connections by SOCKS4, 4a or 5, and for datagrams by SOCKS5",
        "  clients: need the password of one of 1 users",
        "  clients: must say by the PROXY protocol for whom they come: 192.0.2.1/32",
        "  other ports: plugin tcp reads nothing",
    ]
    assert "secret" not in result.stdout
    assert (
        "  clients: need no password: those whose address is not of the public Internet, 203.0.113.0/24"
        in lines[chained:]
    )
    assert "  servers: are reached through socks5://192.0.2.9:1080" in lines[chained:]
    assert "at most 8192 flows of datagrams" in result.stdout


def test_check_shows_tls(tmp_path: Path) -> None:
    """What clients are shown, what servers must show, who may be chosen, and what they are told."""
    pair = pki.make("a.example.org", "*.b.example.org", to_days=30)
    valid = f"{pair.certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    (tmp_path / "cert.pem").write_bytes(pair.both)
    (tmp_path / "ca.pem").write_bytes(pki.ca().pem)
    (tmp_path / "alg.toml").write_text(f"""
[routes.choice]
route = "ftp://*@127.0.0.1:2121"
upstreams = ["ftp.example.org", "10.0.0.0/8"]
client = {{ tls = {{ certificate = "cert.pem", resumption = true }} }}
[routes.choice.server]
tls = {{ policy = "require", ca = "ca.pem", name = "x.example.org", pin = ["{"ab" * 32}"], certificate = "cert.pem" }}
proxy_protocol = "v2"
[routes.implicit]
route = "ftps://192.0.2.1@127.0.0.1:990"
client = {{ tls = "mint" }}
server = {{ tls = {{ verify = false }} }}
[routes.pass]
route = "ftp://192.0.2.1@127.0.0.1:21"
client = {{ tls = "pass" }}
server = {{ tls = {{ pin = ["{"ab" * 32}", "{"cd" * 32}"] }} }}
""")
    result = alg("check", tmp_path / "alg.toml")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.strip() for line in result.stdout.splitlines() if "TLS" in line or "certificate" in line]
    names = "a.example.org, *.b.example.org"
    assert lines == [
        "clients: TLS if they ask for it",
        "clients: must resume their TLS session on data channels",
        "servers: TLS is required",
        f"servers: show a certificate for x.example.org by {tmp_path / 'ca.pem'}, and one of 1 pinned certificates",
        "clients: TLS from the first byte",
        "clients: see certificates of the local CA for the upstream and this host, by their names",
        "servers: TLS from the first byte",
        "servers: certificates are NOT verified",
        "clients: TLS passes untouched",
        "servers: TLS if the client has it",
        "servers: show one of 2 pinned certificates",
    ]
    cert = tmp_path / "cert.pem"
    assert f"  clients: see {cert} for {names}, valid until {valid}\n" in result.stdout
    assert f"  servers: are shown {cert} for {names}, valid until {valid}\n" in result.stdout
    assert "  servers: are told by PROXY protocol v2 who their client is\n" in result.stdout
    assert "  servers: clients may choose ftp.example.org, 10.0.0.0/8\n" in result.stdout


def test_check_of_a_wrong_file(tmp_path: Path) -> None:
    """Each error is one line on stderr; the exit code is that of bad configuration."""
    path = tmp_path / "alg.toml"
    path.write_text("drian = 5\n[routes.a]\nroute = 'x'\n")
    result = alg("check", path)
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr == (
        f"alg: {path}: drian: unknown key; did you mean drain?\n"
        f"alg: {path}: routes.a.route: 'x' is no route; a route is "
        "SCHEME://UPSTREAM_HOST[:PORT]@[LISTEN_HOST:]LISTEN_PORT, e.g. ftp://203.0.113.2:21@10.77.1.1:2121, "
        "or transparent|socks|connect@[LISTEN_HOST:]LISTEN_PORT\n"
    )


def test_plugins_are_listed_with_their_origin() -> None:
    """One line each: name, what it does, which distribution offers it."""
    result = alg("plugins")
    assert result.exit_code == 0
    treats = {"ftp": r"Treats one FTP control connection\.", "ftps": r"Treats one FTP .*"}
    treats |= dict.fromkeys(("http", "https", "tcp", "tftp", "tls", "udp", "ws", "wss"), ".*")
    assert re.fullmatch(
        "".join(rf"{name}  {what}  \(alg-gateway \S+\)\n" for name, what in treats.items()), result.stdout
    )


def test_plugins_that_cannot_be_used_are_listed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broken or a second distribution offers is told with the reason; the exit code says that something is."""
    for name, entry in (("broken", "gopher = nosuch:Plugin"), ("second", "tcp = alg_tcp:TcpPlugin")):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[alg.plugins]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = alg("plugins")
    assert result.exit_code == 1
    assert "gopher  cannot be used: plugin 'gopher' cannot be loaded: No module named 'nosuch'\n" in result.stdout
    assert (
        "tcp  cannot be used: plugin 'tcp' is offered by alg-gateway and second; uninstall one of them" in result.stdout
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run",), 78, "alg: there is no route; name one on the command line or in the file\n"),
        (("run", "x"), 78, "alg: 'x' is no route; a route is SCHEME"),
        (("run", "-c", "none.toml"), 78, "alg: none.toml: cannot be read: No such file or directory\n"),
        (("check", "none.toml"), 78, "alg: none.toml: cannot be read: No such file or directory\n"),
        (("explain", "none.txt"), 78, "alg: none.txt: cannot be read: No such file or directory\n"),
        (("run", "tcp://h:1@5", "tcp://i:1@5"), 78, "alg: routes tcp 0.0.0.0:5 -> h:1 and tcp 0.0.0.0:5 -> i:1 listen"),
        (("run", "tcp://nowhere.invalid:1@127.0.0.1:0"), 78, "nowhere.invalid cannot be resolved: "),
        (("run", f"tcp://{'a' * 64}.example:1@127.0.0.1:0"), 78, f"{'a' * 64}.example is no host name\n"),
        (
            ("run", "tcp://127.0.0.9:1@192.0.2.1:0"),
            71,
            "cannot listen at 192.0.2.1:0: Cannot assign requested address\n",
        ),
        (("run", "--ports", "9-1", "x"), 2, "Invalid value for '--ports': a port range is LOW-HIGH"),
        (("run", "--advertise-client", "h", "x"), 2, "not a literal IP address: 'h'"),
        (("run", "--drain", "nan", "x"), 2, "'nan' is no number of seconds above 0"),
        (("run", "--drain", "inf", "x"), 2, "'inf' is no number of seconds above 0"),
        (("run", "--drain", "0", "x"), 2, "'0' is no number of seconds above 0"),
        (("run", "--drain", "soon", "x"), 2, "'soon' is no number of seconds above 0"),
        (("run", "--log-format", "xml", "x"), 2, "Invalid value for '--log-format'"),
        (("walk",), 2, "No such command 'walk'"),
    ],
)
def test_errors_as_a_user_sees_them(arguments: tuple[str, ...], code: int, words: str) -> None:
    """Cause and mend on stderr, nothing on stdout, the documented exit code."""
    result = alg(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_explain_shows_what_would_be_rewritten(tmp_path: Path) -> None:
    """`alg explain` plays a conversation and says what is opened, and why."""
    path = tmp_path / "passive.txt"
    path.write_text("protocol: ftp\n\nS> 220 hello\nC> PASV\nS> 227 Entering Passive Mode (10,77,2,2,100,1).\n")
    result = alg("explain", path)
    assert result.exit_code == 0, result.output
    assert "client: PASV" in result.stdout
    assert "rewrite: 227 10.77.2.2:25601 -> " in result.stdout


def test_help_names_the_grammar() -> None:
    """`alg run -h` tells how a route is written."""
    result = alg("run", "-h")
    assert result.exit_code == 0
    assert "SCHEME://UPSTREAM_HOST[:PORT]" in " ".join(result.stdout.split())


def test_the_local_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`alg ca show` makes it, and says so; `alg ca export` writes its certificate, never its key."""
    monkeypatch.setenv("ALG_HOME", str(tmp_path / "alg"))
    path, out = tmp_path / "alg" / "ca.pem", tmp_path / "out.pem"
    shown = alg("ca", "show")
    assert (shown.exit_code, shown.stderr) == (0, f"alg: made a new local CA: {path}\n")
    assert re.fullmatch(
        rf"path         {path}\n"
        r"subject      CN=ALG local CA .*\n"
        r"SHA-256      [0-9A-F]{2}(:[0-9A-F]{2}){31}\n"
        r"valid until  \d{4}-\d\d-\d\d \d\d:\d\d UTC\n",
        shown.stdout,
    )
    again = alg("ca", "show")
    assert (again.stdout, again.stderr) == (shown.stdout, "")
    exported = alg("ca", "export")
    assert (exported.exit_code, exported.stdout, exported.stderr) == (0, path.read_text(), "")
    assert "PRIVATE" not in exported.stdout
    assert alg("ca", "export", "--out", out).output == ""
    assert out.read_text() == exported.stdout


def test_errors_of_the_local_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad CA is bad configuration; a file that cannot be written is a failure."""
    monkeypatch.setenv("ALG_HOME", str(tmp_path))
    out = tmp_path / "none" / "out.pem"
    result = alg("ca", "export", "--out", out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"alg: made a new local CA: {tmp_path}/ca.pem\n"
        f"alg: {out}: cannot be written: No such file or directory; name another file\n"
    )
    key = (tmp_path / "ca-key.pem").read_bytes()
    result = alg("ca", "export", "--out", tmp_path / "ca-key.pem")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"alg: {tmp_path}/ca-key.pem: is in the local CA's own directory; name a file elsewhere\n"
    assert (tmp_path / "ca-key.pem").read_bytes() == key
    (tmp_path / "ca-key.pem").chmod(0o644)
    result = alg("ca", "show")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "others may use the CA's key (mode 0644): chmod 600 " in result.stderr
