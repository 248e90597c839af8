"""ProFTPD with mod_proxy as a reverse proxy: its configuration, plain and with TLS."""

from tests.bench import certificates
from tests.bench.namespaces import GATEWAY_INSIDE, GATEWAY_OUTSIDE, SERVER, BenchError, Lab
from tests.bench.tools import PROFTPD

# mod_tls comes first: mod_proxy lacks its symbols otherwise.
CONFIGURATION = """\
ModulePath {root}/usr/lib/proftpd
LoadModule mod_tls.c
LoadModule mod_proxy.c
ServerType standalone
ServerName bench
DefaultAddress {inside}
Port {port}
UseIPv6 off
UseReverseDNS off
User nobody
Group nogroup
MaxInstances none
ScoreboardFile none
PidFile {folder}/proftpd-{port}.pid
SystemLog none
TransferLog none
WtmpLog off
DelayEngine off
RequireValidShell off
<IfModule mod_ctrls.c>
    ControlsEngine off
</IfModule>
ProxyEngine on
ProxyRole reverse
ProxyLog none
ProxyTables {tables}
ProxyReverseServers ftp://{server}:{upstream}
ProxySourceAddress {outside}
{tls}"""

# The authority is named, although no client shows a certificate: else every session reads the system's, 20 ms of CPU.
CLIENT_LEG = """\
TLSEngine on
TLSProtocol TLSv1.3
TLSRequired off
TLSECCertificateFile {pem.gateway}
TLSECCertificateKeyFile {pem.gateway}
TLSCACertificateFile {pem.authority}
"""

SERVER_LEG = """\
ProxyTLSEngine on
ProxyTLSProtocol TLSv1.3
ProxyTLSVerifyServer on
ProxyTLSCACertificateFile {pem.authority}
"""


def configuration(lab: Lab, port: int, upstream: int, tls: str) -> str:
    if not PROFTPD.exists():
        raise BenchError(f"mod_proxy: {PROFTPD} is missing: run again with --install")
    return CONFIGURATION.format(
        root=PROFTPD.parents[2],
        inside=GATEWAY_INSIDE,
        outside=GATEWAY_OUTSIDE,
        server=SERVER,
        port=port,
        upstream=upstream,
        folder=lab.folder,
        tables=lab.scratch(),
        tls=tls,
    )


def no_leg(_: Lab) -> str:
    return "ProxyTLSEngine off\n"


def client_leg(lab: Lab) -> str:
    return CLIENT_LEG.format(pem=certificates.of(lab)) + "ProxyTLSEngine off\n"


def both_legs(lab: Lab) -> str:
    """The server is verified. `MatchClient` would do only together with `ProxyReverseConnectPolicy PerUser`, which is
    slower: otherwise mod_proxy has met the server before it knows what the client wants, and stays plain."""
    return (CLIENT_LEG + SERVER_LEG).format(pem=certificates.of(lab))
