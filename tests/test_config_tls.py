"""What a user writes about TLS, upstreams and the PROXY protocol: short forms, tables, options above them, and errors."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from alg.config import load
from alg.core.errors import ConfigError
from alg.core.model import TlsPolicy
from alg.core.proxy_protocol import ProxyVersion
from alg.overrides import Overrides
from alg.registry import Registry
from alg.settings import AllowedUpstream, ClientTls, Route, ServerTls
from tests import pki

PIN = "ab" * 32
HTTP = '[routes.a]\nroute = "http://h@1"\n'
FTP, FTPS = '[routes.a]\nroute = "ftp://h@1"\n', '[routes.a]\nroute = "ftps://h@1"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a certificate, a key, a CA, and a key of somebody else."""
    pair = pki.good()
    (tmp_path / "both.pem").write_bytes(pair.both)
    (tmp_path / "cert.pem").write_bytes(pair.pem)
    (tmp_path / "key.pem").write_bytes(pair.both.removeprefix(pair.pem))
    (tmp_path / "other.pem").write_bytes(pki.make("other").both)
    (tmp_path / "ca.pem").write_bytes(pki.ca().pem)
    return tmp_path


def route(folder: Path, text: str, overrides: Overrides | None = None) -> Route:
    """What becomes of a file with one route."""
    path = folder / "alg.toml"
    path.write_text(text, "utf-8")
    (made,) = load(path, Registry(), overrides or Overrides()).routes
    return made


NEVER, CLIENT, REQUIRE, PASS = TlsPolicy.NEVER, TlsPolicy.CLIENT, TlsPolicy.REQUIRE, TlsPolicy.PASS


@pytest.mark.parametrize(
    ("text", "policy", "implicit", "certificate"),
    [
        (FTP, NEVER, False, None),
        (FTP + 'client = { tls = "never" }', NEVER, False, None),
        (FTP + 'client = { tls = "pass" }', PASS, False, None),
        (FTP + 'client = { tls = "mint" }', CLIENT, False, "mint"),
        (FTP + 'client = { tls = "both.pem" }', CLIENT, False, "both.pem"),
        (FTP + 'client = { tls = { certificate = "cert.pem", key = "key.pem" } }', CLIENT, False, "cert.pem"),
        (FTP + 'client = { tls = { certificate = "mint", policy = "require" } }', REQUIRE, False, "mint"),
        (FTP + 'client = { tls = { certificate = "mint", implicit = true } }', REQUIRE, True, "mint"),
        (FTPS + 'client = { tls = "mint" }', REQUIRE, True, "mint"),
        (FTPS + 'client = { tls = "never" }', NEVER, False, None),
        # No command of HTTP starts TLS: where there is a certificate, there is TLS from the first byte.
        (HTTP + 'client = { tls = "mint" }', REQUIRE, True, "mint"),
        (HTTP + 'client = { tls = { certificate = "mint", implicit = false } }', CLIENT, False, "mint"),
        (HTTP, NEVER, False, None),
        (FTPS + 'client = { tls = { certificate = "mint", implicit = false } }', CLIENT, False, "mint"),
    ],
)
def test_toward_clients(folder: Path, text: str, policy: TlsPolicy, implicit: bool, certificate: str | None) -> None:
    """Short forms and tables; `ftps` means TLS from the first byte; files are named as seen from the file."""
    tls = route(folder, text).client_tls
    assert (tls.policy, tls.implicit, tls.mint) == (policy, implicit, certificate == "mint")
    assert tls.certificate == (folder / certificate if certificate and certificate != "mint" else None)


