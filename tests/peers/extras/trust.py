"""Whom the gateway trusts, and how it proves itself: client certificates, pins, expired and foreign certificates.

Where it does not trust, the client hears a 421 that says so, the record says why, and the server never sees a name or a
password.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.peers.control_tap import Tap
from tests.peers.namespaces import SERVER
from tests.peers.servers import FTP_PORT, SAMPLE, UPLOADS
from tests.peers.tls.certificates import make

from . import servers
from .stage import SAMPLE_URL, URL, Bench, Daemon, Scene, Stage, check
from .tiny import LOGIN, ROUTE

VSFTPD = "require_cert=YES\nvalidate_cert=YES\nca_certs_file={authority}\n"
PROFTPD = "TLSVerifyClient on\nTLSCACertificateFile {authority}\n"


def own_certificate(bench: Bench) -> Path:
    """What the gateway shows to servers: certificate and key in one file."""
    folder = bench.certificates.folder
    file, key = folder / "client.pem", folder / "client.key"
    if not file.is_file():
        extensions = ("basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth")
        signer = ("-CA", str(bench.certificates.authority), "-CAkey", str(folder / "authority.key"))
        make(file, key, "/CN=the gateway", extensions, *signer)
        file.write_text(file.read_text() + key.read_text())
    return file


def expired_certificate(bench: Bench) -> Path:
    """A certificate of the lab's authority, right in all but its time."""
    folder = bench.certificates.folder
    file = folder / "expired.pem"
    right = x509.load_pem_x509_certificate(bench.certificates.server.read_bytes())
    signer = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(signer, rsa.RSAPrivateKey)
    end = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    builder = x509.CertificateBuilder(right.issuer, right.subject, right.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - dt.timedelta(days=30)).not_valid_after(end)
    for extension in right.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = (folder / "server.key").read_bytes()
    file.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key)
    return file


def fingerprint(file: Path) -> str:
    """The SHA-256 of the first certificate of a file."""
    text = file.read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[: text.index("-----BEGIN PRIVATE")].strip())).hexdigest()


def told(bench: Bench, **settings: str) -> tuple[str, ...]:
    """A gateway that demands TLS of the server, with these settings; values are TOML."""
    lines = [f"{key} = {value}" for key, value in settings.items()]
    table = f'[routes.lab]\nroute = "{ROUTE}"\n[routes.lab.server.tls]\npolicy = "require"\n'
    return bench.toml(table + "\n".join(lines) + "\n")


def proving(bench: Bench) -> tuple[str, ...]:
    """It shows a certificate of its own."""
    own = own_certificate(bench)
    key = own.with_suffix(".key")
    return told(bench, ca=quoted(bench.certificates.authority), certificate=quoted(own), key=quoted(key))


def trusting(bench: Bench) -> tuple[str, ...]:
    """It shows nothing, and trusts the lab's authority."""
    return told(bench, ca=quoted(bench.certificates.authority))


def pinning(bench: Bench, right: bool) -> tuple[str, ...]:
    """It trusts one certificate only: the server's, or that of somebody else."""
    certificates = bench.certificates
    pin = fingerprint(certificates.server if right else certificates.gateway)
    return told(bench, pin=f'["{pin}"]')


def quoted(file: Path) -> str:
    """A path as TOML has it."""
    return f'"{file}"'


def moves(stage: Stage) -> None:
    """curl, plain toward the gateway: down and up."""
    source = stage.bench.site.root / SAMPLE
    stage.curl(*LOGIN, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
    stage.is_sample(SAMPLE)
    stage.curl(*LOGIN, "--upload-file", str(source), f"{URL}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin", source)


def refused(stage: Stage, record: str, words: str) -> None:
    """curl hears a 421 with a word on why; the record says more; the server hears AUTH and no more in the clear."""
    with closing(Tap(stage.lab.server, FTP_PORT)) as tap:
        ran = stage.curl(*LOGIN, "--output", f"{stage.folder}/x", SAMPLE_URL).failed()
        stage.logged(record)
        ran.shows(f"< 421 {words}")
        heard = [line for line in tap.lines() if line.startswith("> ") and line.isascii() and line.isprintable()]
        check(heard[:1] == ["> AUTH TLS"], f"the server heard {heard}")
        clear = [line for line in heard[1:] if line.startswith(("> USER", "> PASS", "> RETR"))]
        check(not clear, f"the server heard {clear}")


def distrusted(stage: Stage, why: str) -> None:
    """The server's certificate is refused."""
    refused(stage, f"certificate_refused.*{why}", "The server's certificate is not to be trusted.")


def not_admitted(stage: Stage) -> None:
    """The server wants a certificate, and there is none; with TLS 1.3 it says so behind the handshake. pyftpdlib hangs up on
    what was said to it by then, so now and then a reset overtakes its alert."""
    with closing(Tap(stage.lab.server, FTP_PORT)) as tap:
        stage.curl(*LOGIN, "--output", f"{stage.folder}/x", SAMPLE_URL).failed().shows(
            "(< 421|response reading failed)"
        )
        check(not any("PASS" in line for line in tap.lines()), "the password went in the clear")
    stage.logged("tls_|the server is gone: Connection reset by peer")


def scenes() -> Iterator[Scene]:
    """Servers that demand a client certificate; then certificates of the server's that are wrong somehow."""
    for name, start in (("vsftpd", _vsftpd), ("proftpd", _proftpd), ("pyftpdlib", _pyftpdlib)):
        yield Scene(f"trust {name} demands a certificate", proving, start, {"the gateway has one: curl": moves})
        yield Scene(
            f"trust {name} demands a certificate", trusting, start, {"the gateway has none: curl": not_admitted}
        )
    right, first = _showing(lambda bench: bench.certificates.server), _showing(_first)
    wrong = (
        ("pin right", functools.partial(pinning, right=True), right, moves),
        ("pin wrong", functools.partial(pinning, right=False), right, functools.partial(distrusted, why="pinned")),
        ("expired", trusting, _showing(expired_certificate), functools.partial(distrusted, why="expired")),
        ("wrong name", trusting, _showing(_other), functools.partial(distrusted, why="mismatch")),
        ("foreign authority", _foreign, first, functools.partial(distrusted, why="issuer")),
    )
    for name, orders, shown, row in wrong:
        yield Scene(f"trust {name}", orders, shown, {"curl": row})


def _first(bench: Bench) -> Path:
    return bench.certificates.folder / "first.pem"


def _other(bench: Bench) -> Path:
    return bench.certificates.folder / "second.pem"


def _foreign(bench: Bench) -> tuple[str, ...]:
    return told(bench, ca=quoted(bench.certificates.foreign))


def _showing(certificate: Callable[[Bench], Path]) -> Callable[[Bench], list[Daemon]]:
    return lambda bench: [servers.vsftpd(bench, certificate=certificate(bench))]


def _vsftpd(bench: Bench) -> list[Daemon]:
    more = VSFTPD.format(authority=bench.certificates.authority)
    return [servers.vsftpd(bench, certificate=bench.certificates.server, more=more)]


def _proftpd(bench: Bench) -> list[Daemon]:
    more = PROFTPD.format(authority=bench.certificates.authority)
    return [servers.proftpd(bench, bench.certificates.server, more)]


def _pyftpdlib(bench: Bench) -> list[Daemon]:
    options = ("--client-authority", str(bench.certificates.authority))
    return [servers.pyftpdlib(bench, *options, address=SERVER[4], certificate=bench.certificates.server)]
