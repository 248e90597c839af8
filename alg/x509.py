"""X.509: certificates and keys read, compared and made. The only module that imports the package `cryptography`.

PEM in, values out: no files and no clock here, the present time (aware, UTC) is an argument. Import it within
`alg.certificates.needs_cryptography`, where it is needed. Its errors do not name a file; `naming` adds that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from alg.certificates import CertificateFacts, Leaf, host_labels
from alg.core.addresses import parse_address
from alg.core.errors import ConfigError, ProtocolError

CLOCK_SKEW = timedelta(days=1)
"""How far a client's clock may be behind ours: certificates are valid from that long ago."""
AUTHORITY_LIFETIME = timedelta(days=3652)
"""Ten years from now on."""
LEAF_LIFETIME = timedelta(days=397)
"""From `not_before` to `not_after`: Apple's and Chrome's limit is 398 days."""

_LONGEST_COMMON_NAME = 64  # characters, RFC 5280 appendix A.1 ub-common-name
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----")

_SigningKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def read_chain(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file, at least one, in its order.

    Raises:
        ConfigError: there is none, or one of them is damaged.
    """
    if not _CERTIFICATE.search(pem):
        raise ConfigError("holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigError(f"holds a damaged certificate; get it anew from who issued it ({_said(error)})") from None


def holds_key(pem: bytes) -> bool:
    """Whether there is a private key in a PEM file."""
    return _KEY.search(pem) is not None


def read_key(pem: bytes) -> PrivateKeyTypes:
    """The first private key of a PEM file, whatever else is in it.

    Raises:
        ConfigError: there is none, it is encrypted or damaged, or of a kind that `cryptography` does not know.
    """
    if not holds_key(pem):
        raise ConfigError("holds no private key; it must be PEM, with a line -----BEGIN PRIVATE KEY-----")
    try:
        return load_pem_private_key(pem, None)
    except TypeError:
        raise ConfigError(
            "the private key is encrypted; take its passphrase away: openssl pkey -in ENCRYPTED -out PLAIN"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"holds a private key that cannot be used; give another ({_said(error)})") from None


def find_owner(chain: Sequence[x509.Certificate], key: PrivateKeyTypes) -> int | None:
    """The place in the chain, from 0, of the certificate to which that key belongs; None if there is none.

    Raises:
        ConfigError: a certificate's public key is of a kind that `cryptography` does not know.
    """
    public = _spki(key.public_key())
    try:
        return next((place for place, each in enumerate(chain) if _spki(each.public_key()) == public), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"belongs to a certificate whose key cannot be used; give another ({_said(error)})") from None


def facts(certificate: x509.Certificate) -> CertificateFacts:
    """What a certificate says.

    Raises:
        ConfigError: its extensions are malformed.
    """
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [str(each.value) for each in alternatives if isinstance(each, x509.DNSName | x509.IPAddress)]
    except x509.ExtensionNotFound:
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ConfigError(f"holds a malformed certificate; get it anew from who issued it ({_said(error)})") from None
    return CertificateFacts(
        tuple(names),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def to_pem(certificate: x509.Certificate) -> bytes:
    """One certificate as PEM, with a line end."""
    return certificate.public_bytes(Encoding.PEM)


def new_key() -> bytes:
    """Make a private key on P-256, as PEM (PKCS #8, not encrypted)."""
    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def new_authority(key_pem: bytes, common_name: str, now: datetime) -> bytes:
    """Make a CA's certificate, signed by its own key, as PEM; a long name is cut.

    Raises:
        ConfigError: the key cannot be used.
    """
    key = _signing_key(read_key(key_pem))
    name = _name(common_name[:_LONGEST_COMMON_NAME])
    start = now.replace(microsecond=0)
    builder = _builder(name, name, key.public_key(), start - CLOCK_SKEW, start + AUTHORITY_LIFETIME)
    # pathlen 0: it signs servers' certificates and never another CA's (RFC 5280 4.2.1.9)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return builder.sign(key, _hash_for(key)).public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA that signs, and the one key that all its leaves share: to make a key takes longer than to sign."""

    certificate: x509.Certificate
    key: _SigningKey = field(repr=False)
    leaf_key: ec.EllipticCurvePrivateKey = field(
        repr=False, default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @classmethod
    def of(cls, certificate: x509.Certificate, key: PrivateKeyTypes) -> Issuer:
        """Take a CA's certificate and its key.

        Raises:
            ConfigError: the certificate may not sign others, or the key cannot.
        """
        if not _may_sign(certificate):
            raise ConfigError("is not the certificate of a CA; put one there that is")
        return cls(certificate, _signing_key(key))

    def issue(self, names: Sequence[str], now: datetime) -> Leaf:
        """Sign a server's certificate for host names and IP addresses; it does not outlive the CA.

        Raises:
            ConfigError: there is no name, or one is neither a host name nor a literal address.
        """
        if not names:
            raise ConfigError("a certificate needs a name; give a host name or an IP address")
        alternatives = [_general_name(each) for each in dict.fromkeys(names)]
        first = str(alternatives[0].value)
        subject = _name(first) if len(first) <= _LONGEST_COMMON_NAME else x509.Name([])
        start = now.replace(microsecond=0) - CLOCK_SKEW
        end = min(start + LEAF_LIFETIME, self.certificate.not_valid_after_utc)
        builder = _builder(subject, self.certificate.subject, self.leaf_key.public_key(), start, end)
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            # critical where it alone says who that is: RFC 5280 4.2.1.6
            (x509.SubjectAlternativeName(alternatives), not list(subject)),
            (self._identifier(), False),
        ):
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(self.key, _hash_for(self.key))
        chain = signed.public_bytes(Encoding.PEM) + self.certificate.public_bytes(Encoding.PEM)
        return Leaf(chain, _key_pem(self.leaf_key), end)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        """What must equal the CA's own SubjectKeyIdentifier, however that was made (RFC 5280 4.2.1.1)."""
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _signing_key(key: PrivateKeyTypes) -> _SigningKey:
    if not isinstance(key, _SigningKey):
        raise ConfigError("the key of a CA must be EC, RSA or Ed25519; give one that is")
    return key


def _hash_for(key: _SigningKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()  # RFC 8410: it hashes by itself


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as missing:  # a CA without keyUsage may do anything (RFC 5280 4.2.1.3)
        return missing.oid == x509.KeyUsage.oid and is_authority
    return is_authority and usage.key_cert_sign


def _builder(
    subject: x509.Name, issuer: x509.Name, public: CertificatePublicKeyTypes, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    return builder.not_valid_before(start).not_valid_after(end).add_extension(identifier, critical=False)


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(parse_address(name))
    except ProtocolError:
        wildcard = "*." if name.startswith("*.") else ""
        labels = host_labels(name.removeprefix(wildcard))
        if not labels:
            raise ConfigError(
                f"{name!r} is neither a host name nor an IP address; write a name in ASCII (xn--...), without a port"
            ) from None
        return x509.DNSName(wildcard + ".".join(labels))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _spki(public: PublicKeyTypes) -> bytes:
    """What tells public keys apart: their SubjectPublicKeyInfo (RFC 5280 4.1.2.7)."""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _said(error: Exception) -> str:
    """What the library says, on one line."""
    return " ".join(str(error).split())[:200]
