"""The ways through the gateway that are measured: ALG, the kernel and the usual relays, each at its best setting."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from tests.bench import certificates, mitm, mod_proxy, processes, socks_gateways, udp_gateways, websocket_gateways
from tests.bench.namespaces import GATEWAY_INSIDE, SERVER, BenchError, Lab
from tests.bench.socks_gateways import SOCKS, SOCKS_PORT
from tests.bench.tools import BUILD, PROFTPD, tool
from tests.bench.udp_gateways import UDP, UDP_PORT
from tests.bench.websocket_gateways import WEBSOCKET, WEBSOCKET_PORT

TCP_PORT, FTP_PORT, PLAIN_PORT, FTPS_PORT, FRONT_PORT, MITM_FTP_PORT = 7000, 21, 2120, 2121, 2122, 2123
# The last three stand before the server with TLS: without TLS, with TLS on both legs, with TLS toward clients only.
TCP, FTP, PLAIN, FTPS, FRONT = "tcp", "ftp", "plain", "ftps", "front"
SECURED = frozenset({PLAIN, FTPS, FRONT})
MITM = "mitmproxy"  # FTP, and for its own relays a bare stream beside it, by one process

Gateway = dict[str, "subprocess.Popen[str]"]  # by one of the services that the process serves
Start = Callable[[Lab, frozenset[str]], Gateway]


def _alg(lab: Lab, services: frozenset[str]) -> Gateway:
    tls: tuple[str, ...] = ()
    if SECURED & services:
        pem = certificates.of(lab)
        tls = ("--tls", str(pem.gateway), "--upstream-ca", str(pem.authority))
    wanted: dict[str, tuple[int, str, tuple[str, ...]]] = {
        TCP: (TCP_PORT, f"tcp://{SERVER}:{TCP_PORT}", ()),
        FTP: (FTP_PORT, f"ftp://{SERVER}:{FTP_PORT}", ()),
        PLAIN: (PLAIN_PORT, f"ftp://{SERVER}:{FTPS_PORT}", ()),
        FTPS: (FTPS_PORT, f"ftp://{SERVER}:{FTPS_PORT}", (*tls, "--upstream-tls", "require")),
        FRONT: (FRONT_PORT, f"ftp://{SERVER}:{FTPS_PORT}", (*tls, "--upstream-tls", "never")),
        MITM: (MITM_FTP_PORT, f"ftp://{SERVER}:{FTP_PORT}", ()),
    }
    gateway = {}
    for service, (port, upstream, more) in wanted.items():
        if service in services:
            # The one client that measures round trips sends more commands a second than any real one may.
            options = "" if service == TCP else "[routes.bench.options]\ncommand_rate = 1000000\n"
            text = f'[routes.bench]\nroute = "{upstream}@{GATEWAY_INSIDE}:{port}"\n{options}'
            argv = [sys.executable, "-m", "alg", "run", "-c", lab.write(f"{service}.toml", text), *more]
            argv += ["--log-level", "warning", "--ports", "10000-29999"]
            gateway[service] = lab.serve("gateway", (GATEWAY_INSIDE, port), *argv)
    return gateway


def _haproxy(lab: Lab, services: frozenset[str]) -> Gateway:
    """HAProxy's best: splice forced (`splice-auto` never begins here), pipes of 1 MiB, one thread, no log.

    It cannot do FTP; its FTP port carries control connections only, to compare idle sessions.
    """
    text = """\
global
    nbthread 1
    maxconn 6000
    maxpipes 1000
    tune.pipesize 1048576
defaults
    mode tcp
    option splice-request
    option splice-response
    timeout connect 5s
    timeout client 10m
    timeout server 10m
"""
    for service, port in ((TCP, TCP_PORT), (FTP, FTP_PORT)):
        text += f"listen {service}\n    bind {GATEWAY_INSIDE}:{port} backlog 4096\n    server s {SERVER}:{port}\n"
    config = lab.write("haproxy.cfg", text)
    return {TCP: lab.serve("gateway", (GATEWAY_INSIDE, TCP_PORT), "haproxy", "-db", "-f", config)}


def _nat(lab: Lab, services: frozenset[str]) -> Gateway:
    """DNAT and masquerade; for FTP also the connection tracking helper, which wants to be assigned before NAT."""
    helper = assign = ""
    if FTP in services:
        helper = 'ct helper ftp { type "ftp" protocol tcp; }'
        assign = f'tcp dport {FTP_PORT} ct helper set "ftp"'
    rules = f"""\
table ip bench {{
    {helper}
    chain assign {{
        type filter hook prerouting priority -150;
        {assign}
    }}
    chain inward {{
        type nat hook prerouting priority -100;
        ip daddr {GATEWAY_INSIDE} tcp dport {{ {TCP_PORT}, {FTP_PORT}, {WEBSOCKET_PORT} }} dnat to {SERVER}
        ip daddr {GATEWAY_INSIDE} udp dport {UDP_PORT} dnat to {SERVER}
    }}
    chain outward {{
        type nat hook postrouting priority 100;
        oifname "outside" masquerade
    }}
}}
"""
    lab.forward()
    lab.run("gateway", "nft", "-f", "-", text=rules)
    return {}


def _ftp_proxy(lab: Lab, services: frozenset[str]) -> Gateway:
    """SUSE's proxy-suite. Its defaults admit 40 clients a minute and 64 at a time. It logs to syslog, and hardly:
    a log file it would replace at the start, even a device."""
    text = f"""\
