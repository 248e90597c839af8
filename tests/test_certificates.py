"""What certificates say, which names they cover, what is wrong with an operator's files, and how keys get into OpenSSL."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg import x509
from alg.authority import Authority
from alg.certificates import CertificateFacts, Leaf, inspect, load_leaf, matches
from alg.core.errors import ConfigError, TlsError
from tests.conftest import open_descriptors
from tests.handshakes import client_context, handshake, server_context
from tests.openssl import needs_openssl, openssl

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = [
    # name, pattern, whether it is covered
    ("www.example.org", "www.example.org", True),
    ("WWW.Example.ORG", "www.eXample.org", True),
    ("www.example.org.", "www.example.org", True),
    ("www.example.org", "www.example.org.", True),
    ("www.example.org", "example.org", False),
    ("example.org", "www.example.org", False),
    ("www.example.org", "*.example.org", True),
    ("www.example.org.", "*.EXAMPLE.org", True),
    ("xn--mnchen-3ya.example.org", "*.example.org", True),
    ("a.www.example.org", "*.example.org", False),
    ("example.org", "*.example.org", False),
    (".example.org", "*.example.org", False),
    ("example.org", "*.org", False),
    ("www.example.org", "w*.example.org", False),
    ("www.example.org", "*w.example.org", False),
    ("www.example.org", "www.*.org", False),
    ("www.example.org", "*.*.org", False),
    ("www.example.org", "*", False),
    ("*.example.org", "*.example.org", False),
    ("203.0.113.2", "203.0.113.2", True),
    ("203.0.113.2", "203.0.113.3", False),
    ("203.0.113.2", "*.0.113.2", False),
    ("203.0.113.2.", "*.0.113.2", False),
    ("2001:DB8:0::2", "2001:db8::2", True),
    ("2001:db8::2", "2001:db8::3", False),
    ("::ffff:203.0.113.2", "203.0.113.2", True),
    ("", "", False),
    (".", ".", False),
    ("a..b", "a..b", False),
    ("\u212aelvin.example", "kelvin.example", False),
    (f"{'a' * 63}.example", f"{'a' * 63}.example", True),
    (f"{'a' * 64}.example", f"{'a' * 64}.example", False),
]

labels = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
hosts = st.lists(labels, min_size=3, max_size=5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA."""
    return Authority.open(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(authority: Authority) -> Leaf:
    """What it signed for `a.example`."""
    return authority.issue(["a.example", "*.b.example", "203.0.113.2", "2001:db8::2"])


@pytest.mark.parametrize(("name", "pattern", "covered"), NAMES)
def test_names_and_patterns(name: str, pattern: str, covered: bool) -> None:
    """One pattern decides, among others that do not."""
    assert matches(name, [pattern]) is covered
    assert matches(name, iter(["other.example", pattern])) is covered
    assert not matches(name, [])


@given(hosts, st.data())
def test_a_wildcard_stands_for_exactly_one_label(host: list[str], data: st.DataObject) -> None:
    """A name matches itself in any letter case, its parent's wildcard, and no other ancestor's."""
    name = ".".join(data.draw(st.sampled_from([each, each.upper(), each.title()])) for each in host)
    name += data.draw(st.sampled_from(["", "."]))
    assert matches(name, [".".join(host)])
    for level in range(len(host) - 1):
        assert matches(name, [f"*.{'.'.join(host[level:])}"]) is (level == 1)


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_matched_or_not(name: str, patterns: list[str]) -> None:
    """Nothing raises, and no stranger matches: what matches is among the patterns, or below a wildcard."""
    if matches(name, patterns):
        plain = [each.lower().removesuffix(".") for each in patterns]
        asked = name.lower().removesuffix(".")
        assert asked in plain or "*." + asked.partition(".")[2] in plain or ":" in asked


@pytest.mark.parametrize(
    ("name", "pattern", "covered"),
    # OpenSSL compares texts that are no names, and takes a mapped address for another than the IPv4 address
    [row for row in NAMES if row[0].isascii() and not row[0].startswith(("*", "::ffff:"))],
)
def test_openssl_agrees(authority: Authority, name: str, pattern: str, covered: bool) -> None:
    """What matches here is what a client accepts, where such a certificate can be made and such a name be asked for."""
    try:
        server = server_context(authority.issue([pattern]))
    except ConfigError:
        assert not covered
        return
    client = client_context(authority.certificate_pem)
    try:
        handshake(server, client, name.removesuffix("."))  # Python's ssl and browsers ask without the dot
    except (ssl.SSLCertVerificationError, ValueError):  # ValueError: no host name
        assert not covered
    else:
        assert covered


def write(path: Path, *parts: bytes) -> Path:
    """A file of these parts."""
    path.write_bytes(b"".join(parts))
    return path


def test_facts_of_an_operators_certificate(tmp_path: Path, leaf: Leaf) -> None:
    """The first certificate's; the key is in a file of its own, or in the same."""
    certificate = write(tmp_path / "cert.pem", leaf.chain_pem)
    key = write(tmp_path / "key.pem", leaf.key_pem)
    facts = inspect(certificate, key)
    assert facts.names == ("a.example", "*.b.example", "203.0.113.2", "2001:db8::2")
    assert facts.not_after == leaf.not_after
    assert facts == inspect(write(tmp_path / "both.pem", leaf.chain_pem, leaf.key_pem), None)
    assert facts == inspect(write(tmp_path / "key-first.pem", leaf.key_pem, leaf.chain_pem), None)
    comments = write(tmp_path / "bag.pem", b"Bag Attributes\n  localKeyID: \xe9\n", leaf.chain_pem, leaf.key_pem)
    assert facts == inspect(comments, None)


@needs_openssl
def test_the_fingerprint_is_that_of_openssl(tmp_path: Path, leaf: Leaf) -> None:
    """So that people can compare them."""
    path = write(tmp_path / "both.pem", leaf.chain_pem, leaf.key_pem)
    said = openssl("x509", "-in", str(path), "-noout", "-fingerprint", "-sha256").decode()
    assert said.strip().endswith(f"={inspect(path, None).fingerprint}")


def test_the_common_name_counts_where_there_is_no_other(authority: Authority) -> None:
    """RFC 6125 6.4.4: as a last resort."""
    facts = inspect(authority.path, authority.path.with_name("ca-key.pem"))
    assert facts.names == (authority.subject.removeprefix("CN="),)


@pytest.mark.parametrize(
    ("seconds", "problem"),
    [
        (-1, "is valid only from 2026-03-01 12:00 UTC"),
        (0, None),
        (3600, None),
        (3601, "expired on 2026-03-01 13:00 UTC"),
    ],
)
def test_times_of_validity(seconds: int, problem: str | None) -> None:
    """Both ends belong to it."""
    facts = CertificateFacts(("a.example",), NOW, NOW + timedelta(hours=1), "AB:CD")
    assert facts.problem(NOW + timedelta(seconds=seconds)) == problem


def test_an_expired_certificate_is_visible(tmp_path: Path) -> None:
    """It is no error to look at it."""
    key = x509.new_key()
    pem = x509.new_authority(key, "old", NOW - timedelta(days=4000))
    facts = inspect(write(tmp_path / "old.pem", pem, key), None)
    assert facts.problem(NOW) == "expired on 2025-03-18 12:00 UTC"


def refused(certificate: Path, key: Path | None) -> str:
    """What is said about an operator's files; one line, without the folder's name."""
    with pytest.raises(ConfigError) as caught:
        inspect(certificate, key)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{certificate.parent}/", "")


def test_files_that_cannot_be_used(tmp_path: Path, leaf: Leaf, authority: Authority) -> None:
    """Each cause, with its mend."""
    certificate = write(tmp_path / "cert.pem", leaf.chain_pem)
    key = write(tmp_path / "key.pem", leaf.key_pem)
    assert refused(tmp_path / "none.pem", key) == "none.pem: cannot be read: No such file or directory"
    assert refused(certificate, tmp_path / "none.pem") == "none.pem: cannot be read: No such file or directory"
    (tmp_path / "folder").mkdir()
    assert refused(tmp_path / "folder", None) == "folder: cannot be read: Is a directory"
    assert refused(key, key) == (
        "key.pem: holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----"
    )
    der = write(tmp_path / "cert.der", ssl.PEM_cert_to_DER_cert(leaf.chain_pem.decode().partition("\n-----BEGIN")[0]))
    assert refused(der, key).startswith("cert.der: holds no certificate; it must be PEM")
    damaged = write(tmp_path / "damaged.pem", leaf.chain_pem.replace(b"MII", b"MIA", 1))
    assert refused(damaged, key).startswith(
        "damaged.pem: holds a damaged certificate; get it anew from who issued it ("
    )
    assert refused(certificate, None) == 'cert.pem: holds no private key; name the file that does: key = "FILE"'
    assert refused(certificate, certificate) == (
        "cert.pem: holds no private key; it must be PEM, with a line -----BEGIN PRIVATE KEY-----"
    )
    bad_key = write(tmp_path / "bad-key.pem", leaf.key_pem.replace(b"MIG", b"MIA", 1))
    assert refused(certificate, bad_key).startswith(
        "bad-key.pem: holds a private key that cannot be used; give another"
    )
    other = write(tmp_path / "other.pem", x509.new_key())
    assert refused(certificate, other) == (
        "other.pem: the private key is not that of the certificate in cert.pem; give those of one pair"
    )
    chain = write(tmp_path / "chain.pem", authority.certificate_pem, leaf.chain_pem)
    assert refused(chain, key) == (
        "key.pem: the private key is that of certificate 2 in chain.pem; put the server's own first"
    )


def test_certificates_from_odd_issuers(tmp_path: Path, leaf: Leaf) -> None:
    """A subjectAltName that is none; a kind of public key that nobody knows."""
    key, good = write(tmp_path / "key.pem", leaf.key_pem), leaf.chain_pem.decode().partition("\n-----BEGIN")[0]
    der = ssl.PEM_cert_to_DER_cert(good)
    malformed = der.replace(b"\x82\x09a.example", b"\x82\x09a.\xffxample")
    unknown = der.replace(b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x02\x7f")
    assert der not in (malformed, unknown)
    odd = write(tmp_path / "odd.pem", ssl.DER_cert_to_PEM_cert(malformed).encode())
    assert refused(odd, key).startswith("odd.pem: holds a malformed certificate; get it anew from who issued it (")
    odd = write(tmp_path / "odd.pem", ssl.DER_cert_to_PEM_cert(unknown).encode())
    assert refused(odd, key).startswith("key.pem: belongs to a certificate whose key cannot be used; give another (")


@needs_openssl
@pytest.mark.parametrize("style", [[], ["-traditional"]])
def test_an_encrypted_key(tmp_path: Path, leaf: Leaf, style: list[str]) -> None:
    """In the newer form (PKCS #8) and in the older one (RFC 1421), beside the certificate."""
    encrypted = openssl("pkey", "-aes128", "-passout", "pass:secret", *style, given=leaf.key_pem)
    both = write(tmp_path / "both.pem", leaf.chain_pem, encrypted)
    assert refused(both, None) == (
        "both.pem: the private key is encrypted; take its passphrase away: openssl pkey -in ENCRYPTED -out PLAIN"
    )


def test_no_key_is_left_in_a_file(tmp_path: Path, leaf: Leaf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as a descriptor nor on disk; also where the system has no files in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_descriptors()
    load_leaf(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), leaf)
    monkeypatch.delattr(os, "memfd_create")
    load_leaf(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), leaf)
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []


def test_a_context_that_takes_no_such_leaf(leaf: Leaf) -> None:
    """OpenSSL's own word for it."""
    with pytest.raises(TlsError, match=r"^a certificate of our own cannot be used: .*mismatch"):
        load_leaf(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Leaf(leaf.chain_pem, x509.new_key(), leaf.not_after))


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), **environment},
    )


def test_nothing_is_imported_before_it_is_needed() -> None:
    """Who uses no certificate neither needs `cryptography` nor waits for it."""
    ran = python("import sys, alg.cli; print([name for name in sys.modules if name.startswith('cryptography')])")
    assert (ran.returncode, ran.stdout) == (0, "[]\n")


def test_without_cryptography(tmp_path: Path) -> None:
    """One line says what to install."""
    ran = python(
        "import sys; sys.modules['cryptography'] = None; from alg.cli import main; main(['ca', 'show'])",
        ALG_HOME=str(tmp_path),
    )
    assert (ran.returncode, ran.stdout) == (78, "")
    assert ran.stderr == "alg: certificates need the package cryptography: pip install 'alg-gateway[tls]'\n"
    assert list(tmp_path.iterdir()) == []
