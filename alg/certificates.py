"""Certificates as values: what one says, which names it covers, and how one gets into an `ssl.SSLContext`.

The package `cryptography` is wanted only where a certificate is really read or made, and then by `alg.x509` alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from alg.core.addresses import Address, parse_address
from alg.core.errors import ConfigError, ProtocolError, TlsError

# RFC 1123 2.1; the underscore is no part of a host name, but names in use have it.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME = 253  # characters without the trailing dot: RFC 1035 2.3.4 allows 255 octets on the wire


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says: whom it names, from when until when, and the fingerprint to tell it by."""

    names: tuple[str, ...]
    """Its subjectAltName: DNS names, perhaps with a wildcard, and IP addresses; its common name if it has none."""
    not_before: datetime
    """UTC."""
    not_after: datetime
    """UTC."""
    fingerprint: str
    """SHA-256, upper-case hexadecimal with colons, as `openssl x509 -fingerprint -sha256` prints it."""

    def problem(self, now: datetime) -> str | None:
        """Say why the certificate is no good at that time (aware), e.g. `expired on 2026-03-01 12:00 UTC`, or None."""
        if now > self.not_after:  # RFC 5280 4.1.2.5: both ends belong to the time of validity
            return f"expired on {show_time(self.not_after)}"
        if now < self.not_before:
            return f"is valid only from {show_time(self.not_before)}"
        return None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server's certificate with the CA's behind it, its private key, and the time (UTC) until which it is valid."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    not_after: datetime


def show_time(time: datetime) -> str:
    """Write a time of validity, which is UTC, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


@contextlib.contextmanager
def needs_cryptography() -> Iterator[None]:
    """Import `alg.x509` within it.

    Raises:
        ConfigError: the package `cryptography` is not installed; the operator's to mend.
    """
    try:
        yield
    except ImportError:
        raise ConfigError("certificates need the package cryptography: pip install 'alg-gateway[tls]'") from None


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the path of the file that is being read in front of what is wrong with it.

    Raises:
        ConfigError: the file cannot be read, or what was raised within began without a path.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def inspect(certificate: Path, key: Path | None) -> CertificateFacts:
    """Read the operator's certificate, and see that its private key is there and belongs to it.

    Both are PEM. The server's certificate comes first in its file, the chain behind it; the key stands in the same
    file if `key` is None. An expired certificate is no error here: ask `problem` of what is returned.

    Raises:
        ConfigError: a file cannot be read, holds no certificate or no key, the key is encrypted or is another's, or
            `cryptography` is not installed. One line that names the file; the operator's to mend.
    """
    with needs_cryptography():
        from alg import x509
    with naming(certificate):
        pem = key_pem = certificate.read_bytes()
        chain = x509.read_chain(pem)
        facts = x509.facts(chain[0])
    with naming(key or certificate):
        if key is not None:
            key_pem = key.read_bytes()
        elif not x509.holds_key(pem):
            raise ConfigError('holds no private key; name the file that does: key = "FILE"')
        place = x509.find_owner(chain, x509.read_key(key_pem))
        if place is None:
            raise ConfigError(
                f"the private key is not that of the certificate in {certificate}; give those of one pair"
            )
        if place > 0:
            raise ConfigError(
                f"the private key is that of certificate {place + 1} in {certificate}; put the server's own first"
            )
    return facts


def load_leaf(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Have a server's context present that leaf. The key does not stay in any file.

    Raises:
        TlsError: OpenSSL takes it not, e.g. since its security level forbids P-256.
        OSError: there is no descriptor, or (elsewhere than on Linux) no room for a temporary file.
    """
    with _private_file(leaf.chain_pem + leaf.key_pem) as path:
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise TlsError(f"a certificate of our own cannot be used: {error}") from None


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[str]:
    """A path at which nobody else reads the data, for as long as the block runs: `load_cert_chain` takes only paths."""
    file: IO[bytes]
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):  # in memory: a key never reaches a disk
        file = os.fdopen(os.memfd_create("alg-leaf"), "wb")
        os.fchmod(file.fileno(), 0o600)
        path = f"/proc/self/fd/{file.fileno()}"
    else:
        file = tempfile.NamedTemporaryFile(prefix="alg-leaf-")  # noqa: SIM115 - closed below; 0600
        path = file.name
    with file:
        file.write(data)
        file.flush()
        yield path


def host_labels(name: str) -> tuple[str, ...]:
    """Split a host name into its labels, in lower case and without the trailing dot; empty if it is none.

    Names are ASCII (A-labels, RFC 5890). What ends in a number is a botched address, never a name.
    """
    labels = tuple(name.lower().removesuffix(".").split(".")) if name.isascii() else ("",)
    is_name = len(name) <= _LONGEST_NAME + 1 and all(_LABEL.fullmatch(each) for each in labels)
    return labels if is_name and not labels[-1].isdigit() else ()


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of a certificate's names is, or covers, that host name or IP address (RFC 6125 6.4).

    Letter case and a trailing dot do not count. A wildcard is the whole left-most label and stands for exactly one;
    as in OpenSSL two labels at least must follow it. An address is matched by the same address only.
    """
    address = _address(name)
    if address is not None:
        return any(_address(pattern) == address for pattern in patterns)
    labels = host_labels(name)
    return labels != () and any(_covers(pattern, labels) for pattern in patterns)


def _covers(pattern: str, labels: tuple[str, ...]) -> bool:
    if not pattern.startswith("*."):
        return host_labels(pattern) == labels
    parent = host_labels(pattern[2:])
    return len(parent) >= 2 and parent == labels[1:]


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except ProtocolError:
        return None
