"""The local CA: made once whoever comes first, kept private, and what it signs is accepted by real TLS clients."""

from __future__ import annotations

import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alg import x509
from alg.authority import Authority, default_directory
from alg.core.errors import ConfigError
from tests.handshakes import client_context, handshake, server_context
from tests.openssl import needs_openssl, openssl

NOW = datetime.now(UTC)
AT_ONCE = """
import sys
from pathlib import Path
from alg.authority import Authority
print("ready", flush=True)
sys.stdin.read()
authority = Authority.open(Path(sys.argv[1]))
print(authority.fingerprint, authority.is_new)
"""
PROCESSES = 6


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA."""
    return Authority.open(tmp_path_factory.mktemp("ca"))


def write_authority(directory: Path, certificate: bytes, key: bytes) -> None:
    """Put files where a CA is looked for."""
    directory.mkdir(exist_ok=True)
    (directory / "ca.pem").write_bytes(certificate)
    (directory / "ca-key.pem").write_bytes(key)
    (directory / "ca-key.pem").chmod(0o600)


def openssl_says(path: Path, *what: str) -> str:
    """What OpenSSL's own tool says about a certificate."""
    return openssl("x509", "-in", str(path), "-noout", *what).decode()


def test_first_use_makes_it_and_later_ones_find_it(tmp_path: Path) -> None:
    """The second has the same certificate, and its leaves too are accepted by who trusts the first."""
    first = Authority.open(tmp_path / "new" / "alg")
    second = Authority.open(tmp_path / "new" / "alg")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.path == tmp_path / "new" / "alg" / "ca.pem"
    assert first.certificate_pem == second.certificate_pem == first.path.read_bytes()
    leaf = second.issue(["www.example.org"])
    handshake(server_context(leaf), client_context(first.certificate_pem), "www.example.org")


def test_only_its_owner_gets_at_the_key(tmp_path: Path) -> None:
    """Modes as documented, and nothing else is left lying there."""
    directory = tmp_path / "alg"
    authority = Authority.open(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-key.pem": 0o600, ".lock": 0o600}
    assert b"PRIVATE" not in authority.certificate_pem
    assert "PRIVATE" not in repr(authority)
    assert "PRIVATE" not in repr(authority.issue(["a.example"]))


def test_processes_that_come_at_once_get_one(tmp_path: Path) -> None:
    """Exactly one makes it; all have the same."""
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "alg")]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.close()
    said = []
    for process in processes:
        with process:
            assert process.stdout
            said.append(process.stdout.read().split())
    assert len({fingerprint for fingerprint, _ in said}) == 1
    assert sorted(is_new for _, is_new in said) == ["False"] * (PROCESSES - 1) + ["True"]


def test_a_key_without_a_certificate_is_used(tmp_path: Path) -> None:
    """Its maker died between the two: the key is neither lost nor replaced."""
    key = x509.new_key()
    write_authority(tmp_path, b"", key)
    (tmp_path / "ca.pem").unlink()
    authority = Authority.open(tmp_path)
    assert authority.is_new
    assert (tmp_path / "ca-key.pem").read_bytes() == key


@needs_openssl
def test_what_the_certificate_says(authority: Authority) -> None:
    """A CA for servers' certificates only, for ten years, already valid for clients with a slow clock."""
    assert openssl_says(authority.path, "-fingerprint", "-sha256").strip().endswith(f"={authority.fingerprint}")
    assert authority.subject.startswith("CN=ALG local CA ")
    said = openssl_says(authority.path, "-text")
    for words in (
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier:",
        "ASN1 OID: prime256v1",
        "Signature Algorithm: ecdsa-with-SHA256",
    ):
        assert words in said
    (certificate,) = x509.read_chain(authority.certificate_pem)
    assert certificate.not_valid_before_utc <= NOW - timedelta(hours=23)
    assert authority.not_after == certificate.not_valid_after_utc
    assert timedelta(days=3651) < authority.not_after - NOW < timedelta(days=3653)


@pytest.mark.parametrize("name", ["ftp.example.org", "203.0.113.2", "2001:db8::2", "a.wild.example.org"])
def test_clients_accept_a_leaf_for_its_names(authority: Authority, name: str) -> None:
    """DNS names, a wildcard, IPv4 and IPv6 literals, all in one certificate."""
    leaf = authority.issue(["FTP.example.org.", "203.0.113.2", "2001:db8::2", "*.wild.example.org"])
    client = client_context(authority.certificate_pem)
    shown = handshake(server_context(leaf), client, name).getpeercert()
    assert shown
    assert shown["subject"] == ((("commonName", "ftp.example.org"),),)


