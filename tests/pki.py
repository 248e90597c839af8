"""Certificates for tests: a CA of ours, a CA that nobody trusts, and servers' certificates, good ones and bad ones.

Made when they are needed, within a second, so that none of them can expire in the tree.
"""

from __future__ import annotations

import functools
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "ftp.example.org"
"""What good certificates are for, besides the addresses of the peers."""
_ADDRESSES = ("127.0.0.1", "127.0.0.5", "127.0.0.9")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def both(self) -> bytes:
        """The certificate and the key behind it."""
        return self.pem + self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@functools.cache
def folder() -> Path:
    """Where files for `ssl` go; gone with the process."""
    made = tempfile.TemporaryDirectory(prefix="alg-pki-")
    _KEPT.append(made)
    return Path(made.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def make(
    *names: str, issuer: str | None = "ours", from_days: int = -1, to_days: int = 30, authority: bool = False
) -> Pair:
    """A certificate for these names by the CA of that name; with None it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    signer = ca(issuer) if issuer and not authority else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.certificate.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=from_days))
        .not_valid_after(now + timedelta(days=to_days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return Pair(builder.sign(signer.key if signer else key, hashes.SHA256()), key)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@functools.cache
def ca(name: str = "ours") -> Pair:
    """A CA."""
    return make(f"CA {name}", authority=True)


def good() -> Pair:
    """What a server of ours shows."""
    return make(NAME, *_ADDRESSES)


@functools.cache
def file(pair: Pair) -> Path:
    """The pair as a file for `ssl`, and for the gateway."""
    path = folder() / f"{pair.certificate.serial_number}.pem"
    path.write_bytes(pair.both)
    return path


@functools.cache
def ca_file(name: str = "ours") -> Path:
    """The CA's certificate as a file."""
    path = folder() / f"ca-{name}.pem"
    path.write_bytes(ca(name).pem)
    return path


V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def server(pair: Pair | None = None, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file(pair or good()))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def client(*, version: ssl.TLSVersion | None = None, trust: str | None = "ours") -> ssl.SSLContext:
    """A client's context that trusts that CA; None: it verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust:
        context.load_verify_locations(ca_file(trust))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    return context
