"""The machine for datagrams: what a plugin may do with them, what passes unread, and how a flow ends."""

from __future__ import annotations

from alg.core.commands import Abort, CloseConnection, Command, Linger, OpenBinding, Report, SendDatagram, Splice
from alg.core.datagram_flow import SMALLEST, DatagramMachine
from alg.core.datagrams import WAITING
from alg.core.errors import ConnectError, PluginError
from alg.core.events import BindingOpened, ConnectionLost, DatagramReceived, RelatedEnded
from alg.core.machines import make_datagram_machine, make_machine
from alg.core.policy import Gate, LeaseLimits
from alg.core.session import Session
from alg.plugin import AlgError, DatagramPlugin, Datagrams, Side
from tests.machines import CLIENT, LISTENER, SERVER, TARGET, Echo, aborted, started


class Relaying(DatagramPlugin[None]):
    """The client's first word says what to do; all else goes on. What the server says passes unread."""

    name = "relaying"

    async def from_client(self, datagrams: Datagrams) -> None:
        async for datagram in datagrams:
            word = datagram.partition(b" ")[0]
            if word == b"reply":
                datagrams.reply(datagram)
            elif word == b"linger":
                self.flow.linger(2.5)
            elif word == b"return":
                return
            elif word == b"splice":
                self.flow.splice()
                return
            elif word == b"back":
                datagrams.give_back(datagram)
                self.flow.close()
                self.flow.linger(1)
            elif word == b"expect":
                binding = await self.flow.expect(Side.CLIENT, TARGET)
                datagrams.send(str(binding.endpoint).encode())
            elif word == b"connect":
                await self.flow.connect("h", 1)
            elif word == b"tls":
                await self.flow.start_tls(Side.CLIENT)
            elif word == b"clear":
                await self.flow.stop_tls(Side.CLIENT)
            elif word == b"raise":
                raise RuntimeError("told to")
            else:
                datagrams.send(datagram)

    def refusal(self, error: AlgError) -> bytes:
        return b"sorry"

    def stranger(self, data: bytes) -> bytes:
        if data == b"raise":
            raise RuntimeError("told to")
        return data if len(data) < 100 else data + b"!"


def begun(plugin: DatagramPlugin[None] | None = None) -> tuple[DatagramMachine, list[Command]]:
    """A machine that has been started, and what it said."""
    session = Session(1, CLIENT.peer.address, Gate(LeaseLimits()))
    machine = make_datagram_machine(plugin or Relaying(None), session, {Side.CLIENT: CLIENT, Side.SERVER: SERVER})
    return machine, machine.start()


def said(machine: DatagramMachine, data: bytes, side: Side = Side.CLIENT) -> list[Command]:
    """What comes of it when that side says this."""
    return machine.receive(DatagramReceived(side, data))


def test_a_datagram_is_handed_over_whole_and_alone() -> None:
    """Also an empty one; the side that no coroutine reads passes unread from the start."""
    machine, commands = begun()
    assert commands == [Splice(Side.SERVER)]
    assert said(machine, b"one\ntwo") == [SendDatagram(Side.SERVER, b"one\ntwo")]
    assert said(machine, b"") == [SendDatagram(Side.SERVER, b"")]
    assert machine.wants_data(Side.CLIENT)


def test_a_reply_goes_back() -> None:
    """To who said it."""
    machine, _ = begun()
    assert said(machine, b"reply x") == [SendDatagram(Side.CLIENT, b"reply x")]


def test_what_waits_is_bounded() -> None:
    """While a coroutine waits for a port, so many datagrams wait too; the rest is lost, and what came first goes on first."""
    machine, _ = begun()
    (command,) = said(machine, b"expect")
    assert isinstance(command, OpenBinding)
    for number in range(WAITING + 3):
        assert said(machine, b"%d" % number) == []
    assert machine.buffered(Side.CLIENT) == WAITING
    _, first, *others = machine.receive(BindingOpened(command.number, {Side.CLIENT: LISTENER}))
    assert first == SendDatagram(Side.SERVER, str(LISTENER).encode())
    assert others == [SendDatagram(Side.SERVER, b"%d" % number) for number in range(WAITING)]


def test_what_was_not_read_passes_one_by_one() -> None:
    """Datagrams that wait when a coroutine returns are not glued together."""

    class Waiting(Relaying):
        async def from_client(self, datagrams: Datagrams) -> None:
            await self.flow.expect(Side.CLIENT, TARGET)

    machine, _ = begun(Waiting(None))
    assert said(machine, b"a") == said(machine, b"b") == []
    _, *commands = machine.receive(BindingOpened(1, {Side.CLIENT: LISTENER}))
    assert commands == [SendDatagram(Side.SERVER, b"a"), SendDatagram(Side.SERVER, b"b"), Splice(Side.CLIENT)]


