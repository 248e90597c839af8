"""Commands and replies of FTP in any order, against a model of who is owed what, and of which listener is open."""

from __future__ import annotations

from collections import deque

from alg_ftp import FtpConfig, FtpPlugin
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alg.plugin import Side, Verdict
from alg.testing import Playbook

REPLIES = (b"150 go", b"200 ok", b"227 (10,77,2,2,156,176)", b"229 (|||40112|)", b"421 soon", b"500 no", b"227 none")
ASKED = ("PASV", "EPSV", "EPSV ALL", "PORT")
"""What the client's data commands become: each is asked in its turn, and what the client says behind it waits."""


class Interleavings(RuleBasedStateMachine):
    """Commands and replies in any order, against a model of who is owed what (T59, T60, T61, T08)."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Playbook(FtpPlugin, FtpConfig(rules={"SITE": Verdict.REJECT}))
        self.waiting: deque[tuple[str, bytes]] = deque([("", b"")])  # verb, our reply if it is ours
        self.unread: deque[bytes] = deque()
        self.blocked = ""  # the client's command that we ask the server about
        self.to_client, self.to_server = b"", b""
        self.port = 20000
        self.live = False
        self.only_epsv, self.promised = False, False
        self.server_only_epsv = False
        self.unknown: set[str] = set()
        self.alternatives: list[str] = []  # what else the server may be asked
        self.unsolicited = 0
        self.closed = False

    # What the client says.

    open_session = precondition(lambda self: not self.closed)

    @open_session
    @precondition(lambda self: len(self.waiting) + len(self.unread) < 60)
    @rule(
        line=st.sampled_from([b"NOOP", b"RETR x", b"ABOR", b"PASV", b"EPSV", b"EPSV ALL", b"REIN", b"SITE x"])
        | st.sampled_from([b"PORT 10,77,1,2,156,64", b"PORT 10,77,1,9,156,64"])
    )
    def client_says(self, line: bytes) -> None:
        self.talk.client(line + b"\r\n")
        self.unread.append(line)
        self.read()

    def read(self) -> None:
        while self.unread and not self.blocked:
            line = self.unread.popleft()
            verb = line.decode().partition(" ")[0]
            if verb == "SITE":
                self.answered_here(b"550 SITE is refused by policy.")
            elif verb in ("PASV", "PORT") and self.only_epsv:
                self.answered_here(b"501 %s is refused after EPSV ALL." % verb.encode())
            elif verb in ASKED:
                self.live = False
                self.ask(line, verb)
            else:
                if verb == "REIN":
                    self.only_epsv = self.server_only_epsv = False
                self.forwarded(line.decode())

    def ask(self, line: bytes, verb: str) -> None:
        if line == b"PORT 10,77,1,9,156,64":
            self.answered_here(b"504 PORT refused: that address and port are not allowed.")
            return
        if verb == "PORT":
            line = b"PORT 10,77,2,1,%d,%d" % divmod(self.opens(), 256)
        elif line == b"EPSV ALL":
            self.promised, self.only_epsv = self.only_epsv, True
            if self.passive()[0] != "EPSV":
                self.answered_here(b"200 EPSV ALL: so be it.")
                return
        elif verb == "EPSV":
            first, *self.alternatives = self.passive()
            line = first.encode()
        self.blocked = "EPSV ALL" if line == b"EPSV ALL" else verb
        self.forwarded(line.decode())

    def passive(self) -> list[str]:
        """What the server is asked where the client says EPSV."""
        if self.server_only_epsv:
            return ["EPSV"]
        return [verb for verb in ("EPSV", "PASV") if verb not in self.unknown] or ["EPSV", "PASV"]

    def forwarded(self, line: str) -> None:
        self.waiting.append(("EPSV ALL" if line == "EPSV ALL" else line.partition(" ")[0], b""))
        self.to_server += line.encode() + b"\r\n"

    def answered_here(self, reply: bytes) -> None:
        self.waiting.append(("", reply + b"\r\n"))
        self.flush()

    def flush(self) -> None:
        while self.waiting and (reply := self.waiting[0][1]):
            self.to_client += reply
            self.waiting.popleft()

    def opens(self) -> int:
        self.port += 1
        self.live = True
        return self.port

    # What the server says.

    @open_session
    @precondition(lambda self: self.waiting)
    @rule(replies=st.lists(st.sampled_from(REPLIES), min_size=1, max_size=5))
    def server_answers(self, replies: list[bytes]) -> None:
        for reply in replies:
            if self.waiting and not self.closed:
                self.talk.server(reply + b"\r\n")
                self.skip_to({b"227": "PASV", b"229": "EPSV"}.get(reply[:3], ""))
                if self.blocked and len(self.waiting) == 1:
                    self.answer_question(reply)
                else:
                    self.answer(reply)

    def answer(self, reply: bytes) -> None:
        self.to_client += reply + b"\r\n"
        if reply[:1] != b"1":
            self.waiting.popleft()
            self.flush()

    def answer_question(self, reply: bytes) -> None:
        asked = self.waiting[0][0]
        if reply[:1] == b"1":
            return
        self.waiting.popleft()
        self.closed = reply[:3] == b"421"
        self.live = self.live and not (self.closed or reply[:1] >= b"4")
        if asked == "EPSV ALL":
            self.server_only_epsv = self.server_only_epsv or reply[:1] == b"2"
            self.only_epsv = reply[:1] == b"2" or self.promised
        elif reply[:3] == b"500":
            self.unknown.add(asked)
            if self.alternatives:
                self.forwarded(self.alternatives.pop())
                return
        elif (asked, reply) == ("PASV", b"227 none"):
            reply = b"425 No data connection: what the server offers cannot be used."
        elif (asked, reply[:3]) in (("PASV", b"227"), ("EPSV", b"229")):
            reply = b"229 Entering Extended Passive Mode (|||%d|)" % self.opens()
            if self.blocked == "PASV":
                reply = b"227 Entering Passive Mode (10,77,1,1,%d,%d)." % divmod(self.port, 256)
        self.to_client += reply + b"\r\n"
        self.blocked, self.alternatives = "", []
        if not self.closed:
            self.read()

    def skip_to(self, passive: str) -> None:
        """A passive reply belongs to the passive command, if one waits: the replies before it are missing."""
        if passive and passive in [verb for verb, _ in self.waiting]:
            while self.waiting[0][0] != passive:
                self.to_client += self.waiting.popleft()[1]

    @open_session
    @precondition(lambda self: not self.waiting)
    @rule(reply=st.sampled_from(REPLIES))
    def server_says_what_nobody_asked(self, reply: bytes) -> None:
        self.talk.server(reply + b"\r\n")
        if reply[:3] == b"421":
            self.to_client += reply + b"\r\n"
            return
        self.unsolicited += 1
        if self.unsolicited == 2:
            self.to_client += b"421 Closing the connection: the server answers what nobody asked.\r\n"
            self.live, self.closed = False, True

    @precondition(lambda self: self.closed)
    @rule(side=st.sampled_from(Side))
    def somebody_goes_on_after_the_end(self, side: Side) -> None:
        self.talk.say(side, b"227 (10,77,2,2,156,176)\r\nNOOP\r\n")

    @precondition(lambda self: self.live)
    @rule()
    def data_connection_comes(self) -> None:
        self.talk.session.release(self.talk.leases[0].number)
        self.live = False

    @invariant()
    def the_model_holds(self) -> None:
        assert self.talk.to_client == self.to_client
        assert self.talk.to_server == self.to_server
        assert len(self.talk.leases) == self.live
        assert self.talk.closed == self.closed


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=30)
