"""What FTP says about itself: one record for each decision, no secret in any of them, and words for the client."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from alg_ftp.config import Profile
from hypothesis import given
from hypothesis import strategies as st

from alg.plugin import AlgError, BindError, ConnectError, PluginError, PolicyError, ProtocolError, Side, Verdict
from alg.testing import Playbook

SECRETS = (b"hunter2", b"s3cr3t-acct", b"t0ken", b"u5er")


def everything_written(talk: Playbook) -> str:
    """All records, their fields, the error, and what the objects look like in a trace."""
    return repr((talk.records, talk.error, str(talk.error), talk.plugin, talk.leases, talk.expectations, talk.machine))


@pytest.mark.parametrize(
    "settings",
    [
        FtpConfig(),
        FtpConfig(rules={"PASS": Verdict.REJECT, "ACCT": Verdict.ABORT}),
        FtpConfig(rules={"PASS 530": Verdict.REJECT}),
        FtpConfig(profiles=(Profile.ANONYMOUS_ONLY, Profile.READ_ONLY), max_user=2),
        FtpConfig(users=("ann",), max_outstanding=3),
    ],
)
def test_no_secret_is_written(settings: FtpConfig) -> None:
    """T70: passwords, accounts and users, refused or not, malformed or not; a line that is no command is not echoed."""
    for last in (b"hunter2\xff\r\n", b"PASS hunter2\r\r\n", b"PASS hunter2\0\r\n", b"PASS hunter2" + b"x" * 5000):
        talk = Playbook(FtpPlugin, settings)
        talk.client(b"USER u5er\r\nPASS hunter2\r\nACCT s3cr3t-acct\r\nAUTH t0ken\r\n")
        talk.server(b"220 ready\r\n331 go\r\n530 hunter2 is wrong\r\n")
        talk.client(last)
        assert talk.records or talk.error
        for secret in SECRETS:
            assert secret.decode() not in everything_written(talk)


HOSTILE = st.binary(max_size=60) | st.sampled_from(
    ["\u202e\u2066\x1b[2J\x9b", "%s%n", "=cmd()", '"}{"', "a" * 4000, "\u0130\u2028"]
).map(str.encode)


@given(st.sampled_from([b"USER ", b"SITE ", b"EPRT |1|", b"PORT ", b"AUTH ", b""]), HOSTILE)
def test_a_record_is_one_line_of_ascii(verb: bytes, hostile: bytes) -> None:
    """T71: whatever the peer puts into its line, what is written about it cannot be mistaken for another record."""
    talk = Playbook(FtpPlugin, FtpConfig(users=("ann",), rules={"SITE": Verdict.REJECT}))
    talk.server(b"220 ready\r\n")
    talk.client(verb + hostile + b"|5|\r\n")
    messages = [record.message for record in talk.records] + ([str(talk.error)] if talk.error else [])
    for message in messages:
        assert message.isascii()
        assert message.isprintable()
        assert len(message) < 300


@pytest.mark.parametrize(
    ("settings", "line", "reason"),
    [
        (FtpConfig(rules={"SITE": Verdict.REJECT}), b"SITE x", "command_refused"),
        (FtpConfig(), b"AUTH TLS", "no_certificate"),
        (FtpConfig(users=("ann",)), b"USER bob", "user_refused"),
        (FtpConfig(max_user=3), b"USER bobby", "user_too_long"),
        (FtpConfig(), b"PORT 10,77,2,9,156,64", "third_party_address"),
        (FtpConfig(), b"PORT 127,0,0,1,156,64", "self_target"),
        (FtpConfig(), b"PORT 10,77,1,2,0,21", "low_port"),
        (FtpConfig(), b"PORT x", "bad_endpoint"),
        (FtpConfig(), b"EPRT |3|x|5|", "bad_family"),
        (FtpConfig(), b"EPSV 2", "bad_family"),
    ],
)
def test_a_decision_leaves_one_record(settings: FtpConfig, line: bytes, reason: str) -> None:
    """With its reason and the command that caused it, and the session goes on."""
    talk = Playbook(FtpPlugin, settings)
    talk.server(b"220 ready\r\n")
    talk.client(line + b"\r\n")
    (record,) = talk.records
    assert record.reason == reason
    verb = line.partition(b" ")[0].decode()
    assert verb in (record.fields.get("command"), record.fields.get("announced_by"))
    assert record.message.startswith(verb)
    assert b"%s " % str(record.fields.get("code", 504)).encode() in talk.to_client
    assert not talk.closed
    assert not talk.leases


def test_the_record_names_what_the_client_is_not_told() -> None:
    """Whose address it was stands in the record; the client learns only that it is refused."""
    talk = Playbook(FtpPlugin)
    talk.gate.add_socket(talk.legs[Side.CLIENT].peer)
    talk.server(b"220 ready\r\n")
    talk.client(b"PORT 10,77,1,2,156,64\r\nPORT 10,77,2,9,156,64\r\n")
    ours, third = talk.to_client.split(b"\r\n")[1:3]
    assert ours == third
    assert "is a socket of this gateway" in talk.records[0].message
    assert "10.77.2.9:40000 is a third party's address" in talk.records[1].message


def test_a_rewrite_reads_like_a_sentence() -> None:
    """What announced it, what stands for what, for whom, how often, how long."""
    talk = Playbook(FtpPlugin)
    talk.server(b"220 ready\r\n")
    talk.client(b"PASV\r\n")
    talk.server(b"227 Entering Passive Mode (10,77,2,2,156,176).\r\n")
    (record,) = talk.records
    assert record.message == "227 10.77.2.2:40112 -> 10.77.1.1:20001 for 10.77.1.2, once, 60 s"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectError("10.77.2.2:21 refused"), b"421 The server cannot be reached; try again later.\r\n"),
        (
            AlgError("idle for 900 s", reason="idle"),
            b"421 Nothing was said for too long; closing the connection.\r\n",
        ),
        (BindError("full"), b"421 Too many connections; try again later.\r\n"),
        (ProtocolError("the client did it"), b"421 Closing the connection: the client did it.\r\n"),
        (PolicyError("10.77.2.9 no"), b"421 Service not available, closing control connection.\r\n"),
        (PluginError("Traceback"), b"421 Service not available, closing control connection.\r\n"),
    ],
)
def test_the_client_is_told_why_its_session_ends(error: AlgError, words: bytes) -> None:
    """In FTP's words, and without anything that it need not know."""
    assert FtpPlugin(FtpConfig()).refusal(error) == words


