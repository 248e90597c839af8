"""What holds for FTP whatever is said: bytes pass, nothing raises, replies are paired, one data connection at a time."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig, FtpPlugin, modes, protection
from alg_ftp.plugin import NOT_OFFERED
from hypothesis import given, settings
from hypothesis import strategies as st

from alg.plugin import Connect, Side, Verdict
from alg.testing import Playbook

OURS = {*modes.VERBS, *protection.VERBS, *NOT_OFFERED, "ALGS"}
OTHERS = {
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PRI",
    "SETUP",
    "NICK",
    "JOIN",
}
OTHERS |= {"REGISTER", "INVITE", "SUBSCRIBE", "NOTIFY", "DESCRIBE", "EHLO", "HELO", "PRIVMSG"}

verbs = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,15}", fullmatch=True).filter(
    lambda verb: verb.upper() not in OURS | OTHERS
)
texts = st.binary(max_size=200).map(lambda text: text.translate(None, b"\r\n\0"))


@given(verbs, texts, st.booleans())
def test_a_command_that_is_not_ours_passes_byte_for_byte(verb: str, argument: bytes, bare: bool) -> None:
    """T64: any bytes but CR, LF and NUL; the line end is made canonical."""
    line = verb.encode() if bare else verb.encode() + b" " + argument
    talk = Playbook(FtpPlugin, FtpConfig(max_user=1000))
    talk.client(line + b"\r\n")
    talk.client(line + b"\n")
    assert talk.to_server == (line + b"\r\n") * 2


@given(st.integers(100, 599), texts, st.lists(texts, max_size=3))
def test_a_reply_that_is_not_ours_passes_byte_for_byte(code: int, text: bytes, more: list[bytes]) -> None:
    """T07, T64: of one line or several, whatever it says."""
    inner = [line for line in more if line[:3] != b"%d" % code]
    reply = b"".join(b"%s\r\n" % line for line in (b"%d-%s" % (code, text), *inner, b"%d %s" % (code, text)))
    talk = Playbook(FtpPlugin)
    talk.server(reply)
    assert talk.to_client == reply
    assert not talk.expectations


PIECES = [
    *(b"\r\n", b"\n", b" ", b"-", b"\r", b"\0", b"\xff\xf4\xff\xf2", b"\xff", b"x", b"A" * 100, b"(", b")", b"|", b","),
    *(b"PASV\r\n", b"EPSV\r\n", b"EPSV ALL\r\n", b"NOOP\r\n", b"PORT 10,77,1,2,156,64\r\n", b"PORT 10,77,2,9,0,25\r\n"),
    *(
        b"EPRT |1|10.77.1.2|40000|\r\n",
        b"EPRT |2|::1|40000|\r\n",
        b"FEAT\r\n",
        b"AUTH TLS\r\n",
        b"USER x\r\n",
        b"ABOR\r\n",
    ),
    *(b"227 (10,77,2,2,156,176)\r\n", b"227 (10,77,2,9,156,176)\r\n", b"229 (|||40112|)\r\n", b"229 (|||80|)\r\n"),
    *(
        b"220 ready\r\n",
        b"220-\r\n",
        b"227-\r\n",
        b"211-x\r\n AUTH\r\n211 end\r\n",
        b"500 no\r\n",
        b"150 go\r\n",
        b"421 bye\r\n",
    ),
    *(
        b"GET / HTTP/1.1\r\n",
        b"PORT 10,77,1,2,0,80\r\n",
        b"SITE x\r\n",
        b"227 (0,0,0,0,4,0)\r\n",
        b"REIN\r\n",
        b"QUIT\r\n",
    ),
]
said = st.tuples(st.sampled_from(Side), st.sampled_from(PIECES) | st.binary(max_size=8))


@settings(max_examples=300)
@given(st.lists(said, max_size=40), st.booleans())
def test_whatever_is_said_nothing_raises_and_nothing_is_opened_for_a_stranger(
    talking: list[tuple[Side, bytes]], hold: bool
) -> None:
    """Semantic 8 and the rules, under FTP-like fragments from both sides in any order and with late answers."""
    talk = Playbook(FtpPlugin, FtpConfig(rules={"SITE": Verdict.REJECT}), hold=hold)
    for side, words in talking:
        talk.say(side, words)
        if hold and len(talk.expectations) > len(talk.listeners) and not talk.closed:
            talk.answer()
    for expectation in talk.expectations:
        for side in Side:
            plan = expectation.plan(side)
            if isinstance(plan, Connect):
                assert plan.target.address == talk.legs[side].peer.address
                assert plan.target.port >= 1024
    assert len(talk.leases) <= 1
    assert b"10.77.2.2" not in talk.to_client
    for line in talk.to_server.split(b"\n")[:-1]:
        assert line.endswith(b"\r")
        assert not {b"\r", b"\0"} & {line[at : at + 1] for at in range(len(line) - 1)}
        assert not line.upper().startswith((b"AUTH", b"GET", b"SITE"))
    if not talk.closed:
        assert talk.to_server.endswith(b"\n") or not talk.to_server


@pytest.mark.parametrize("payload", [b"REGISTER sip:x SIP/2.0", b"PORT 10,77,1,2,156,64", b"\x01DCC SEND x 1 5000\x01"])
@pytest.mark.parametrize("size", [536, 1460])
def test_a_browser_cannot_be_made_to_speak_ftp(size: int, payload: bytes) -> None:
    """T09: whatever the padding puts at the start of a segment, the first line has ended the session by then."""
    for padding in range(0, 3001, 7):
        talk = Playbook(FtpPlugin)
        request = b"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + b"A" * padding + payload + b"\r\n"
        for at in range(0, len(request), size):
            talk.client(request[at : at + size])
        assert talk.reasons == ["wrong_protocol"]
        assert (talk.to_server, talk.expectations) == (b"", [])
