"""What stands behind the gateway: nginx, vsftpd, sshd, dnsmasq, an echo of datagrams, and two further proxies."""

from __future__ import annotations

from pathlib import Path

from tests.peers.extras.stage import Daemon
from tests.peers.namespaces import SERVER, bracketed
from tests.peers.processes import run
from tests.peers.servers import FTP_PORT, USER, Site, start_vsftpd

from .install import program
from .others import TINYPROXY
from .places import DNS_PORT, ECHO_PORT, SECOND_HTTP_PORT, SECOND_SOCKS_PORT, SSH_PORT, WEB_PORT

ANSWER_NAME, ANSWER = "answer.test", "192.0.2.53"
"""What the name server is asked, and what it says."""

NGINX = """\
daemon off;
worker_processes 1;
user {user} nogroup;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  scgi_temp_path {folder}/nginx-scgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  client_max_body_size 16m;
  server {{
    listen {web};
    listen [::]:{web};
    root {root};
    dav_methods PUT;
  }}
}}
"""

SSHD = """\
Port {port}
ListenAddress {ipv4}
ListenAddress {ipv6}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/client_key.pub
PidFile {folder}/sshd.pid
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
"""


def _both(port: int) -> tuple[tuple[str, int], ...]:
    return tuple((host, port) for host in SERVER.values())


def web(site: Site, scratch: Path) -> Daemon:
    """nginx shows the site, and takes files by PUT."""
    file = scratch / "nginx.conf"
    file.write_text(NGINX.format(user=USER, folder=scratch, web=WEB_PORT, root=site.root))
    command = [program("nginx"), "-p", str(scratch), "-e", "stderr", "-c", str(file)]
    return Daemon("nginx", command, _both(WEB_PORT))


def ftp(site: Site, scratch: Path) -> Daemon:
    """vsftpd."""
    return Daemon("vsftpd", start_vsftpd(site, scratch), _both(FTP_PORT))


def make_keys(scratch: Path) -> None:
    """The keys of the server and of the client, and what the client knows of the server."""
    for name in ("host_key", "client_key"):
        if not (scratch / name).exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(scratch / name))
    key = (scratch / "host_key.pub").read_text()
    (scratch / "known_hosts").write_text("".join(f"{host} {key}" for host in SERVER.values()))


def shell(scratch: Path) -> Daemon:
    """sshd, with keys of this run; the folder that it wants below /run is in no other process's sight."""
    make_keys(scratch)
    file = scratch / "sshd_config"
    file.write_text(SSHD.format(port=SSH_PORT, ipv4=SERVER[4], ipv6=SERVER[6], folder=scratch))
    start = f"mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec {program('sshd')} -D -e -f {file}"
    return Daemon("sshd", ["sh", "-c", start], _both(SSH_PORT))


def names(scratch: Path) -> Daemon:
    """dnsmasq knows one name."""
    listen = [f"--listen-address={host}" for host in SERVER.values()]
    fixed = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces")
    own = ("--user=root", f"--port={DNS_PORT}", f"--address=/{ANSWER_NAME}/{ANSWER}")
    files = (f"--pid-file={scratch}/dnsmasq.pid", "--log-facility=-", "--log-queries")
    return Daemon("dnsmasq", ["dnsmasq", *fixed, *own, *files, *listen], _both(DNS_PORT))


def echo(python: str) -> Daemon:
    """Datagrams come back; each is told on a line."""
    where = [f"{bracketed(host)}:{ECHO_PORT}" for host in SERVER.values()]
    return Daemon("echo", [python, "-m", "tests.peers.ways.echo_server", *where], _both(ECHO_PORT))


def second_proxies(scratch: Path) -> list[Daemon]:
    """A SOCKS5 proxy and an HTTP proxy, to which the gateway can pass connections on."""
    file = scratch / "second-tinyproxy.conf"
    file.write_text(TINYPROXY.format(port=SECOND_HTTP_PORT, listen=f"Listen {SERVER[4]}", more=""))
    microsocks = [program("microsocks"), "-i", SERVER[4], "-p", str(SECOND_SOCKS_PORT)]
    return [
        Daemon("second microsocks", microsocks, ((SERVER[4], SECOND_SOCKS_PORT),)),
        Daemon("second tinyproxy", [program("tinyproxy"), "-d", "-c", str(file)], ((SERVER[4], SECOND_HTTP_PORT),)),
    ]