def test_further_keys(folder: Path) -> None:
    """Names and resumption toward clients, all keys toward the server, upstreams and the PROXY protocol."""
    made = route(
        folder,
        f"""
        [routes.a]
        route = "ftp://*@1"
        upstreams = ["ftp.example.org", "*.example.net:2121", "10.0.0.0/8", "[fd00::1]:21"]
        client = {{ tls = {{ certificate = "both.pem", names = ["x.example.org"], resumption = true }} }}
        [routes.a.server]
        proxy_protocol = "v1"
        [routes.a.server.tls]
        policy = "require"
        implicit = true
        verify = true
        ca = "ca.pem"
        pin = ["SHA256:{":".join(["AB"] * 32)}"]
        name = "y.example.org"
        certificate = "cert.pem"
        key = "key.pem"
        """,
    )
    assert (made.client_tls.names, made.client_tls.resumption) == (("x.example.org",), True)
    assert made.server_tls == ServerTls(
        REQUIRE, True, True, folder / "ca.pem", (PIN,), "y.example.org", folder / "cert.pem", folder / "key.pem"
    )
    assert made.upstream is None
    assert made.allowed == (
        AllowedUpstream("ftp.example.org"),
        AllowedUpstream("*.example.net", 2121),
        AllowedUpstream(ip_network("10.0.0.0/8")),
        AllowedUpstream(ip_network("fd00::1/128"), 21),
    )
    assert made.proxy_protocol is ProxyVersion.V1


@pytest.mark.parametrize(
    ("text", "means"),
    [
        (FTP, ServerTls()),
        (FTP + 'server = { tls = "require" }', ServerTls(REQUIRE)),
        (FTP + 'server = { tls = "never" }', ServerTls(NEVER)),
        (FTP + "server = { tls = { verify = false } }", ServerTls(verify=False)),
        (FTP + "server = { tls = { resume = false } }", ServerTls(resume=False)),
        (FTPS + 'client = { tls = "never" }', ServerTls(implicit=True)),
        (HTTP + 'server = { tls = "require" }', ServerTls(REQUIRE, implicit=True)),
        (HTTP + 'server = { tls = { policy = "require", implicit = false } }', ServerTls(REQUIRE)),
        (HTTP, ServerTls()),
        (FTPS + 'client = { tls = "mint" }\nserver = { tls = "never" }', ServerTls(NEVER)),
    ],
)
def test_toward_servers(folder: Path, text: str, means: ServerTls) -> None:
    """Verification is on unless it is switched off by name."""
    assert route(folder, text).server_tls == means