@pytest.mark.parametrize("name", ["www.example.org", "203.0.113.3", "2001:db8::3"])
def test_clients_refuse_it_for_others(authority: Authority, name: str) -> None:
    """The negative control of the above."""
    leaf = authority.issue(["ftp.example.org", "203.0.113.2", "2001:db8::2"])
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(server_context(leaf), client_context(authority.certificate_pem), name)


def test_clients_that_trust_another_authority_refuse_it(authority: Authority, tmp_path: Path) -> None:
    """Even one of the same name."""
    other = Authority.open(tmp_path)
    assert other.subject == authority.subject
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server_context(authority.issue(["a.example"])), client_context(other.certificate_pem), "a.example")


def test_what_a_leaf_says(authority: Authority) -> None:
    """A server's, for at most 397 days, with a serial number of its own; leaves of one CA share a key."""
    first, second = authority.issue(["a.example"]), authority.issue(["a.example", "a.example"])
    assert first.key_pem == second.key_pem
    (leaf, above), (another, _) = (x509.read_chain(each.chain_pem) for each in (first, second))
    assert x509.to_pem(above) == authority.certificate_pem
    assert leaf.serial_number != another.serial_number
    assert leaf.not_valid_after_utc == first.not_after
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=397)
    assert leaf.not_valid_before_utc <= NOW - timedelta(hours=23)
    assert x509.facts(another).names == ("a.example",)


@pytest.mark.parametrize(("length", "named"), [(64, True), (65, False)])
def test_a_long_name_is_no_common_name(authority: Authority, length: int, named: bool) -> None:
    """A common name has 64 characters at most; clients look at the subjectAltName anyway."""
    name = f"{'a' * 30}.{'b' * (length - 31)}"
    leaf = authority.issue([name])
    shown = handshake(server_context(leaf), client_context(authority.certificate_pem), name).getpeercert()
    assert shown
    assert bool(shown["subject"]) is named


def test_a_leaf_does_not_outlive_its_authority(tmp_path: Path) -> None:
    """Clients would refuse it then."""
    key = x509.new_key()
    write_authority(tmp_path, x509.new_authority(key, "old", NOW - timedelta(days=3600)), key)
    authority = Authority.open(tmp_path)
    assert authority.issue(["a.example"]).not_after == authority.not_after < NOW + timedelta(days=60)


@pytest.mark.parametrize(
    "names", [[], [""], ["a b"], ["münchen.example"], ["10.0.0.256"], ["10.1"], ["[::1]"], ["a:21"], ["*"], ["a.*.b"]]
)
def test_names_that_cannot_be(authority: Authority, names: list[str]) -> None:
    """They are told, with what would be right."""
    with pytest.raises(ConfigError, match=r"give a host name or an IP address$|is neither .*; write a name in ASCII"):
        authority.issue(names)


def make_with_openssl(directory: Path, algorithm: str, *extensions: str) -> None:
    """Have OpenSSL make a certificate and its key where a CA is looked for."""
    command = ["req", "-x509", "-newkey", algorithm, "-nodes", "-subj", "/O=Example/CN=Ours", "-days", "90"]
    command += ["-keyout", str(directory / "ca-key.pem"), "-out", str(directory / "ca.pem")]
    for extension in extensions:
        command += ["-addext", extension]
    openssl(*command)


@needs_openssl
@pytest.mark.parametrize("algorithm", ["rsa:2048", "ed25519"])
def test_an_operators_own_authority(tmp_path: Path, algorithm: str) -> None:
    """Whoever has a CA already puts it there, whatever made it."""
    make_with_openssl(tmp_path, algorithm, "keyUsage=critical,keyCertSign")
    authority = Authority.open(tmp_path)
    assert (authority.subject, authority.is_new) == ("CN=Ours,O=Example", False)
    handshake(server_context(authority.issue(["a.example"])), client_context(authority.certificate_pem), "a.example")


@needs_openssl
def test_an_authority_that_says_little(tmp_path: Path) -> None:
    """One without keyUsage and SubjectKeyIdentifier may sign too; only strict clients refuse it."""
    make_with_openssl(tmp_path, "rsa:2048", "subjectKeyIdentifier=none")
    authority = Authority.open(tmp_path)
    assert "Key Identifier" not in openssl_says(authority.path, "-ext", "subjectKeyIdentifier")
    client = client_context(authority.certificate_pem)
    client.verify_flags &= ~ssl.VERIFY_X509_STRICT
    handshake(server_context(authority.issue(["a.example"])), client, "a.example")


