"""`TftpPlugin`: which packets of a transfer pass, when it is over, and what is said to those that have no part in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alg.plugin import AlgError, DatagramPlugin, Datagrams, Rules, Side, Verdict
from alg_tftp import wire

_ROOM = 18
"""Bytes of payload that fit into the smallest Ethernet frame: an answer of so many is no amplification."""
_SENDS = {
    (wire.RRQ, Side.CLIENT): (wire.ACK, wire.ERROR),
    (wire.RRQ, Side.SERVER): (wire.DATA, wire.OACK, wire.ERROR),
    (wire.WRQ, Side.CLIENT): (wire.DATA, wire.ERROR),
    (wire.WRQ, Side.SERVER): (wire.ACK, wire.OACK, wire.ERROR),
}


@dataclass(frozen=True)
class TftpConfig:
    """`read_only`: nothing is written to the server. `rules`: verdicts on `RRQ` and `WRQ`, and on `RRQ PATTERN` and
    `WRQ PATTERN` for file names as they are asked for (`/boot/x` is not `boot/x`; with patterns, names with `..`, `.`, `//` or
    a backslash are refused); `abort` says nothing to the client. `dally`: seconds of silence after which a transfer that is complete is forgotten; until then, what got lost of its end
    can be said again."""

    read_only: bool = False
    rules: Mapping[str, Verdict] = field(default_factory=dict)
    dally: float = 5.0

    def verdict(self, name: str, file: str) -> Verdict:
        """What becomes of such a request for that file."""
        writes = self.read_only and name == wire.NAMES[wire.WRQ]
        hidden = not wire.is_plain(file) and any(" " in key for key in self.rules)
        return Verdict.REJECT if writes or hidden else Rules(self.rules).command(name, file)


class TftpPlugin(DatagramPlugin[TftpConfig]):
    """Lets the transfers of RFC 1350 pass whose server answers from another port, and only what belongs to them."""

    name, config_type, default_port = "tftp", TftpConfig, 69
    idle = 30.0
    loose_peer_port = True

    def __init__(self, config: TftpConfig) -> None:
        super().__init__(config)
        self._request = wire.Request(0, b"", {})
        self._said = b""
        self._block, self._oack = wire.BLOCK, b""
        self._begun = {Side.CLIENT: False, Side.SERVER: False}
        self._failed = False
        self._last: int | None = None
        """The number of the last block, once it was seen."""

    async def from_client(self, datagrams: Datagrams) -> None:
        """A request, then what belongs to its transfer."""
        async for packet in datagrams:
            if wire.opcode(packet) not in wire.NAMES:
                self._pass(packet, datagrams)
            elif not self._said:
                self._ask(packet, datagrams)
            elif packet != self._said or self._begun[Side.CLIENT] or self._failed:
                datagrams.give_back(packet)  # the same port begins another transfer
                self.flow.close()
            elif not self._begun[Side.SERVER]:
                datagrams.send(packet)  # it got lost, perhaps

    async def from_server(self, datagrams: Datagrams) -> None:
        """What belongs to the transfer."""
        async for packet in datagrams:
            self._pass(packet, datagrams)

    def _ask(self, packet: bytes, datagrams: Datagrams) -> None:
        """Judge the request that begins a transfer."""
        self._said = packet
        try:
            request = self._request = wire.parse_request(packet)
        except wire.RequestError as problem:
            self._refuse(datagrams, problem.code, "bad_request", str(problem))
            return
        name, file = wire.NAMES[request.opcode], request.file.decode("utf-8", "backslashreplace")
        verdict = self.config.verdict(name, file)
        if verdict is Verdict.ACCEPT:
            datagrams.send(packet)
        elif verdict is Verdict.REJECT:
            self._refuse(datagrams, wire.ACCESS_VIOLATION, "request_refused", f"{name} {file!a}")
        else:
            self.flow.log("request_refused", f"{name} {file!a}")
            self.flow.close()

    def _refuse(self, datagrams: Datagrams, code: int, reason: str, what: str) -> None:
        self.flow.log(reason, what)
        datagrams.reply(wire.error(code, reason.replace("_", " "), len(self._said)))
        self.flow.close()

    def _pass(self, packet: bytes, datagrams: Datagrams) -> None:
        """Let a packet pass, if it is the turn of one like it."""
        side, kind = datagrams.side, wire.opcode(packet)
        if kind not in _SENDS.get((self._request.opcode, side), ()) or not self._fits(kind, packet):
            if self._said:
                self.flow.log("unexpected_packet", f"the {side.value} sent one of kind {kind}, {len(packet)} bytes")
            else:
                self.flow.close()  # nobody has asked for anything
            return
        self._begun[side], self._failed = True, kind == wire.ERROR
        datagrams.send(packet)
        if kind == wire.DATA and len(packet) < 4 + self._block:
            self._last = wire.block(packet)
        if kind == wire.ERROR or (kind == wire.ACK and self._last == wire.block(packet)):
            self.flow.linger(self.config.dally)

    def _fits(self, kind: int, packet: bytes) -> bool:
        if kind == wire.OACK and self._begun[Side.CLIENT]:
            return packet == self._oack  # once more, since the answer to it got lost
        if kind == wire.OACK:
            try:
                taken = wire.parse_oack(packet, self._request.options)
            except wire.RequestError:
                return False
            self._block, self._oack = int(taken.get(b"blksize", wire.BLOCK)), packet
            return True
        return len(packet) <= 4 + self._block if kind == wire.DATA else kind == wire.ERROR or len(packet) == 4

    def stranger(self, data: bytes) -> bytes:
        """RFC 1350 section 4: the transfer goes on, and who has no part in it is told so; but never about an error."""
        told = wire.opcode(data) not in (0, wire.ERROR)
        return wire.error(wire.UNKNOWN_TID, "unknown TID", _ROOM) if told else b""

    def refusal(self, error: AlgError) -> bytes:
        """An ERROR, no longer than the request."""
        return wire.error(0, error.reason, len(self._said)) if self._request.opcode else b""
