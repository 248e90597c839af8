"""Runs one of the lab's ftplib scripts with every connection opened through a proxy, by PySocks.

ftplib connects to whom it speaks with, whatever address a 227 holds, and takes that from the socket; with TLS on top
the socket knows the proxy's address only. So it is told to trust the 227, as users of a proxy tell it. PySocks 1.7
reads an HTTP proxy's answer through a buffer, and may lose a greeting that comes right behind: that part is ours.
"""

from __future__ import annotations

import ftplib
import functools
import socket
import sys

import socks

from tests.peers import ftplib_client as plain
from tests.peers.tls import ftplib_client as secure

KINDS = {"socks5": socks.SOCKS5, "http": socks.HTTP}
SCRIPTS = {"tests.peers.ftplib_client": plain.main, "tests.peers.tls.ftplib_client": secure.main}


def connect_tunnel(through: socks.socksocket, host: str, port: int) -> None:
    """Ask an HTTP proxy for a tunnel; read its answer and not one byte more."""
    through.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("ascii"))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = through.recv(1)
        if not byte:
            raise socks.GeneralProxyError("the proxy closed the connection")
        answer += byte
    if answer.split(b" ")[1:2] != [b"200"]:
        raise socks.HTTPError(answer.decode("latin-1"))
    through.proxy_peername = (host, port)


def main() -> None:
    """Take the proxy and the name of the script from the arguments, leave it the others."""
    own, scheme, proxy, name, *others = sys.argv
    host, _, port = proxy.rpartition(":")
    sys.argv = [own, *others]
    ftplib.FTP.trust_server_pasv_ipv4_address = True  # type: ignore[attr-defined]  # typeshed lacks it
    socks.socksocket._proxy_negotiators[socks.HTTP] = connect_tunnel
    through = functools.partial(
        socks.create_connection, proxy_type=KINDS[scheme], proxy_addr=host, proxy_port=int(port)
    )
    socket.create_connection = through
    SCRIPTS[name]()


if __name__ == "__main__":
    main()