def refused(directory: Path) -> str:
    """What is said when that directory's CA cannot be used; one line."""
    with pytest.raises(ConfigError) as caught:
        Authority.open(directory)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(directory), "DIR")


def test_files_that_are_no_authority(tmp_path: Path, authority: Authority) -> None:
    """Each cause, with its mend."""
    key = x509.new_key()
    good = x509.new_authority(key, "x", NOW)
    write_authority(tmp_path, b"hello", key)
    assert refused(tmp_path).startswith("DIR/ca.pem: holds no certificate; it must be PEM")
    write_authority(tmp_path, good.replace(b"MII", b"MIA", 1), key)
    assert refused(tmp_path).startswith("DIR/ca.pem: holds a damaged certificate; get it anew")
    write_authority(tmp_path, authority.issue(["a"]).chain_pem, authority.issue(["a"]).key_pem)
    assert refused(tmp_path) == "DIR/ca.pem: is not the certificate of a CA; put one there that is"
    write_authority(tmp_path, good, x509.new_key())
    assert refused(tmp_path) == (
        "DIR/ca-key.pem: is not the key of DIR/ca.pem; put the right one there, or remove both to have a new CA"
    )
    write_authority(tmp_path, good, b"hello")
    assert refused(tmp_path).startswith("DIR/ca-key.pem: holds no private key; it must be PEM")
    (tmp_path / "ca-key.pem").unlink()
    assert refused(tmp_path) == "DIR/ca-key.pem: is missing; put it back, or remove ca.pem too to have a new CA made"


@needs_openssl
@pytest.mark.parametrize(
    ("algorithm", "extensions", "message"),
    [
        ("ed25519", ["keyUsage=digitalSignature"], "DIR/ca.pem: is not the certificate of a CA; put one there that is"),
        ("ed448", [], "DIR/ca.pem: the key of a CA must be EC, RSA or Ed25519; give one that is"),
    ],
)
def test_certificates_that_cannot_sign(tmp_path: Path, algorithm: str, extensions: list[str], message: str) -> None:
    """It is said when the CA is opened, not when the first client comes."""
    make_with_openssl(tmp_path, algorithm, *extensions)
    assert refused(tmp_path) == message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_use(tmp_path: Path, mode: int) -> None:
    """The group, or anybody."""
    Authority.open(tmp_path)
    (tmp_path / "ca-key.pem").chmod(mode)
    assert refused(tmp_path) == (
        f"DIR/ca-key.pem: others may use the CA's key (mode {mode:04o}): chmod 600 DIR/ca-key.pem"
    )


def test_times_of_validity(tmp_path: Path) -> None:
    """Neither an expired CA nor one that is not valid yet signs anything."""
    key = x509.new_key()
    write_authority(tmp_path, x509.new_authority(key, "x", NOW - timedelta(days=3653)), key)
    assert refused(tmp_path) == (
        f"DIR/ca.pem: expired on {NOW - timedelta(days=1):%Y-%m-%d %H:%M} UTC; set the clock, or "
        "remove it and ca-key.pem to have a new CA made, which clients must be told to trust"
    )
    write_authority(tmp_path, x509.new_authority(key, "x", NOW + timedelta(days=2)), key)
    assert refused(tmp_path).startswith(
        f"DIR/ca.pem: is valid only from {NOW + timedelta(days=1):%Y-%m-%d %H:%M} UTC; set the clock, or "
    )


def test_places_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    """A directory where a file should be, and the other way round."""
    (tmp_path / "a" / "ca.pem").mkdir(parents=True)
    assert refused(tmp_path / "a") == "DIR/ca.pem: cannot be read: Is a directory"
    (tmp_path / "b").write_text("")
    assert refused(tmp_path / "b") == (
        "DIR/ca.pem: cannot be made: File exists; set ALG_HOME to a directory that may be written"
    )


def test_where_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ALG_HOME` first, then the XDG Base Directory specification."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("ALG_HOME", "state")
    monkeypatch.chdir(tmp_path)
    assert default_directory() == tmp_path / "state"
    monkeypatch.setenv("ALG_HOME", "")
    assert default_directory() == Path("/data/alg")
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert default_directory() == Path("/home/someone/.local/share/alg")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_directory() == Path("/home/someone/.local/share/alg")
