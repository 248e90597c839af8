"""A certificate authority of the lab, and what it signs: one certificate for the servers, one for the gateway.

Every client verifies, and so does the gateway: a name or an address that is not in the certificate
ends the connection.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.peers.install import CHECKOUT
from tests.peers.namespaces import GATEWAY_INSIDE, SERVER
from tests.peers.processes import run

NEW_KEY = ("-newkey", "rsa:2048", "-noenc")
DAYS = "7"


@dataclass(frozen=True)
class Certificates:
    """PEM files in a folder; those of server and gateway hold certificate and private key."""

    folder: Path
    # Whether the gateway has its own authority make what it shows; clients then trust that one only.
    minted: bool = False

    @property
    def authority(self) -> Path:
        """The lab's authority, which signed the servers' certificate."""
        return self.folder / "authority.pem"

    @property
    def server(self) -> Path:
        """What servers show."""
        return self.folder / "server.pem"

    @property
    def gateway(self) -> Path:
        """What the gateway shows, unless it mints."""
        return self.folder / "gateway.pem"

    @property
    def trusted(self) -> Path:
        """The authority that clients trust."""
        return self.folder / "minting.pem" if self.minted else self.authority

    @property
    def home(self) -> Path:
        """Where the gateway keeps its own authority."""
        return self.folder / "home"

    @property
    def foreign(self) -> Path:
        """An authority that signed nothing: a client that trusts it alone must refuse everyone."""
        return self.folder / "foreign.pem"


def make_certificates(folder: Path, mint: bool = False) -> Certificates:
    """Make the authorities and both certificates in a new folder."""
    folder.mkdir()
    certificates = Certificates(folder, mint)
    key = folder / "authority.key"
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    make(certificates.authority, key, "/CN=peer lab authority", extensions)
    make(certificates.foreign, folder / "foreign.key", "/CN=foreign authority", extensions)
    leaf(certificates.server, certificates.authority, key, "server", SERVER.values())
    leaf(certificates.gateway, certificates.authority, key, "gateway", GATEWAY_INSIDE.values())
    if mint:
        export = (sys.executable, "-m", "alg", "ca", "export", "--out", str(certificates.trusted))
        run("env", f"ALG_HOME={certificates.home}", *export, cwd=CHECKOUT)
    return certificates


def leaf(file: Path, authority: Path, authority_key: Path, name: str, addresses: Iterable[str]) -> None:
    """Have a certificate signed for a host name and addresses; its key stands behind it."""
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


def make(file: Path, key: Path, subject: str, extensions: Iterable[str], *signer: str) -> None:
    """Run openssl for one certificate; without a signer it signs itself."""
    command = ["openssl", "req", "-x509", *NEW_KEY, "-sha256", "-days", DAYS, "-subj", subject]
    for extension in extensions:
        command += ["-addext", extension]
    run(*command, *signer, "-keyout", str(key), "-out", str(file))
