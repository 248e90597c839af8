"""How each client is made to go through mitmdump in a mode: by options of its own, by proxychains, or not at all.

In reverse and transparent mode a client only aims at another address, so its command line stays as it is.
"""

from __future__ import annotations

from pathlib import Path

from tests.peers import clients
from tests.peers.clients import Invocation
from tests.peers.namespaces import GATEWAY_INSIDE
from tests.peers.tls import clients as tls_clients
from tests.peers.tls.clients import TlsTransfer

from .modes import ProxyMode

PLAIN_CLIENTS = ("ncftp", "tnftp")
PROXYCHAINS = """\
strict_chain
quiet_mode
tcp_read_time_out 10000
tcp_connect_time_out 10000
[ProxyList]
{scheme} {host} {port}
"""


def direct(client: str, transfer: TlsTransfer) -> Invocation:
    """The command line without any proxy."""
    if client in PLAIN_CLIENTS:
        return clients.CLIENTS[client](transfer)
    return tls_clients.CLIENTS[client](transfer)


def invocation(mode: ProxyMode, client: str, transfer: TlsTransfer, scratch: Path, by_name: bool) -> Invocation:
    """The command line that goes through this mode; `by_name` leaves finding the host to the proxy."""
    plain = direct(client, transfer)
    if not mode.tunnels:
        return plain
    proxy = f"{GATEWAY_INSIDE[4]}:{mode.proxy_port}"
    command = plain.command
    if client == "curl":
        kind = "socks5h" if by_name and mode.scheme == "socks5" else mode.scheme
        # A tunnel is what curl opens for FTP only when it is told to; else it asks the proxy for the file.
        command = [command[0], "--proxy", f"{kind}://{proxy}", "--proxytunnel", *command[1:]]
    elif client == "lftp" and mode.scheme == "http" and transfer.mode == "PASV":
        # Without `use-hftp no` it asks the proxy for the file; with any proxy of its own it only knows PASV.
        script = f"set ftp:proxy http://{proxy}; set ftp:use-hftp no; {command[-1]}"
        command = [*command[:-1], script]
    elif client == "ftplib":
        module = command.index("-m") + 1
        command = [*command[:module], "tests.peers.mitm.ftplib_client", mode.scheme, proxy, *command[module:]]
    else:
        command = ["proxychains4", "-q", "-f", str(proxychains_file(mode, scratch)), *command]
    return Invocation(command, plain.script)


def proxychains_file(mode: ProxyMode, scratch: Path) -> Path:
    """proxychains' configuration for a mode."""
    file = scratch / f"proxychains-{mode.name}.conf"
    file.write_text(PROXYCHAINS.format(scheme=mode.scheme, host=GATEWAY_INSIDE[4], port=mode.proxy_port))
    return file
