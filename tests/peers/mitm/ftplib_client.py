"""Runs one of the lab's ftplib scripts with every connection opened through a proxy, by PySocks.

ftplib connects to whom it speaks with, whatever address a 227 holds, and takes that from the socket; with TLS on top
the socket knows the proxy's address only. So it is told to trust the 227, as users of a proxy tell it.
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


def main() -> None:
    """Take the proxy and the name of the script from the arguments, leave it the others."""
    own, scheme, proxy, name, *others = sys.argv
    host, _, port = proxy.rpartition(":")
    sys.argv = [own, *others]
    ftplib.FTP.trust_server_pasv_ipv4_address = True  # type: ignore[attr-defined]  # typeshed lacks it
    through = functools.partial(
        socks.create_connection, proxy_type=KINDS[scheme], proxy_addr=host, proxy_port=int(port)
    )
    socket.create_connection = through
    SCRIPTS[name]()


if __name__ == "__main__":
    main()
