"""The records of transfers: one for each, whichever ends first, the data or the reply."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig, FtpPlugin

from alg.plugin import AlgError, ConnectError, Side
from alg.testing import Outcome, Playbook, TlsPolicy

OUTCOME = Outcome(3, 4096, 0.25)
PASV = b"227 Entering Passive Mode (10,77,2,2,156,176).\r\n"


def talking(config: FtpConfig | None = None, server_tls: TlsPolicy = TlsPolicy.CLIENT) -> Playbook:
    """A session that has been greeted."""
    talk = Playbook(FtpPlugin, config, server_tls=server_tls)
    talk.server(b"220 ready\r\n")
    return talk


def ask(talk: Playbook, command: str, *replies: str) -> None:
    """The client says a line, the server answers."""
    talk.client(command.encode() + b"\r\n")
    for reply in replies:
        talk.server(reply.encode() + b"\r\n")


def passive(talk: Playbook) -> int:
    """Agree on a data connection; return the number of its binding."""
    talk.client(b"PASV\r\n")
    talk.server(PASV)
    return max(talk.listeners)


def transfers(talk: Playbook) -> list[dict[str, object]]:
    """The fields of the records."""
    return [dict(record.fields) for record in talk.records if record.reason == "transfer"]


def transfer(talk: Playbook) -> dict[str, object]:
    """The fields of the one record."""
    (fields,) = transfers(talk)
    return fields


def test_the_data_ends_first() -> None:
    """As with most downloads; nothing is recorded before the server's last word."""
    talk = talking()
    ask(talk, "USER alice", "331 password?")
    ask(talk, "TYPE I", "200 ok")
    number = passive(talk)
    ask(talk, "RETR file", "150 opening")
    talk.now = 1.5
    talk.related_ended(number, OUTCOME)
    assert transfers(talk) == []
    talk.now = 2.0
    talk.server(b"226 done\r\n")
    assert transfer(talk) == {
        "user": "alice",
        "client": talk.legs[Side.CLIENT].peer,
        "command": "RETR",
        "path": "file",
        "upload": 0,
        "binary": 1,
        "bytes": 4096,
        "milliseconds": 2000,
        "mode": "PASV",
        "client_tls": "",
        "server_tls": "",
        "code": 226,
        "result": "complete",
    }


def test_the_reply_comes_first() -> None:
    """226 before the data is drained: the record waits for the data, and counts its time."""
    talk = talking()
    number = passive(talk)
    ask(talk, "STOR file", "150 go", "226 done")
    assert transfers(talk) == []
    talk.now = 3.0
    talk.related_ended(number, OUTCOME)
    fields = transfer(talk)
    assert (fields["bytes"], fields["upload"], fields["milliseconds"]) == (3, 1, 3000)
    assert (fields["result"], fields["user"], fields["binary"]) == ("complete", "", 0)


def test_the_data_ends_behind_the_next_command() -> None:
    """A client that leaves its end open for a while: both transfers have records of their own."""
    talk = talking()
    first = passive(talk)
    talk.leases[0].admit(Side.CLIENT, talk.legs[Side.CLIENT].peer.address, 0.0)  # it has come
    ask(talk, "RETR a", "150 a", "226 a")
    second = passive(talk)
    ask(talk, "RETR b", "150 b")
    talk.related_ended(second, OUTCOME)
    talk.server(b"226 b\r\n")
    talk.related_ended(first, Outcome(0, 7, 0.1))
    assert [(each["path"], each["bytes"], each["result"]) for each in transfers(talk)] == [
        ("b", 4096, "complete"),
        ("a", 7, "complete"),
    ]


def test_the_data_ends_behind_the_session() -> None:
    """The record waits for data that outlives the control connection, and is written once."""
    talk = talking()
    number = passive(talk)
    ask(talk, "RETR a", "150 a", "226 a")
    ask(talk, "QUIT", "221 bye")
    talk.end(Side.SERVER)
    assert transfers(talk) == []
    talk.related_ended(number, OUTCOME)
    assert transfer(talk)["result"] == "complete"


def test_a_session_that_ends_in_a_transfer() -> None:
    """Where the server has not said how it went, what is known is recorded at once."""
    talk = talking()
    number = passive(talk)
    ask(talk, "RETR a", "150 a")
    talk.end(Side.SERVER)
    assert transfer(talk)["result"] == "unknown"
    talk.related_ended(number, OUTCOME)
    assert len(transfers(talk)) == 1


@pytest.mark.parametrize("code", [425, 450, 550])
def test_a_transfer_that_is_refused(code: int) -> None:
    """Nothing has been opened, so nothing is waited for."""
    talk = talking()
    passive(talk)
    ask(talk, "RETR file", f"{code} no")
    fields = transfer(talk)
    assert (fields["code"], fields["result"], fields["bytes"], fields["mode"]) == (code, "failed", 0, "PASV")