[-Global-]
ServerType standalone
Listen {GATEWAY_INSIDE}
Port {FTP_PORT}
DestinationAddress {SERVER}
DestinationPort {FTP_PORT}
ForkLimit 1000000
MaxClients 512
LogLevel FLT
LogDestination daemon
User nobody
Group nogroup
"""
    argv = ["ftp-proxy", "-d", "-n", "-f", lab.write("ftp-proxy.conf", text)]
    return {FTP: lab.serve("gateway", (GATEWAY_INSIDE, FTP_PORT), *argv)}


def _mod_proxy(lab: Lab, services: frozenset[str]) -> Gateway:
    wanted = {
        FTP: (FTP_PORT, FTP_PORT, mod_proxy.no_leg),
        PLAIN: (PLAIN_PORT, FTPS_PORT, mod_proxy.no_leg),
        FTPS: (FTPS_PORT, FTPS_PORT, mod_proxy.both_legs),
        FRONT: (FRONT_PORT, FTPS_PORT, mod_proxy.client_leg),
    }
    gateway = {}
    for service, (port, upstream, legs) in wanted.items():
        if service in services:
            text = mod_proxy.configuration(lab, port, upstream, legs(lab))
            argv = [str(PROFTPD), "-n", "-q", "-c", lab.write(f"proftpd-{service}.conf", text)]
            gateway[service] = lab.serve("gateway", (GATEWAY_INSIDE, port), *argv)
    return gateway


def _mitm(kind: str, lab: Lab, services: frozenset[str]) -> Gateway:
    ports = {MITM_FTP_PORT: FTP_PORT} if kind == "alg" else {TCP_PORT: TCP_PORT, MITM_FTP_PORT: FTP_PORT}
    return {MITM: lab.serve("gateway", (GATEWAY_INSIDE, MITM_FTP_PORT), *mitm.command(kind, lab, ports))}


def _websocket(name: str, lab: Lab, services: frozenset[str]) -> Gateway:
    argv = websocket_gateways.COMMANDS[name](lab)
    return {WEBSOCKET: lab.serve("gateway", (GATEWAY_INSIDE, WEBSOCKET_PORT), *argv)}


def _socks(name: str, lab: Lab, services: frozenset[str]) -> Gateway:
    argv = socks_gateways.COMMANDS[name](lab)
    return {SOCKS: lab.serve("gateway", (GATEWAY_INSIDE, SOCKS_PORT), *argv)}


def _udp(name: str, lab: Lab, services: frozenset[str]) -> Gateway:
    argv = udp_gateways.COMMANDS[name](lab)
    return {UDP: lab.serve("gateway", (GATEWAY_INSIDE, UDP_PORT), *argv, protocol="udp")}


def _direct(lab: Lab, services: frozenset[str]) -> Gateway:
    return {}


@dataclass(frozen=True)
class Method:
    name: str
    start: Start
    target: str = GATEWAY_INSIDE
    routed: bool = False


METHODS = {
    method.name: method
    for method in (
        Method("alg", _alg),
        Method("haproxy", _haproxy),
        Method("nat", _nat),
        Method("nat-ftp", _nat),
        Method("ftp-proxy", _ftp_proxy),
        Method("mod_proxy", _mod_proxy),
        *(Method(f"mitm-{kind}", partial(_mitm, kind)) for kind in mitm.EXTRA),
        *(Method(name, partial(_websocket, name)) for name in websocket_gateways.COMMANDS),
        *(Method(name, partial(_socks, name)) for name in socks_gateways.COMMANDS),
        *(Method(name, partial(_udp, name)) for name in udp_gateways.COMMANDS),
        Method("direct", _direct, target=SERVER, routed=True),
    )
}


class Running:
    """A method at work in its laboratory, with the servers behind it."""

    def __init__(self, method: Method, services: frozenset[str], purpose: str = "") -> None:
        self.method = method
        self.target = method.target
        self.lab = Lab(f"{method.name}{purpose}", BUILD / "labs", routed=method.routed)
        try:
            self.lab.serve("server", (SERVER, TCP_PORT), tool("tcpd"), SERVER, str(TCP_PORT))
            self.lab.serve("server", (SERVER, FTP_PORT), tool("ftpd"), SERVER, str(FTP_PORT))
            if SECURED & services:
                certificate = str(certificates.of(self.lab).server)
                self.lab.serve("server", (SERVER, FTPS_PORT), tool("ftpsd"), SERVER, str(FTPS_PORT), certificate)
            if WEBSOCKET in services:
                self.lab.serve("server", (SERVER, WEBSOCKET_PORT), tool("wsd"), SERVER, str(WEBSOCKET_PORT))
            if UDP in services:
                echo = (tool("udpd"), SERVER, str(UDP_PORT))
                self.lab.serve("server", (SERVER, UDP_PORT), *echo, protocol="udp")
            self.gateway = method.start(self.lab, services)
        except BaseException:
            self.lab.close()
            raise

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.gateway.values()]

    def cpu(self) -> float:
        for process in self.gateway.values():
            if process.poll() is not None:
                end = f"the gateway ended with status {process.returncode}"
                raise BenchError(f"{self.method.name}: {end}; see its log in {self.lab.folder}")
        return processes.cpu_seconds(self.pids)

    def memory(self, service: str) -> int:
        """Resident bytes of what serves this service, pages of several processes counted once; 0 without a process."""
        return processes.resident_bytes([self.gateway[service].pid]) if service in self.gateway else 0

    def close(self) -> None:
        self.lab.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