def test_return_and_splice_leave_the_rest_unread() -> None:
    """By permission to the host."""
    assert said(begun()[0], b"return") == [Splice(Side.CLIENT)]
    assert said(begun()[0], b"splice") == [Splice(Side.CLIENT)]


def test_an_exception_ends_the_flow() -> None:
    """And lets nothing pass; the client is told in its protocol."""
    machine, _ = begun()
    commands = said(machine, b"raise")
    assert commands[0] == SendDatagram(Side.CLIENT, b"sorry")
    assert isinstance(aborted(commands), PluginError)
    assert said(machine, b"more") == []


def test_what_streams_have_and_datagrams_have_not() -> None:
    """TLS and a server to be chosen: the plugin is at fault."""
    for word in (b"connect", b"tls", b"clear"):
        assert isinstance(aborted(said(begun()[0], word)), PluginError)


def test_linger_is_for_datagrams() -> None:
    """A host is told; on a connection the plugin is at fault."""
    machine, _ = begun()
    assert said(machine, b"linger") == [Linger(2.5)]

    class Lingering(Echo):
        async def from_client(self, stream: object) -> None:
            self.flow.linger(1)

    _, commands = started(Lingering)
    assert isinstance(aborted(commands), PluginError)


def test_what_was_given_back_begins_another_flow() -> None:
    """Once this one has ended; but not if it is all that this one was ever told, since it would come back for ever."""
    machine, _ = begun()
    assert said(machine, b"x") and machine.returned is None
    assert said(machine, b"back x") == [CloseConnection()]
    assert machine.returned == b"back x"
    machine, _ = begun()
    said(machine, b"back x")
    assert machine.ended and machine.returned is None


def test_a_stranger_is_answered_without_amplification() -> None:
    """No longer than what he sent, or than fits into the smallest frame; a plugin that fails there says nothing."""
    machine, _ = begun()
    assert machine.stranger(b"x" * 99) == b"x" * 99
    assert machine.stranger(b"x" * 100) == b""
    assert machine.stranger(b"raise") == b""
    assert not machine.ended

    class Chatty(Relaying):
        def stranger(self, data: bytes) -> bytes:
            return b"x" * int(data)

    machine, _ = begun(Chatty(None))
    assert len(machine.stranger(b"%d" % SMALLEST)) == SMALLEST
    assert machine.stranger(b"%d" % (SMALLEST + 1)) == b""


def test_nothing_is_said_to_strangers_by_default() -> None:
    """Who wants to must say so; and a plugin that reads nothing has nothing to refuse with either."""
    machine, commands = begun(DatagramPlugin(None))
    assert commands == [Splice(Side.CLIENT), Splice(Side.SERVER)]
    assert machine.stranger(b"x") == b""
    lost = ConnectError("gone")
    assert machine.receive(ConnectionLost(Side.SERVER, lost)) == [Abort(lost)]


def test_a_related_flow_ends_after_this_one() -> None:
    """It changes nothing."""
    machine, _ = begun()
    said(machine, b"expect")
    assert machine.receive(RelatedEnded(1, None)) == []


def test_a_plugin_treats_flows_of_its_own_transport_only() -> None:
    """Another one is refused, and told which."""
    session, legs = Session(1, CLIENT.peer.address, Gate(LeaseLimits())), {Side.CLIENT: CLIENT, Side.SERVER: SERVER}
    for make, plugin, words in (
        (make_machine, Relaying(None), "plugin relaying treats UDP flows; this one is TCP"),
        (make_datagram_machine, Echo(None), "plugin echo treats TCP flows; this one is UDP"),
    ):
        try:
            make(plugin, session, legs)
        except PluginError as error:
            assert str(error) == words
        else:
            raise AssertionError("it was taken")


def test_records_of_the_plugin_come_in_order() -> None:
    """As with streams."""

    class Logging(Relaying):
        async def from_client(self, datagrams: Datagrams) -> None:
            async for datagram in datagrams:
                self.flow.log("seen", datagram.decode())
                datagrams.send(datagram)

    machine, _ = begun(Logging(None))
    assert said(machine, b"x") == [Report("seen", "x", {}), SendDatagram(Side.SERVER, b"x")]


def test_a_plugin_sends_bytes_only_and_only_before_the_end() -> None:
    """Text is its mistake; what it says after the end goes nowhere."""

    class Odd(Relaying):
        async def from_client(self, datagrams: Datagrams) -> None:
            async for datagram in datagrams:
                if datagram == b"close":
                    self.flow.close()
                    datagrams.send(b"too late")
                else:
                    datagrams.send(datagram.decode())  # type: ignore[arg-type]

    assert said(begun(Odd(None))[0], b"close") == [CloseConnection()]
    assert isinstance(aborted(said(begun(Odd(None))[0], b"x")), PluginError)