def test_a_transfer_that_is_aborted() -> None:
    """426 and 226: what had come until then counts, whichever is heard of first."""
    for reply_first in (True, False):
        talk = talking()
        number = passive(talk)
        ask(talk, "RETR file", "150 opening")
        talk.client(b"ABOR\r\n")
        for reply in (reply_first, not reply_first):
            if reply:
                talk.server(b"426 aborted\r\n226 ok\r\n")
            else:
                talk.related_ended(number, OUTCOME)
        fields = transfer(talk)
        assert (fields["code"], fields["result"], fields["bytes"]) == (426, "failed", 4096)


def test_data_that_breaks_off() -> None:
    """The server says that all was well; the data says otherwise."""
    talk = talking()
    number = passive(talk)
    ask(talk, "RETR file", "150 opening", "226 done")
    talk.related_ended(number, Outcome(0, 100, 0.1, error=ConnectError("reset", reason="client_lost")))
    assert (transfer(talk)["result"], transfer(talk)["bytes"]) == ("failed", 100)


def test_a_transfer_without_a_data_connection() -> None:
    """The server's word is all there is."""
    talk = talking()
    ask(talk, "LIST", "226 done")
    assert (transfer(talk)["mode"], transfer(talk)["result"]) == ("none", "unknown")


def test_a_preliminary_reply_is_no_result() -> None:
    """Nor is a reply that the session does not live to see."""
    talk = talking()
    ask(talk, "LIST", "150 opening")
    assert transfers(talk) == []
    talk.lose(Side.CLIENT)
    assert (transfer(talk)["code"], transfer(talk)["result"]) == (0, "unknown")
    assert "no reply" in talk.records[-1].message


def test_the_session_is_aborted() -> None:
    """However it ends, what was begun is recorded."""
    talk = talking()
    passive(talk)
    ask(talk, "RETR file", "150 opening")
    talk.client(b"\0\r\n")
    assert talk.closed
    assert transfer(talk)["path"] == "file"


def test_a_data_connection_that_is_never_used() -> None:
    """One that was agreed on and not used belongs to no transfer, nor to the next one."""
    talk = talking()
    number = passive(talk)
    passive(talk)
    talk.related_ended(number, OUTCOME)
    ask(talk, "RETR file", "425 nobody came")
    assert transfer(talk)["bytes"] == 0


def test_transfers_that_never_end_are_not_kept() -> None:
    """A server that says 226 and never opens anything costs four places, not one for each command."""
    talk = talking()
    for number in range(10):
        passive(talk)
        ask(talk, f"RETR {number}", "150 opening", "226 done")
    assert [each["path"] for each in transfers(talk)] == [str(number) for number in range(6)]


def test_status_during_a_transfer() -> None:
    """RFC 959 section 4.1.3: the reply to STAT comes first, and is not the end of the transfer."""
    talk = talking()
    number = passive(talk)
    ask(talk, "RETR file", "150 opening")
    ask(talk, "STAT", "213 half of it")
    talk.related_ended(number, OUTCOME)
    assert transfers(talk) == []
    talk.server(b"226 done\r\n")
    assert (transfer(talk)["code"], transfer(talk)["result"]) == (226, "complete")


@pytest.mark.parametrize("verb", ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"])
def test_every_transfer_is_recorded(verb: str) -> None:
    """Uploads count what the client has sent."""
    talk = talking()
    number = passive(talk)
    ask(talk, f"{verb} x", "150 go", "226 done")
    talk.related_ended(number, OUTCOME)
    upload = verb in ("STOR", "STOU", "APPE")
    assert (transfer(talk)["bytes"], transfer(talk)["upload"]) == (3 if upload else 4096, int(upload))


def test_a_transfer_is_recorded_where_the_control_connection_is_lost() -> None:
    """With what the data had come to by then."""
    talk = talking()
    number = passive(talk)
    ask(talk, "RETR file", "150 opening")
    talk.related_ended(number, OUTCOME)
    talk.lose(Side.SERVER)
    assert (transfer(talk)["bytes"], transfer(talk)["result"]) == (4096, "unknown")
    assert isinstance(talk.error, AlgError)


def test_a_data_connection_is_named_after_its_command() -> None:
    """As soon as that is known, once, and never after one that comes without a data connection of its own."""
    talk = talking()
    number = passive(talk)
    ask(talk, "SIZE file", "213 3")
    assert talk.names == {}
    ask(talk, "RETR file", "150 opening")
    assert talk.names == {number: "RETR 'file'"}
    ask(talk, "RETR other", "425 no data connection")
    assert talk.names == {number: "RETR 'file'"}


def test_the_name_of_a_data_connection_is_fit_for_a_line() -> None:
    """Whatever the client says."""
    talk = talking()
    number = passive(talk)
    talk.client(b"STOR \xff" + b"x" * 100 + b"\r\n")
    assert talk.names[number].isprintable()
    assert len(talk.names[number]) < 60
