"""The local CA: a certificate and a key in a directory of ours, made when first needed; it signs servers' certificates.

Clients trust what it signs once they trust its certificate, `ca.pem`. Its key, `ca-key.pem`, never leaves the directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alg.certificates import Leaf, naming, needs_cryptography
from alg.core.errors import ConfigError

if TYPE_CHECKING:
    from alg import x509

_CERTIFICATE, _KEY, _LOCK = "ca.pem", "ca-key.pem", ".lock"
_REPLACE = f"remove it and {_KEY} to have a new CA made, which clients must be told to trust"


def default_directory() -> Path:
    """Where the local CA lives: `$ALG_HOME`, else `alg` in `$XDG_DATA_HOME`, else `~/.local/share/alg`; root too.

    Raises:
        ConfigError: none of them is set, and this user has no home; the operator's to mend.
    """
    own = os.environ.get("ALG_HOME")
    if own:
        return Path(own).absolute()
    shared = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(shared):  # the XDG Base Directory specification: a relative path is to be ignored
        return Path(shared) / "alg"
    try:
        return Path.home() / ".local" / "share" / "alg"
    except RuntimeError:
        raise ConfigError("there is no home for the local CA; set ALG_HOME to a directory") from None


@dataclass(frozen=True, slots=True)
class Authority:
    """The local CA, open: ready to sign. All its leaves share one key, made anew each time it is opened."""

    path: Path
    """Of its certificate."""
    certificate_pem: bytes
    subject: str
    """As RFC 4514 writes it: `CN=ALG local CA gateway1`."""
    fingerprint: str
    """SHA-256 of its certificate, upper-case hexadecimal with colons."""
    not_after: datetime
    """UTC."""
    is_new: bool
    """Whether it was made just now: no client trusts it yet."""
    _issuer: x509.Issuer = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> Authority:
        """Load the CA of that directory, or make both if there is none; processes that do so at once get the same.

        Raises:
            ConfigError: a file cannot be read or written or is damaged, the certificate is no CA's, has expired or is
                not that key's, others than the owner may read the key, or `cryptography` is not installed. One line
                that names the file; the operator's to mend.
        """
        with needs_cryptography():
            from alg import x509
        path, key_path, now = directory / _CERTIFICATE, directory / _KEY, datetime.now(UTC)
        is_new = not _exists(path) and _make(path, key_path, now)
        with naming(path):
            certificate = x509.read_chain(path.read_bytes())[0]
            facts = x509.facts(certificate)
            problem = facts.problem(now)
            if problem is not None:
                raise ConfigError(f"{problem}; set the clock, or {_REPLACE}")
        with naming(key_path):
            key = x509.read_key(_read_key(key_path))
            if x509.find_owner([certificate], key) is None:
                raise ConfigError(f"is not the key of {path}; put the right one there, or remove both to have a new CA")
        with naming(path):
            issuer = x509.Issuer.of(certificate, key)
        return cls(
            path,
            x509.to_pem(certificate),
            certificate.subject.rfc4514_string(),
            facts.fingerprint,
            facts.not_after,
            is_new,
            issuer,
        )

    def issue(self, names: Sequence[str]) -> Leaf:
        """Sign a certificate for a server of those names: host names, perhaps `*.` and a host name, and IP addresses.

        It is valid for 396 days from now, or as long as the CA if that is shorter, and for a day before now: some
        clients' clocks are behind.

        Raises:
            ConfigError: there is no name, or one of them is neither; whoever configured it.
        """
        return self._issuer.issue(names, datetime.now(UTC))


def _exists(path: Path) -> bool:
    with naming(path):
        return path.exists()


def _make(path: Path, key_path: Path, now: datetime) -> bool:
    """Make the CA, unless another process was first. The key comes first, so that a certificate always has one."""
    from alg import x509

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent / _LOCK):
            if path.exists():
                return False
            if not key_path.exists():
                _write(key_path, x509.new_key(), mode=0o600)
            with naming(key_path):  # if its maker died in between, it is as good as a new one
                pem = x509.new_authority(_read_key(key_path), f"ALG local CA {socket.gethostname()}", now)
            _write(path, pem, mode=0o644)
            return True
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be made: {error.strerror or error}; set ALG_HOME to a directory that may be written"
        ) from None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time. The kernel lets go if its holder dies; the file stays, since to remove it would race."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Write all of it or nothing: whoever reads at the same time never finds half a file."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # nobody else may read it: 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read_key(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if mode & 0o077:
                raise ConfigError(f"others may use the CA's key (mode {mode:04o}): chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        raise ConfigError(f"is missing; put it back, or remove {_CERTIFICATE} too to have a new CA made") from None
