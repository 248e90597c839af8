"""What the records of transfers hold: path, type, user, mode, TLS; and the refusal of a TLS session that was not resumed."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig
from alg_ftp.config import DataMode

from alg.testing import Outcome, TlsInfo, TlsPolicy
from tests.plugins.test_ftp_transfers import ask, talking, transfer, transfers


def test_the_path_follows_the_working_directory() -> None:
    """Once the server has told it; what it refuses changes nothing."""
    talk = talking()
    said = [
        ("CWD sub", "250 ok", "x"),  # nobody knows yet below what
        ("CDUP", "250 ok", "x"),
        ("PWD", "550 no", "x"),
        ("PWD", "257 nothing in quotes", "x"),
        ("PWD", '257 "/home/a""b" is current', '/home/a"b/x'),
        ("CWD sub", "250 ok", '/home/a"b/sub/x'),
        ("CWD elsewhere", "550 no", '/home/a"b/sub/x'),
        ("CDUP", "200 ok", '/home/a"b/x'),
        ("XCWD /", "250 ok", "/x"),
        ("XCUP", "250 ok", "/x"),
        ("CWD ../../etc", "250 ok", "/etc/x"),
        ("XPWD", '257-"/real/etc"', "/real/etc/x"),
    ]
    for command, reply, _ in said:
        ask(talk, command, reply, *(["257 end"] if "-" in reply else []))
        ask(talk, "RETR x", "550 no")
    assert [each["path"] for each in transfers(talk)] == [path for _, _, path in said]


@pytest.mark.parametrize(
    ("type_", "reply", "binary"),
    [("I", 200, 1), ("L 8", 200, 1), ("i", 200, 1), ("A", 200, 0), ("E", 200, 0), ("I", 504, 0)],
)
def test_the_type(type_: str, reply: int, binary: int) -> None:
    """As the server has agreed to it; RFC 959 begins with ASCII."""
    talk = talking()
    ask(talk, f"TYPE {type_}", f"{reply} x")
    ask(talk, "RETR x", "550 no")
    assert transfer(talk)["binary"] == binary


def test_the_user_is_who_the_server_knows() -> None:
    """A name that it does not want is nobody's."""
    talk = talking()
    ask(talk, "USER alice", "331 password?")
    ask(talk, "USER mallory", "530 no")
    ask(talk, "RETR x", "550 no")
    assert transfer(talk)["user"] == "alice"


def test_the_mode_names_both_commands_where_they_differ() -> None:
    """And the TLS of both legs is named."""
    talk = talking(FtpConfig(server_data_mode=DataMode.PORT))
    ask(talk, "PASV", "200 ok")
    (number,) = talk.listeners
    ask(talk, "RETR x", "150 go", "226 done")
    client, server = TlsInfo("TLSv1.2"), TlsInfo("TLSv1.3")
    talk.related_ended(number, Outcome(0, 5, 0.1, client, server))
    fields = transfer(talk)
    assert (fields["mode"], fields["client_tls"], fields["server_tls"]) == ("PASV/PORT", "TLSv1.2", "TLSv1.3")
    assert talk.records[-1].message == (
        "'' RETR 'x': 5 bytes in 0.000 s, PASV/PORT, TLS TLSv1.2/TLSv1.3, complete (226)"
    )


def test_hostile_names_stay_in_their_place() -> None:
    """T71: a name that is no text, or tries to be a line of its own, is escaped in words and whole in the field."""
    talk = talking()
    name = b"\xff\x1b[2J\xe2\x80\xae" + b"x" * 3000
    talk.client(b"USER " + name[:100] + b"\r\n")
    talk.server(b"331 go\r\n")
    talk.client(b"STOR " + name + b"\r\n")
    talk.server(b"550 no\r\n")
    assert talk.records[-1].message.isascii()
    assert talk.records[-1].message.isprintable()
    assert len(talk.records[-1].message) < 600
    path = transfer(talk)["path"]
    assert isinstance(path, str)
    assert path.encode("utf-8", "surrogateescape") == name


# Session reuse.

REUSE = [
    (522, "522 SSL connection failed; session reuse required: see require_ssl_reuse option in vsftpd.conf man page"),
    (425, "425 Unable to build data connection: TLS session of data connection not resumed; reuse it"),
    (450, "450 TLS session of data connection has not resumed or the session does not match the control connection"),
]


@pytest.mark.parametrize(("code", "reply"), REUSE)
def test_a_server_that_wants_its_session_resumed(code: int, reply: str) -> None:
    """T67: what vsftpd, ProFTPD and FileZilla say has a record of its own, besides that of the transfer."""
    talk = talking(server_tls=TlsPolicy.REQUIRE)
    talk.server(b"234 go ahead\r\n")
    ask(talk, "RETR x", reply)
    assert talk.reasons == ["session_reuse_refused", "transfer"]
    assert dict(talk.records[0].fields) == {"command": "RETR", "code": code}
    assert transfer(talk)["result"] == "failed"


@pytest.mark.parametrize("reply", ["550 session reuse", "522 no", "425 nobody came", "226 session reused"])
def test_other_refusals_are_not_about_session_reuse(reply: str) -> None:
    """By code and by words."""
    talk = talking(server_tls=TlsPolicy.REQUIRE)
    talk.server(b"234 go ahead\r\n")
    ask(talk, "RETR x", reply)
    assert "session_reuse_refused" not in talk.reasons


def test_no_session_is_reused_in_the_clear() -> None:
    """The words alone mean nothing where there is no TLS."""
    talk = talking()
    ask(talk, "RETR x", REUSE[0][1])
    assert "session_reuse_refused" not in talk.reasons
