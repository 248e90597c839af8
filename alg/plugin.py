"""The plugin API: all that a protocol plugin may import.

A plugin is a class with two coroutines. Each reads what its side says and decides what goes on:

    class CallPlugin(StreamPlugin[None]):
        name = "call"

        async def from_client(self, stream: Stream) -> None:
            async for line in stream.lines(limit=100):              # each with its line end
                words = line.split()
                if words[:1] == [b"CALL"] and len(words) == 3:      # "CALL 10.0.0.9 4000": the server shall connect
                    target = Endpoint.parse(*words[1:])
                    binding = await self.flow.expect(Side.SERVER, target, announced_by="CALL")
                    line = b"CALL %s\\r\\n" % binding.endpoint.to_bytes(b" ")
                stream.send(line)

What holds, in every host:

- *The port exists before the bytes.* `expect` returns once the listener is open; it suspends only its caller.
- *A read consumes only when it is complete*, and has a limit; past it the session ends.
- *State before match.* Trust an address only in the place and at the time where your protocol puts it. `Pipeline`
  tells to which command a reply belongs, and keeps replies of your own in order.
- *Upgrades are barriers.* `start_tls` is refused while unread plaintext is buffered.
- *Opaque means gone.* `return` leaves the rest of that direction unread, `flow.splice()` both; a coroutine that you do
  not override never reads at all.
- *By count* too: `stream.forward(n)` has the next n bytes of that side pass unread. Only its own coroutine may ask for
  that; until it returns nobody sends there, splices, or starts TLS. Whoever ends before is cut off: so is the receiver.
- *Fail closed.* An error that leaves a coroutine ends its session. Catch `PolicyError` and `BindError` at the `expect`
  to answer in your protocol; raise `ProtocolError` where a peer breaks it.
- *No side doors.* Plugins await only what this module offers; they import no `asyncio`, `socket`, `ssl` or `time`.

A protocol over UDP is a `DatagramPlugin`: the same class with the same two coroutines, which read datagrams. Each is whole
or not there at all; one may come twice, late or never, and no side says that it has ended: silence ends a flow.

    class NoTransferPlugin(DatagramPlugin[None]):
        name = "no-transfer"

        async def from_client(self, datagrams: Datagrams) -> None:
            async for datagram in datagrams:
                if b"AXFR" not in datagram:
                    datagrams.send(datagram)

Test a plugin with `alg.testing`; make it known by an entry point in the group `alg.plugins`, or name it as
`module:Class` in the configuration.
"""

from __future__ import annotations

from alg.core.addresses import Address, Network
from alg.core.binding import Binding
from alg.core.datagrams import DatagramPlugin, Datagrams
from alg.core.errors import (
    AlgError,
    BindError,
    ConfigError,
    ConnectError,
    PluginError,
    PolicyError,
    ProtocolError,
    TlsError,
)
from alg.core.flow_handle import Flow
from alg.core.model import (
    Accept,
    Connect,
    Endpoint,
    Expectation,
    Leg,
    LegPlan,
    Outcome,
    Side,
    TlsInfo,
    TlsPolicy,
    Transport,
)
from alg.core.pipeline import Pipeline
from alg.core.plugin import Need, StreamPlugin
from alg.core.policy import Rules, Verdict
from alg.core.promise import Promise
from alg.core.rate import RateLimit
from alg.core.stream import Stream
from alg.core.web import HttpExchange, HttpRequest, HttpResponse, Ways

__all__ = [
    "Accept",
    "Address",
    "AlgError",
    "BindError",
    "Binding",
    "ConfigError",
    "Connect",
    "ConnectError",
    "DatagramPlugin",
    "Datagrams",
    "Endpoint",
    "Expectation",
    "Flow",
    "HttpExchange",
    "HttpRequest",
    "HttpResponse",
    "Leg",
    "LegPlan",
    "Need",
    "Network",
    "Outcome",
    "Pipeline",
    "PluginError",
    "PolicyError",
    "Promise",
    "ProtocolError",
    "RateLimit",
    "Rules",
    "Side",
    "Stream",
    "StreamPlugin",
    "TlsError",
    "TlsInfo",
    "TlsPolicy",
    "Transport",
    "Verdict",
    "Ways",
]