def test_options_stand_above_the_file(folder: Path) -> None:
    """A certificate on the command line comes without the file's key, and is used where the file says never."""
    for policy in ("never", "pass"):
        text = FTP + f'client = {{ tls = "{policy}" }}\nserver = {{ tls = "never" }}'
        overrides = Overrides(tls=str(folder / "both.pem"), upstream_tls="require", upstream_ca=folder / "ca.pem")
        made = route(folder, text, overrides)
        assert made.client_tls == ClientTls(CLIENT, certificate=folder / "both.pem")
        assert made.server_tls == ServerTls(REQUIRE, ca=folder / "ca.pem")
    text = FTP + 'client = { tls = { certificate = "cert.pem", key = "key.pem", policy = "require" } }'
    assert route(folder, text, Overrides(tls=str(folder / "other.pem"))).client_tls.key is None
    assert route(folder, text, Overrides(tls="mint")).client_tls == ClientTls(REQUIRE, mint=True)
    assert route(folder, text, Overrides(tls="never")).client_tls == ClientTls()
    assert route(folder, text, Overrides(upstream_insecure=True)).server_tls == ServerTls(verify=False)
    any_server = '[routes.a]\nroute = "ftp://*@1"\nupstreams = ["a.example"]\n'
    made = route(folder, any_server, Overrides(allow_upstream=("b.example",), proxy_protocol="v2"))
    assert (made.allowed, made.proxy_protocol) == ((AllowedUpstream("b.example"),), ProxyVersion.V2)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (FTPS, 'client.tls: TLS toward clients needs a certificate: "mint", or a PEM file'),
        (FTP + 'client = { tls = { policy = "require" } }', "client.tls: TLS toward clients needs a certificate"),
        (
            FTPS + 'client = { tls = "pass" }',
            "client.tls: TLS from the first byte cannot be passed on and read; use tcp://",
        ),
        (FTP + 'client = { tls = "none.pem" }', "client.tls: {folder}/none.pem: cannot be read: No such file"),
        (FTP + 'client = { tls = "cert.pem" }', "client.tls: {folder}/cert.pem: holds no private key; name the file"),
        (
            FTP + 'client = { tls = { certificate = "cert.pem", key = "other.pem" } }',
            "client.tls: {folder}/other.pem: the private key is not that of the certificate",
        ),
        (
            FTP + 'client = { tls = { certificates = "x" } }',
            "client.tls.certificates: unknown key; did you mean certificate?",
        ),
        (
            FTP + 'client = { tls = { policy = "maybe" } }',
            "client.tls.policy: must be 'client', 'require', 'never' or 'pass'",
        ),
        (FTP + 'server = { tls = "maybe" }', "server.tls.policy: must be 'client', 'require' or 'never', not 'maybe'"),
        (FTP + 'server = { tls = { pin = ["ab"] } }', "server.tls.pin.0: 'ab' is no SHA-256 fingerprint of 64"),
        (FTP + 'server = { tls = { ca = "none.pem" } }', "server.tls: {folder}/none.pem: there is no such file of CA"),
        (FTP + 'server = { tls = { key = "key.pem" } }', "server.tls: there is a key, but no certificate"),
        (FTP + 'server = { tls = { policy = "never", implicit = true } }', "server.tls: implicit, and yet never"),
        (FTP + 'server = { tls = { verify = "no" } }', "server.tls.verify: must be a boolean, not 'no'"),
        (FTP + 'server = { proxy_protocol = "v3" }', "server.proxy_protocol: must be 'v1' or 'v2', not 'v3'"),
        (FTP + 'upstreams = ["x"]', "upstreams: h:21 is the only one; write * in its place to let clients choose"),
        ('[routes.a]\nroute = "ftp://*@1"\n', "upstreams: the client chooses its server here, but none is allowed"),
        ('[routes.a]\nroute = "ftp://*:21@1"\n', "route: 'ftp://*:21@1': the client chooses the port too"),
        ('[routes.a]\nroute = "tcp://*@1"\n', "route: 'tcp://*@1': clients cannot choose their server with tcp"),
        ('[routes.a]\nroute = "ftp://*@1"\nupstreams = ["**"]', "upstreams.0: '**' is no upstream; write HOST[:PORT]"),
        ('[routes.a]\nroute = "ftp://*@1"\nupstreams = ["10.0.0.1/8"]', "upstreams.0: '10.0.0.1/8' is no upstream"),
        ('[routes.a]\nroute = "ftp://*@1"\nupstreams = ["127.1"]', "upstreams.0: '127.1' is no upstream"),
        ('[routes.a]\nroute = "ftp://*@1"\nupstreams = ["0x7f.1"]', "upstreams.0: '0x7f.1' is no upstream"),
        ('[routes.a]\nroute = "ftp://*@1"\nupstreams = ["*.com"]', "upstreams.0: '*.com' is no upstream"),
    ],
)
def test_errors(folder: Path, text: str, line: str) -> None:
    """Each with the path of its key."""
    with pytest.raises(ConfigError) as caught:
        route(folder, text)
    (found,) = str(caught.value).splitlines()
    wanted = line.replace("{folder}", str(folder))
    assert found.startswith(f"{folder / 'alg.toml'}: routes.a.{wanted}"), found


def test_errors_of_all_routes_come_at_once(folder: Path) -> None:
    """One wrong certificate does not hide another."""
    text = (
        FTP + 'client = { tls = "none.pem" }\n[routes.b]\nroute = "ftp://h@2"\nserver = { tls = { ca = "none.pem" } }'
    )
    with pytest.raises(ConfigError) as caught:
        route(folder, text)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "routes.a.client.tls",
        "routes.b.server.tls",
    ]
