"""`DatagramMachine`: drives a plugin between two sides that send datagrams. Events in, an ordered list of commands out.

The promises are those of `FlowMachine`, but that nothing is ever taken back or waited for: what cannot be kept is lost.
"""

from __future__ import annotations

from alg.core.commands import Command, ConnectUpstream, Linger, SendDatagram, Splice
from alg.core.datagrams import DatagramPlugin, Datagrams
from alg.core.driver import Driver
from alg.core.errors import AlgError, PluginError
from alg.core.events import DatagramReceived, Event, RelatedEnded
from alg.core.model import Leg, Side
from alg.core.plugin import refusal_words
from alg.core.session import Session

SMALLEST = 18
"""Bytes of payload that fit into the smallest Ethernet frame: an answer of so many is no amplification."""


class DatagramMachine(Driver[Datagrams]):
    """One flow over UDP: a plugin instance between a client and a server."""

    __slots__ = ("_heard",)

    plugin: DatagramPlugin[object]

    _carries = SendDatagram

    def __init__(self, plugin: DatagramPlugin[object], session: Session, *, client: Leg, server: Leg) -> None:
        super().__init__(plugin, session, client=client, server=server)
        self._heard = 0

    def _incoming(self, side: Side) -> Datagrams:
        return Datagrams(side, self._send)

    # For hosts.

    def receive(self, event: Event, now: float = 0.0) -> list[Command]:
        """Say what happened, and when; return what to do now. Events that come after the end are ignored."""
        self.now = now
        if isinstance(event, RelatedEnded):
            self._tell_outcome(event)
        elif not self._ended:
            if isinstance(event, DatagramReceived):
                direction = self._directions[event.side]
                self._heard += event.side is Side.CLIENT
                direction.stream.receive(event.data)
                if direction.waits_for is direction.stream:
                    self._step(event.side)
            else:
                self._receive_common(event)
        return self._flush()

    @property
    def returned(self) -> bytes | None:
        """What the client said and the plugin gave back, to begin another flow now that this one has ended.

        Never the first datagram of a flow: it would come back for ever.
        """
        return self._client.stream.returned if self._ended and self._heard > 1 else None

    def stranger(self, data: bytes) -> bytes:
        """What a stranger is told who sent this; nothing if the plugin fails at that, or if it were more than was sent."""
        try:
            answer = self.plugin.stranger(data)
        except Exception:  # noqa: BLE001 - a stranger must not be able to end a flow by what he sends
            return b""
        return answer if isinstance(answer, bytes) and len(answer) <= max(len(data), SMALLEST) else b""

    # What a plugin may ask for.

    def _send(self, side: Side, data: bytes) -> None:
        """Also where datagrams pass unread: each stands for itself."""
        if not isinstance(data, bytes):
            raise TypeError(f"send() and reply() take bytes, not {type(data).__name__}")
        if not self._ended:
            self._commands.append(SendDatagram(side, data))

    def linger(self, seconds: float) -> None:
        """Ask the host to end the flow after so much silence."""
        if not self._ended:
            self._commands.append(Linger(seconds))

    def prepare_upstream(self, command: ConnectUpstream) -> None:
        """A flow of datagrams has its server from the start."""
        raise PluginError(f"plugin {self.plugin.name} connects to {command.host}, where there is a server already")

    def prepare_tls(self, side: Side) -> None:
        """There is none."""
        raise PluginError(f"plugin {self.plugin.name} starts TLS on the {side.value}'s leg, which carries datagrams")

    def prepare_clear(self, side: Side) -> None:
        """There is none."""
        raise PluginError(f"plugin {self.plugin.name} stops TLS on the {side.value}'s leg, which carries datagrams")

    # Stepping.

    def _finish(self, side: Side) -> None:
        direction = self._directions[side]
        direction.coroutine = None
        if not self._ended and not direction.opaque:
            self._make_opaque(side)

    def _make_opaque(self, side: Side) -> None:
        direction = self._directions[side]
        direction.opaque = True
        self._commands += [SendDatagram(side.other, data) for data in direction.stream.drain()]
        self._commands.append(Splice(side))

    def _last_words(self, error: AlgError) -> bytes | None:
        return refusal_words(self.plugin, error)
