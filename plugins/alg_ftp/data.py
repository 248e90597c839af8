"""`Data`: agrees with both sides on where the next data connection is opened, and how: PORT, PASV, EPRT, EPSV.

What the client says and what the server is told need not be the same: their address families may differ (RFC 6384), the
operator may want another mode, the server may not know the newer commands. At most one data connection is agreed on.
"""

from __future__ import annotations

from collections.abc import Sequence

from alg.plugin import (
    Accept,
    BindError,
    Binding,
    Connect,
    Endpoint,
    Outcome,
    PolicyError,
    ProtocolError,
    Side,
)
from alg_ftp import wire
from alg_ftp.config import ForeignAddress
from alg_ftp.control import Control
from alg_ftp.modes import PASSIVE, ServerVerbs, Translation, may_use, usable
from alg_ftp.protection import Protection
from alg_ftp.transfers import DataConnection, Transfers

_NO_PORT = "No data connection: no port is free; try again later."
_NOT_USABLE = "No data connection: what the server offers cannot be used."
_SUCCESS = {"PASV": 227, "EPSV": 229, "PORT": 200, "EPRT": 200}


class _RefusedError(Exception):
    """There will be no data connection; the reply says why."""

    def __init__(self, reply: bytes) -> None:
        super().__init__(reply)
        self.reply = reply


