"""What plugins ask the flow machine for: bindings and TLS, and the answers."""

from __future__ import annotations

import pytest

from alg.core.commands import CloseBinding, OpenBinding, Report, ReportRewrite, SendData, Splice, StartTls
from alg.core.events import BindingOpened, CommandFailed, DataReceived, TlsStarted
from alg.core.model import Expectation
from alg.plugin import BindError, Binding, ConnectError, Side, Stream, StreamPlugin
from tests.machines import FROM_CLIENT, FROM_SERVER, LISTENER, OPENED, TARGET, TLS, Echo, started


class Expecting(Echo):
    """Each line of the client asks for a listener; `drop` gives the last one back, twice."""

    name = "expecting"
    binding: Binding

    async def from_client(self, stream: Stream) -> None:
        async for line in stream.lines(100):
            if line == b"drop\n":
                self.binding.release()
                self.binding.release()
                continue
            try:
                self.binding = await self.flow.expect(Side.CLIENT, TARGET, announced_by="ASK")
            except BindError:
                stream.reply(b"none\n")
            else:
                stream.reply(b"%s\n" % self.binding.endpoint.to_bytes(b" "))


def test_an_expectation_becomes_a_binding() -> None:
    """The host is asked, the answer is recorded, and only then the plugin goes on."""
    machine, _ = started(Expecting)
    (command,) = machine.receive(FROM_CLIENT)
    assert command == OpenBinding(1, Expectation.usual(Side.CLIENT, TARGET))
    report, send = machine.receive(BindingOpened(1, OPENED))
    assert isinstance(report, ReportRewrite)
    assert report.message == f"ASK {TARGET} -> {LISTENER} for 10.77.1.2, once, 60 s"
    assert report.fields["lease"] == 1
    assert send == SendData(Side.CLIENT, b"10.77.1.1 20001\n")


@pytest.mark.parametrize(("limit", "words"), [(1, "once"), (None, "any number"), (3, "3 times")])
def test_the_record_of_a_rewrite_says_how_often(limit: int | None, words: str) -> None:
    """Also where nothing announced it, and where the lease has gone meanwhile."""

    class Asking(StreamPlugin[None]):
        name = "asking"

        async def from_client(self, stream: Stream) -> None:
            await self.flow.expect(Side.CLIENT, TARGET, limit=limit, lifetime=0.5)

    machine, _ = started(Asking)
    machine.session.release(1)
    report = machine.receive(BindingOpened(1, OPENED))[0]
    assert isinstance(report, ReportRewrite)
    assert report.message == f"{TARGET} -> {LISTENER} for nobody, {words}, 0.5 s"


def test_a_binding_that_fails_raises_where_it_was_asked_for() -> None:
    """The lease is given back, and the plugin may answer in its protocol."""
    machine, _ = started(Expecting)
    machine.receive(FROM_CLIENT)
    report, answer = machine.receive(CommandFailed(1, BindError("no port")))
    assert isinstance(report, Report)
    assert (report.reason, report.message) == ("no_port", "ASK no port")
    assert answer == SendData(Side.CLIENT, b"none\n")
    assert not machine.session.pending


def test_a_binding_is_released_once() -> None:
    """However often the plugin says it; the listener closes, the session's account is the host's to settle."""
    machine, _ = started(Expecting)
    machine.receive(FROM_CLIENT)
    machine.receive(BindingOpened(1, OPENED))
    assert machine.receive(DataReceived(Side.CLIENT, b"drop\n")) == [CloseBinding(1)]
    assert machine.receive(DataReceived(Side.CLIENT, b"drop\n")) == []


def test_a_binding_that_is_gone_is_not_released() -> None:
    """It was used up or expired, or the flow has ended."""
    machine, _ = started(Expecting)
    machine.receive(FROM_CLIENT)
    machine.receive(BindingOpened(1, OPENED))
    machine.session.release(1)
    assert machine.receive(DataReceived(Side.CLIENT, b"drop\n")) == []


def test_a_binding_that_nobody_waits_for_is_closed() -> None:
    """The other side's coroutine made the flow opaque while one waited for its port."""

    class Both(Expecting):
        async def from_server(self, stream: Stream) -> None:
            await stream.read_line(100)
            self.flow.splice()

    machine, _ = started(Both)
    machine.receive(FROM_CLIENT)
    assert machine.receive(FROM_SERVER) == [Splice(Side.CLIENT), Splice(Side.SERVER)]
    assert machine.receive(BindingOpened(1, OPENED)) == [CloseBinding(1)]


def test_tls_is_started_on_one_leg_at_a_time() -> None:
    """The leg is secure from the answer on; meanwhile nobody reads it, whoever asked for the handshake."""

    class Upgrading(Echo):
        async def from_server(self, stream: Stream) -> None:
            await stream.read_line(100)
            await self.flow.start_tls(Side.CLIENT)
            stream.send(b"secure\n")
            await stream.read_line(100)

    machine, _ = started(Upgrading)
    assert machine.wants_both
    assert machine.wants_data(Side.CLIENT)
    assert machine.receive(FROM_SERVER) == [StartTls(Side.CLIENT)]
    assert not machine.wants_data(Side.CLIENT)
    assert not machine.wants_data(Side.SERVER)
    assert not machine.wants_both
    assert machine.receive(TlsStarted(Side.CLIENT, TLS)) == [SendData(Side.CLIENT, b"secure\n")]
    assert machine.plugin.flow.client.secure
    assert not machine.plugin.flow.server.secure
    assert machine.wants_data(Side.CLIENT)


def test_tls_that_fails_raises_where_it_was_asked_for() -> None:
    """Left alone, it ends the session; the side may be read again before that only if the plugin caught it."""

    class Trying(Echo):
        async def from_client(self, stream: Stream) -> None:
            try:
                await self.flow.start_tls(Side.CLIENT)
            except ConnectError:
                await stream.read_line(100)

    machine, commands = started(Trying)
    assert commands == [StartTls(Side.CLIENT)]
    assert machine.receive(CommandFailed(Side.CLIENT, ConnectError("no"))) == []
    assert machine.wants_data(Side.CLIENT)
