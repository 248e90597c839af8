"""What holds for FTP under every policy of TLS, every data mode and both address families, whatever either side says."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from alg_ftp import FtpConfig, FtpPlugin, wire
from alg_ftp.config import DataMode, DataTls
from hypothesis import event, given, settings
from hypothesis import strategies as st

from alg.plugin import Connect, PluginError, Side, Verdict
from alg.testing import Playbook, TlsPolicy

ADDRESSES = {
    Side.CLIENT: {4: ("10.77.1.2:40000", "10.77.1.1:2121"), 6: ("[2001:db8:1::2]:40000", "[2001:db8:1::1]:2121")},
    Side.SERVER: {4: ("10.77.2.2:21", "10.77.2.1:50000"), 6: ("[2001:db8:2::2]:21", "[2001:db8:2::1]:50000")},
}
HIDDEN = (b"10.77.2.2", b"10,77,2,2", b"2001:db8:2::2"), (b"10.77.1.2", b"10,77,1,2", b"2001:db8:1::2")
"""What the client, and what the server, must not learn."""


@dataclass(frozen=True)
class Scene:
    """The settings of one session."""

    client_tls: TlsPolicy
    server_tls: TlsPolicy
    implicit: frozenset[Side]
    families: dict[Side, int]
    config: FtpConfig

    def play(self, *, hold: bool = False) -> Playbook:
        """Start it."""
        (client, client_local), (server, server_local) = (ADDRESSES[side][self.families[side]] for side in Side)
        return Playbook(
            FtpPlugin,
            self.config,
            client=client,
            client_local=client_local,
            server=server,
            server_local=server_local,
            client_tls=self.client_tls,
            server_tls=self.server_tls,
            implicit_tls=self.implicit,
            hold=hold,
        )


@st.composite
def scenes(draw: st.DrawFn, policies: tuple[TlsPolicy, ...] = tuple(TlsPolicy)) -> Scene:
    """Any settings that an operator could give."""
    client = draw(st.sampled_from(policies))
    server = draw(st.sampled_from((TlsPolicy.NEVER, TlsPolicy.CLIENT, TlsPolicy.REQUIRE)))
    implicit = {Side.CLIENT} if client in (TlsPolicy.CLIENT, TlsPolicy.REQUIRE) and draw(st.booleans()) else set()
    if server is not TlsPolicy.NEVER and draw(st.booleans()):
        implicit.add(Side.SERVER)
    config = FtpConfig(
        rules={"SITE": Verdict.REJECT, "DELE": Verdict.REJECT},
        client_data_mode=draw(st.sampled_from(DataMode) | st.just(DataMode.CLIENT)),
        server_data_mode=draw(st.sampled_from(DataMode)),
        client_data_tls=draw(st.sampled_from(DataTls)),
        server_data_tls=draw(st.sampled_from(DataTls)),
        ccc=draw(st.booleans()),
    )
    families = {side: draw(st.sampled_from((4, 6))) for side in Side}
    return Scene(client, server, frozenset(implicit), families, config)


SAID = {
    Side.CLIENT: [
        *(b"PASV", b"EPSV", b"EPSV ALL", b"EPSV 2", b"PORT 10,77,1,2,156,64", b"PORT 10,77,2,9,0,25"),
        *(b"EPRT |1|10.77.1.2|40000|", b"EPRT |2|2001:db8:1::2|40000|", b"EPRT |2|2001:db8:9::9|40000|"),
        *(b"AUTH TLS", b"AUTH TLS", b"AUTH X", b"PBSZ 0", b"PROT P", b"PROT C", b"CCC", b"REIN", b"FEAT", b"SITE x"),
        *(b"USER alice", b"PASS secret", b"RETR x", b"STOR y", b"ABOR", b"STAT", b"ALGS DISABLE64", b"QUIT", b"\xff"),
    ],
    Side.SERVER: [
        *(
            b"220 ready",
            b"234 go",
            b"334 go",
            b"200 ok",
            b"200 ok",
            b"500 no",
            b"530 no",
            b"522 no",
            b"230 in",
            b"150 x",
        ),
        *(b"227 (10,77,2,2,156,176)", b"227 (10,77,2,9,156,176)", b"227 (127,0,0,1,0,22)", b"229 (|||40112|)"),
        *(b"229 (|||80|)", b"227-", b"227 none", b"211-x\r\n AUTH TLS\r\n211 end", b"120 soon", b"421 bye", b"999"),
    ],
}
TALK = st.sampled_from(Side).flatmap(lambda side: st.tuples(st.just(side), st.sampled_from(SAID[side]), st.booleans()))


def check_bindings(talk: Playbook) -> None:
    """Nobody is connected to but the peers, and there is one data connection at a time."""
    assert len(talk.leases) <= 1
    for expectation in talk.expectations:
        for side in Side:
            plan = expectation.plan(side)
            if isinstance(plan, Connect):
                assert plan.target.address == talk.legs[side].peer.address
                assert plan.target.port >= 1024
    for lease in talk.leases:
        for side, sources in lease.sources.items():
            assert sources == (talk.legs[side].peer.address,)


@settings(max_examples=200, deadline=None)
@given(scenes(), st.lists(TALK, max_size=40), st.booleans())
def test_whatever_is_said_nothing_raises(scene: Scene, talking: list[tuple[Side, bytes, bool]], hold: bool) -> None:
    """Semantic 8, T06, T22, T68: fragments from both sides in any order; the host answers at once, or late."""
    talk = scene.play(hold=hold)
    for side, line, late in talking:
        talk.say(side, line + b"\r\n")
        with suppress(IndexError):  # nothing is asked for
            if hold and not late:
                talk.answer()
        check_bindings(talk)
        for expectation in talk.expectations:
            assert not (scene.config.client_data_tls is DataTls.REQUIRE and not expectation.client.tls)
            assert not (scene.config.client_data_tls is DataTls.NEVER and expectation.client.tls)
    assert not isinstance(talk.error, PluginError), talk.error
    assert "plugin_failed" not in talk.reasons


@settings(max_examples=200, deadline=None)
@given(scenes((TlsPolicy.NEVER, TlsPolicy.CLIENT, TlsPolicy.REQUIRE)), st.lists(TALK, max_size=40))
def test_nothing_said_in_the_clear_counts_as_said_under_tls(
    scene: Scene, talking: list[tuple[Side, bytes, bool]]
) -> None:
    """T20, T21, T22: what was read before a handshake on a leg is never sent on after it, and no secret goes in the clear.

    The greeting is an exception, whatever its code: it waits for TLS toward the server, and is the first that a client hears.
    """
    talk = scene.play()
    said_in_the_clear: dict[Side, list[bytes]] = {side: [] for side in Side}
    for number, (side, line, glued) in enumerate(talking):
        token = b"x%dx" % number
        before = {each: len(talk.received(each)) for each in Side}
        secure = {each: talk.legs[each].secure for each in Side}
        data = line + b" " + token + b"\r\n"
        if glued:
            data += (b"NOOP " if side is Side.CLIENT else b"200 ") + token + b"\r\n"
        talk.say(side, data)
        for each in Side:
            if talk.legs[each].secure and not secure[each]:
                new = talk.received(each.other)[before[each.other] :]
                leaked = [other for other in said_in_the_clear[each] if other in new]
                assert not leaked or (each is Side.SERVER and before[Side.CLIENT] == 0)
                event(f"TLS begins on the {each.value}'s side")
        if not secure[side]:
            said_in_the_clear[side].append(token)
        if {scene.client_tls, scene.server_tls} & {TlsPolicy.REQUIRE}:
            sent = talk.to_server[before[Side.SERVER] :]
            for needs in Side:
                policy = (scene.client_tls, scene.server_tls)[needs is Side.SERVER]
                if policy is TlsPolicy.REQUIRE and not talk.legs[needs].secure:
                    assert b"USER" not in sent
                    assert b"PASS" not in sent


@dataclass
class Exchange:
    """A client that pipelines, and a server that answers everything in order, when it pleases."""

    talk: Playbook
    refuses: frozenset[str]
    asked: list[bytes] = field(default_factory=list)
    """What the client has said."""
    answered: int = 0
    """How much of what reached the server is answered."""

    def answer(self, count: int) -> None:
        """The server answers so many of the commands that it has got."""
        for line in self.talk.to_server.split(b"\r\n")[self.answered : -1][:count]:
            self.answered += 1
            self.talk.server(self.reply(line) + b"\r\n")

    def drain(self) -> None:
        """The server answers all that it gets."""
        while self.talk.to_server.count(b"\n") > self.answered:
            self.answer(1)

    def reply(self, line: bytes) -> bytes:
        command = wire.parse_command(line)
        if command.verb in self.refuses:
            return b"500 what?"
        if command.is_epsv_all:
            return b"200 EPSV ALL"
        return {
            "PASV": b"227 (10,77,2,2,156,176)",
            "EPSV": b"229 (|||40112|)",
            "AUTH": b"234 go ahead",
            "FEAT": b"211-Features\r\n SIZE\r\n211 End",
            "RETR": b"150 opening\r\n226 " + command.argument,
        }.get(command.verb, b"200 " + command.argument)

    def replies(self) -> list[tuple[int, bytes]]:
        """The last replies that the client has got, each with its text."""
        lines = deque(self.talk.to_client.split(b"\r\n")[:-1])
        found = []
        while lines:
            text = lines.popleft()
            code, single = wire.parse_reply(text)
            while not single:
                text += b"\n" + lines.popleft()
                single = wire.is_last_line(text.rpartition(b"\n")[2], code)
            if code >= 200:
                found.append((code, text))
        return found


WORDS = [
    "NOOP %d",
    "NOOP %d",
    "RETR %d",
    "PASV",
    "EPSV",
    "EPSV ALL",
    "PORT 10,77,1,2,156,64",
    "FEAT",
    "SITE %d",
    "PBSZ 0",
]
WORDS += ["EPRT |1|10.77.1.2|40000|", "EPRT |2|2001:db8:1::2|40000|", "PROT P", "PROT C", "AUTH TLS", "DELE %d", "ALGS"]
PLAIN = (TlsPolicy.NEVER, TlsPolicy.CLIENT, TlsPolicy.REQUIRE)
REFUSALS = st.frozensets(st.sampled_from(["PASV", "EPSV", "PORT", "EPRT", "PBSZ", "PROT", "FEAT"]))


@settings(max_examples=200, deadline=None)
@given(scenes(PLAIN), st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 3)), max_size=30), REFUSALS)
def test_every_command_has_one_reply_in_its_turn(
    scene: Scene, talking: list[tuple[str, int]], refuses: frozenset[str]
) -> None:
    """T59, T72: whatever is asked of the server in between, and in whatever bursts commands and replies come."""
    exchange = Exchange(scene.play(), refuses)
    talk = exchange.talk
    talk.server(b"220 ready\r\n")
    exchange.answer(1)  # to AUTH, if that is the first thing
    for number, (word, answers) in enumerate(talking):
        if exchange.asked and exchange.asked[-1].startswith(b"AUTH"):
            exchange.drain()  # nobody speaks before the handshake
        line = (word % number if "%" in word else word).encode()
        exchange.asked.append(line)
        talk.client(line + b"\r\n")
        exchange.answer(answers)
    exchange.drain()
    replies = exchange.replies()
    assert not talk.closed
    assert len(replies) == 1 + len(exchange.asked)
    for line, (code, text) in zip(exchange.asked, replies[1:], strict=True):
        if line.startswith((b"NOOP", b"RETR")) and code != 530:
            assert text.endswith(line[5:])
        elif line.startswith((b"SITE", b"DELE")):
            assert code == 550
        elif line == b"PASV":
            assert code != 229
        elif line == b"EPSV":
            assert code != 227
    check_bindings(talk)
    assert not any(address in talk.to_client for address in HIDDEN[0])
    assert not any(address in talk.to_server for address in HIDDEN[1])