class Data:
    """The data connection of one session."""

    def __init__(self, control: Control, protection: Protection, transfers: Transfers) -> None:
        self._control = control
        self._config = control.config
        self._flow = control.flow
        self._protection = protection
        self._transfers = transfers
        self._binding: Binding | None = None
        """The one live listener for a data connection (RFC 959: there is at most one)."""
        self._only_epsv = False
        """Whether the client has promised to use nothing but EPSV (RFC 2428 section 4)."""
        self._server_verbs = ServerVerbs(control.config.server_data_mode)

    # What the client says.

    async def treat(self, command: wire.Command) -> None:
        """PORT, PASV, EPRT, EPSV: agree on the next data connection, or refuse."""
        if self._refuse(command):
            return
        if command.is_epsv_all:
            await self._promise_epsv(command)
            return
        self.give_up()  # the latest counts, also if nothing comes of it
        try:
            reply = await self._agree(command)
        except _RefusedError as refused:
            reply = refused.reply
        self._control.answer(command, reply)

    def _refuse(self, command: wire.Command) -> bool:
        verb, argument = command.verb, command.argument.upper()
        family = self._flow.client.local.address.version
        refusal: tuple[int, str, str] | None = None
        if self._only_epsv and verb != "EPSV":
            refusal = 501, f"{verb} is refused after EPSV ALL.", "epsv_all"  # RFC 2428 section 4
        elif verb in ("PORT", "PASV") and family == 6:
            refusal = 522, f"{verb} is for IPv4; use EPRT or EPSV.", "bad_family"
        elif verb == "EPSV" and argument not in (b"", b"ALL", b"1" if family == 4 else b"2"):
            if argument in (b"1", b"2"):
                refusal = 522, f"Network protocol not supported, use ({1 if family == 4 else 2})", "bad_family"
            else:
                refusal = 501, "EPSV takes 1, 2, ALL or nothing.", "bad_endpoint"
        elif not may_use(self._config.client_data_mode, verb):
            instead = usable(self._config.client_data_mode, family)
            refusal = 502, f"{verb} is not offered here; use {instead}.", "not_offered"
        elif self._protection.needs_data_tls:
            refusal = 521, "PROT P is required.", "command_refused"  # RFC 4217 section 10
        if refusal:
            self._control.refuse(command, *refusal)
        return refusal is not None

    async def _promise_epsv(self, command: wire.Command) -> None:
        """EPSV ALL: the server hears of it only if it is going to see EPSV."""
        self.give_up()
        if self._verbs("EPSV")[0] != "EPSV":
            self._only_epsv = True
            self._control.reply(command, 200, "EPSV ALL: so be it.")
            return
        promised, self._only_epsv = self._only_epsv, True
        reply = self._control.judge_reply(command, await self._control.ask(command.line))
        if reply.good:
            self._server_verbs.only_epsv = True
        else:
            self._only_epsv = promised
        self._control.answer(command, reply.to_bytes())

    def translate(self, command: wire.Command) -> None:
        """ALGS (RFC 6384 section 11): what is translated for an IPv6 client of an IPv4 server."""
        word = command.argument.upper().decode("ascii", "replace")
        if word in (each.value for each in Translation):
            self._server_verbs.translation = Translation(word)
        elif word != "STATUS64":
            self._control.refuse(command, 504 if word else 501, "ALGS takes STATUS64, ENABLE64, DISABLE64.", "bad_word")
            return
        differ = self._families[Side.CLIENT] == 6 and self._families[Side.SERVER] == 4
        translates = differ and self._server_verbs.translation is Translation.ENABLED
        self._control.reply(command, 216, "EPSV EPRT" if translates else "NONE")

    def reset(self) -> None:
        """REIN: the session begins anew (RFC 959 section 4.1.1)."""
        self._only_epsv = self._server_verbs.only_epsv = False

    def transfer(self) -> None:
        """A command that uses the data connection goes on: if we are to dial both legs, it is time."""
        if self._binding is not None and not self._binding.expectation.accepted:
            self._binding.dial()

    def give_up(self) -> None:
        """Stop listening for the data connection; one that has come lives on."""
        binding, self._binding = self._binding, None
        if binding:
            binding.release()

    # What the server is told.

    @property
    def _families(self) -> dict[Side, int]:
        return {
            Side.CLIENT: self._flow.client.local.address.version,
            Side.SERVER: self._flow.server.peer.address.version,
        }

    def _verbs(self, verb: str) -> Sequence[str]:
        families = self._families
        return self._server_verbs.to_try(verb, families[Side.CLIENT], families[Side.SERVER])

    async def _ask(self, command: wire.Command, verb: str, line: bytes) -> wire.Reply:
        """Ask the server on behalf of the client's command; rules are about what the client would be told."""
        reply = await self._control.ask(line)
        agreed = reply.code == _SUCCESS[verb] if verb in PASSIVE else reply.good
        told = wire.Reply(_SUCCESS[command.verb], reply.lines) if agreed and verb != command.verb else reply
        judged = self._control.judge_reply(command, told)
        return reply if judged is told else judged

    async def _agree(self, command: wire.Command) -> bytes:
        """Return the reply to the client once both sides are agreed."""
        target = None if command.verb in PASSIVE else self._client_target(command)
        if (refusal := await self._protection.settle_server_data()) is not None:
            raise _RefusedError(refusal.to_bytes())
        verbs = self._verbs(command.verb)
        for verb in verbs:
            connection = DataConnection(command.verb, verb)
            if verb in PASSIVE:
                reply = await self._ask(command, verb, self._passive_line(command, verb))
                if reply.code == _SUCCESS[verb]:
                    return await self._open(command, connection, target, self._server_target(verb, reply.lines))
            else:
                opened = await self._open(command, connection, target, None)
                assert self._binding is not None, "it was just opened"
                reply = await self._ask(command, verb, self._active_line(verb, self._binding.endpoints[Side.SERVER]))
                if reply.good:
                    same = verb == command.verb and len(reply.lines) == 1
                    return reply.to_bytes() if same and target is not None else opened
                self.give_up()
            if not self._server_verbs.refused(verb, reply.code):
                break
        return reply.to_bytes()

    def _passive_line(self, command: wire.Command, verb: str) -> bytes:
        """As the client wrote it, if it can stay so: `EPSV 1` names an address family."""
        as_it_is = verb == command.verb and len(set(self._families.values())) == 1
        return command.line if as_it_is else verb.encode("ascii")

    def _client_target(self, command: wire.Command) -> Endpoint:
        """Where an active client listens."""
        parse = wire.parse_port if command.verb == "PORT" else wire.parse_eprt
        peer = self._flow.client.peer.address
        try:
            target = parse(command.argument)
            if target.address.version != peer.version:
                raise wire.FamilyError(f"use the network protocol of this connection ({1 if peer.version == 4 else 2})")
        except ProtocolError as error:
            code = 522 if isinstance(error, wire.FamilyError) else 501
            text = f"{code} {error}."
            self._flow.log(error.reason, f"{command.verb}: {text}", {"command": command.verb, "code": code})
            raise _RefusedError(wire.format_reply(code, f"{error}.")) from None
        if target.address != peer and self._config.foreign_active is ForeignAddress.PEER:
            return Endpoint(peer, target.port)
        return target

    def _server_target(self, verb: str, lines: Sequence[bytes]) -> Endpoint:
        """Where a passive server listens."""
        peer = self._flow.server.peer.address
        port = wire.parse_extended_passive(lines) if verb == "EPSV" else None
        target = wire.parse_passive(lines) if verb == "PASV" else Endpoint(peer, port) if port else None
        if target is None:
            text = f"the server's reply to {verb} holds no {'address' if verb == 'PASV' else 'port'}"
            self._flow.log("bad_endpoint", f"{verb}: {text}", {"command": verb, "code": 425})
            raise _RefusedError(wire.format_reply(425, _NOT_USABLE))
        if target.address != peer and self._config.foreign_passive is ForeignAddress.PEER:
            self._flow.log(
                "third_party_address",
                f"227 names {target.address}; the server's own address is taken instead",
                {"command": verb, "target": target},
            )
            return Endpoint(peer, target.port)
        return target

    def _active_line(self, verb: str, endpoint: Endpoint) -> bytes:
        if verb == "PORT" and endpoint.address.version == 4:
            return b"PORT " + wire.format_port(endpoint)
        return b"EPRT " + wire.format_eprt(endpoint)

    # What the gateway opens.

    async def _open(
        self, command: wire.Command, connection: DataConnection, client: Endpoint | None, server: Endpoint | None
    ) -> bytes:
        """Have the host open what both sides are told; return the reply to the client. None: that side connects to us."""
        try:
            self._binding = connection.binding = await self._expect(connection, client, server)
        except BindError:  # recorded by `expect`, as is the next, in words that the client shall not read
            raise _RefusedError(wire.format_reply(425, _NO_PORT)) from None
        except PolicyError:
            if client is None:
                raise _RefusedError(wire.format_reply(425, _NOT_USABLE)) from None
            # RFC 2577 section 3
            text = f"{command.verb} refused: that address and port are not allowed."
            raise _RefusedError(wire.format_reply(504, text)) from None
        self._transfers.agreed(connection)
        if command.verb == "PASV":
            return wire.format_passive(self._binding.endpoints[Side.CLIENT])
        if command.verb == "EPSV":
            return wire.format_extended_passive(self._binding.endpoints[Side.CLIENT].port)
        return wire.format_reply(200, f"{command.verb} command successful.")

    async def _expect(self, connection: DataConnection, client: Endpoint | None, server: Endpoint | None) -> Binding:
        tls = self._protection.data_sides
        lifetime = self._config.data_lifetime

        def on_end(outcome: Outcome) -> None:
            self._transfers.ended(connection, outcome)

        if (client is None) != (server is None):
            origin, target = (Side.CLIENT, server) if client is None else (Side.SERVER, client)
            assert target is not None
            announced_by = {"PASV": "227", "EPSV": "229"}.get(connection.server_verb, connection.client_verb)
            return await self._flow.expect(
                origin, target, announced_by=announced_by, lifetime=lifetime, tls=tls, on_end=on_end
            )
        return await self._flow.expect_legs(
            Accept(tls=Side.CLIENT in tls) if client is None else Connect(client, tls=Side.CLIENT in tls),
            Accept(tls=Side.SERVER in tls) if server is None else Connect(server, tls=Side.SERVER in tls),
            announced_by=connection.mode,
            lifetime=lifetime,
            on_end=on_end,
        )
