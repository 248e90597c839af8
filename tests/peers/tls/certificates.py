"""A certificate authority of the lab, and what it signs: one certificate for the servers, one for the gateway.

Every client verifies, and so does the gateway: a name or an address that is not in the certificate
ends the connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.peers.namespaces import GATEWAY_INSIDE, SERVER
from tests.peers.processes import run

NEW_KEY = ("-newkey", "rsa:2048", "-noenc")
DAYS = "7"


@dataclass(frozen=True)
class Certificates:
    """PEM files; those of server and gateway hold certificate and private key."""

    authority: Path
    server: Path
    gateway: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and both certificates in a new folder."""
    folder.mkdir()
    authority, key = folder / "authority.pem", folder / "authority.key"
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    make(authority, key, "/CN=peer lab authority", extensions)
    return Certificates(
        authority,
        leaf(folder / "server.pem", authority, key, "server", SERVER.values()),
        leaf(folder / "gateway.pem", authority, key, "gateway", GATEWAY_INSIDE.values()),
    )


def leaf(file: Path, authority: Path, authority_key: Path, name: str, addresses: Iterable[str]) -> Path:
    """Have a certificate signed for a host name and addresses; return the file with its key behind it."""
    key = file.with_suffix(".key")
    alternatives = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
    extensions = (
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature,keyEncipherment",
        "extendedKeyUsage=serverAuth",
        f"subjectAltName={alternatives}",
    )
    make(file, key, f"/CN={name}", extensions, "-CA", str(authority), "-CAkey", str(authority_key))
    file.write_text(file.read_text() + key.read_text())
    file.chmod(0o600)
    return file


def make(file: Path, key: Path, subject: str, extensions: Iterable[str], *signer: str) -> None:
    """Run openssl for one certificate; without a signer it signs itself."""
    command = ["openssl", "req", "-x509", *NEW_KEY, "-sha256", "-days", DAYS, "-subj", subject]
    for extension in extensions:
        command += ["-addext", extension]
    run(*command, *signer, "-keyout", str(key), "-out", str(file))
