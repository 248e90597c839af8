"""What holds for FTP whatever is said: bytes pass, nothing raises, replies are paired, one data connection at a time."""

from __future__ import annotations

from collections import deque

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from alg_ftp.plugin import NOT_OFFERED
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alg.plugin import Side, Verdict
from alg.testing import Playbook

OURS = {"PORT", "PASV", "EPRT", "EPSV", *NOT_OFFERED}
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
    for side, data in talking:
        talk.say(side, data)
        if hold and len(talk.expectations) > len(talk.listeners) and not talk.closed:
            talk.answer()
    for expectation in talk.expectations:
        (side,) = expectation.dialled
        (target,) = expectation.targets
        assert target.address == talk.legs[side].peer.address
        assert target.port >= 1024
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


REPLIES = (b"150 go", b"200 ok", b"227 (10,77,2,2,156,176)", b"229 (|||40112|)", b"421 soon", b"500 no", b"227 none")


class Interleavings(RuleBasedStateMachine):
    """Commands and replies in any order, against a model of who is owed what (T59, T60, T61, T08)."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Playbook(FtpPlugin, FtpConfig(rules={"SITE": Verdict.REJECT}))
        self.waiting: deque[tuple[int, str, bytes]] = deque([(0, "", b"")])  # number, verb, our reply if it is ours
        self.count = 0
        self.to_client, self.to_server = b"", b""
        self.port = 20000
        self.live: int | None = None  # the command that the one lease belongs to
        self.latest = 0  # the last data command that went on
        self.only_epsv = False
        self.unsolicited = 0

    def forwarded(self, verb: str, line: bytes) -> int:
        self.count += 1
        self.waiting.append((self.count, verb, b""))
        self.to_server += line + b"\r\n"
        return self.count

    def answered_here(self, reply: bytes) -> None:
        self.waiting.append((0, "", reply))
        self.flush()

    def flush(self) -> None:
        while self.waiting and (reply := self.waiting[0][2]):
            self.to_client += reply
            self.waiting.popleft()

    def opens(self, command: int) -> int:
        self.port += 1
        if command == self.latest:
            self.live = command
        return self.port

    open_session = precondition(lambda self: not self.talk.closed)

    @open_session
    @precondition(lambda self: len(self.waiting) < 60)
    @rule(verb=st.sampled_from(["NOOP", "RETR x", "ABOR", "PASV", "EPSV", "epsv all", "REIN"]))
    def client_says(self, verb: str) -> None:
        line = verb.encode()
        self.talk.client(line + b"\r\n")
        if verb == "PASV" and self.only_epsv:
            self.answered_here(b"501 PASV is refused after EPSV ALL.\r\n")
            return
        self.only_epsv = (self.only_epsv or verb == "epsv all") and verb != "REIN"
        number = self.forwarded(verb, line)
        if verb in ("PASV", "EPSV"):
            self.latest = number

    @open_session
    @precondition(lambda self: len(self.waiting) < 60)
    @rule(own=st.sampled_from([True, True, False]))
    def client_says_port(self, own: bool) -> None:
        self.talk.client(b"PORT 10,77,1,%d,156,64\r\n" % (2 if own else 9))
        if self.only_epsv:
            self.answered_here(b"501 PORT is refused after EPSV ALL.\r\n")
        elif own:
            self.latest = self.count + 1
            port = self.opens(self.latest)
            self.forwarded("PORT", b"PORT 10,77,2,1,%d,%d" % divmod(port, 256))
        else:
            self.answered_here(b"504 PORT refused: that address and port are not allowed.\r\n")

    @open_session
    @precondition(lambda self: len(self.waiting) < 60)
    @rule()
    def client_says_site(self) -> None:
        self.talk.client(b"SITE x\r\n")
        self.answered_here(b"550 SITE is refused by policy.\r\n")

    @open_session
    @precondition(lambda self: self.waiting)
    @rule(replies=st.lists(st.sampled_from(REPLIES), min_size=1, max_size=5))
    def server_answers(self, replies: list[bytes]) -> None:
        for reply in replies:
            if self.waiting:
                self.answer(reply)

    def answer(self, reply: bytes) -> None:
        self.talk.server(reply + b"\r\n")
        self.skip_to({b"227": "PASV", b"229": "EPSV"}.get(reply[:3], ""))
        number, verb, _ = self.waiting[0]
        refused = reply[:1] >= b"4"
        if (verb, reply[:3]) in (("PASV", b"227"), ("EPSV", b"229")):
            if reply == b"227 none":
                reply = b"425 No data connection: what the server offers cannot be used."
            elif verb == "PASV":
                reply = b"227 Entering Passive Mode (10,77,1,1,%d,%d)." % divmod(self.opens(number), 256)
            else:
                reply = b"229 Entering Extended Passive Mode (|||%d|)" % self.opens(number)
        self.to_client += reply + b"\r\n"
        if reply[:1] != b"1":
            if refused and self.live == number:
                self.live = None
            if refused and verb == "epsv all":
                self.only_epsv = False
            self.waiting.popleft()
            self.flush()

    def skip_to(self, passive: str) -> None:
        """A passive reply belongs to the first passive command, if one waits: the replies before it are missing."""
        if passive and self.waiting[0][1] != passive and passive in [verb for _, verb, _ in self.waiting]:
            while self.waiting[0][1] != passive:
                _, _, reply = self.waiting.popleft()
                self.to_client += reply

    @open_session
    @precondition(lambda self: not self.waiting and (not self.unsolicited or self.count > 8))
    @rule(reply=st.sampled_from(REPLIES))
    def server_says_what_nobody_asked(self, reply: bytes) -> None:
        self.talk.server(reply + b"\r\n")
        if reply[:3] == b"421":
            self.to_client += reply + b"\r\n"
            return
        self.unsolicited += 1
        if self.unsolicited == 2:
            self.to_client += b"421 Closing the connection: the server answers what nobody asked.\r\n"
            self.live = None

    @precondition(lambda self: self.talk.closed)
    @rule(side=st.sampled_from(Side))
    def somebody_goes_on_after_the_end(self, side: Side) -> None:
        self.talk.say(side, b"227 (10,77,2,2,156,176)\r\nNOOP\r\n")

    @precondition(lambda self: self.live is not None)
    @rule()
    def data_connection_comes(self) -> None:
        self.talk.session.release(self.talk.leases[0].number)
        self.live = None

    @invariant()
    def the_model_holds(self) -> None:
        assert self.talk.to_client == self.to_client
        assert self.talk.to_server == self.to_server
        assert len(self.talk.leases) == (self.live is not None)
        assert self.talk.closed == (self.unsolicited == 2)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=30)
