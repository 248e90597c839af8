"""An authority and EC P-256 certificates for one laboratory: the same kind for every gateway and for the server."""

from dataclasses import dataclass
from pathlib import Path

from tests.bench.namespaces import GATEWAY_INSIDE, SERVER, Lab, run

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-sha256", "-days", "7")


@dataclass(frozen=True)
class Certificates:
    """PEM files; those of server and gateway hold certificate and private key."""

    authority: Path
    server: Path
    gateway: Path


def of(lab: Lab) -> Certificates:
    """Those of a laboratory, made when they are first asked for."""
    found = Certificates(*(lab.folder / f"{name}.pem" for name in ("authority", "server", "gateway")))
    if not found.gateway.exists():
        _make_all(lab.folder, found.authority)
    return found


def _make_all(folder: Path, authority: Path) -> None:
    key = folder / "authority.key"
    _make(authority, key, "/CN=bench authority", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
    signer = ("-CA", str(authority), "-CAkey", str(key))
    for name, host in (("server", SERVER), ("gateway", GATEWAY_INSIDE)):
        file, own = folder / f"{name}.pem", folder / f"{name}.key"
        extensions = (
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature",
            "extendedKeyUsage=serverAuth",
            f"subjectAltName=IP:{host},DNS:{host}",
        )
        _make(file, own, f"/CN={host}", *extensions, signer=signer)
        file.write_text(file.read_text() + own.read_text())
        file.chmod(0o600)


def _make(file: Path, key: Path, subject: str, *extensions: str, signer: tuple[str, ...] = ()) -> None:
    added = [word for extension in extensions for word in ("-addext", extension)]
    run("openssl", "req", "-x509", *NEW_KEY, "-subj", subject, *added, *signer, "-keyout", str(key), "-out", str(file))