def test_the_server_goes_away() -> None:
    """The client hears it, and the listener closes."""
    talk = Playbook(FtpPlugin)
    talk.server(b"220 ready\r\n")
    talk.client(b"EPSV\r\n")
    talk.server(b"229 (|||40112|)\r\n")
    assert talk.leases
    talk.lose(Side.SERVER)
    assert talk.to_client.endswith(b"421 The server cannot be reached; try again later.\r\n")
    assert not talk.leases


def test_a_server_that_cannot_be_reached() -> None:
    """The client that chose it may try another; what went wrong is for the host to record."""
    upstreams = {"ftp.example.org:21": "10.77.2.2:21"}
    talk = Playbook(FtpPlugin, server=None, upstreams=upstreams, hold=True)
    talk.client(b"USER alice@old.example.org\r\n")
    talk.answer(ConnectError("10.77.2.7:21 refused"))
    assert talk.to_client.endswith(b"530 The server cannot be reached; try again later.\r\n")
    talk.client(b"USER alice@ftp.example.org\r\n")
    talk.answer()
    talk.server(b"220 ready\r\n")
    assert talk.connected == ["old.example.org:21", "ftp.example.org:21"]
    assert (talk.to_server, talk.closed) == (b"USER alice\r\n", False)


def test_there_is_no_server_for_whoever_is_not_allowed() -> None:
    """Nothing that the host says about it reaches the client: neither a name nor an address."""
    talk = Playbook(FtpPlugin, server=None, hold=True)
    talk.client(b"USER alice@inside.example\r\nPASV\r\n")
    talk.answer(PolicyError("inside.example is 10.77.2.7, which is not allowed"))
    assert talk.to_client.endswith(b"530 This server is not allowed.\r\n530 Log in first, as USER@HOST.\r\n")
    assert not talk.expectations
