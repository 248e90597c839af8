"""The FTP plugin: what becomes of each command and each reply. The grammar is in `wire`, the settings are in `config`.

Whoever announces an endpoint for a data connection announces the gateway's instead: PORT and EPRT of the client, the
227 and 229 replies of the server. An address counts only there, and only in the reply to a command that went through
here (RFC 959, RFC 2428; the reasons are in RFC 2577).
"""

from __future__ import annotations

from alg.plugin import (
    AlgError,
    BindError,
    Binding,
    ConnectError,
    Endpoint,
    Pipeline,
    PolicyError,
    ProtocolError,
    RateLimit,
    Side,
    Stream,
    StreamPlugin,
    Verdict,
)
from alg_ftp import wire
from alg_ftp.config import ForeignAddress, FtpConfig, Profile
from alg_ftp.features import edit_features

GREETING = wire.Command("", b"", b"")
"""Stands for what the server's first reply answers: the connection itself."""

# Commands whose data connection, or whose TLS, we could not follow. RFC 1639 (LPRT, LPSV) is about families that
# nobody uses; CPSV and SPSV are passive commands with rules of their own; RFC 2228 security is not offered here.
NOT_OFFERED = frozenset(
    ("LPRT", "LPSV", "CPSV", "SPSV", "SSCN", "AUTH", "ADAT", "PBSZ", "PROT", "CCC", "MIC", "CONF", "ENC")
)
_NO_PORT = "No data connection: no port is free; try again later."
_NOT_USABLE = "No data connection: what the server offers cannot be used."
_DATA_COMMANDS = frozenset(("PORT", "PASV", "EPRT", "EPSV"))
_PASSIVE_REPLIES = frozenset((227, 229))


class FtpPlugin(StreamPlugin[FtpConfig]):
    """Treats one FTP control connection."""

    name = "ftp"
    config_type = FtpConfig
    default_port = 21
    related_flows = True

    def __init__(self, config: FtpConfig) -> None:
        super().__init__(config)
        self._rules = config.effective_rules()
        self._rate = RateLimit(config.command_rate, burst=2 * config.command_rate)
        self._pipeline: Pipeline[wire.Command]
        self._announced: tuple[wire.Command, Binding] | None = None
        """The one live listener for a data connection (RFC 959: there is at most one), and what asked for it."""
        self._latest: wire.Command | None = None
        """The last data command that went on: each revokes those before it."""
        self._only_epsv = False
        self._unsolicited = 0

    def refusal(self, error: AlgError) -> bytes:
        """421, with a word on why (RFC 959 section 5.4: it may be sent at any time)."""
        if isinstance(error, ConnectError):
            return wire.format_reply(421, "The server cannot be reached; try again later.")
        if isinstance(error, BindError):
            return wire.format_reply(421, "Too many connections; try again later.")
        if error.reason == "idle":
            return wire.format_reply(421, "Nothing was said for too long; closing the connection.")
        if isinstance(error, ProtocolError):
            return wire.format_reply(421, f"Closing the connection: {error}.")
        return wire.format_reply(421, "Service not available, closing control connection.")

    # From the client: commands.

    async def from_client(self, stream: Stream) -> None:
        """Send commands on, announce our own endpoints, and answer ourselves what shall not pass."""
        self._pipeline = Pipeline(stream.reply, limit=self.config.max_outstanding)
        self._pipeline.forwarded(GREETING)
        async for raw in stream.lines(self.config.max_command_line):
            line = wire.split_line_end(raw, "client")
            if not line:
                continue  # servers differ in whether an empty line gets a reply
            command = wire.parse_command(line)
            if not self._rate.admit(self.flow.now):
                raise ProtocolError(f"more than {self.config.command_rate} commands a second", reason="command_rate")
            if refusal := self._judge(command):
                self._pipeline.answered_here(command, refusal)
                continue
            if command.verb in ("PORT", "EPRT"):
                rewritten = await self._announce_to_server(command)
                if rewritten is None:
                    continue
                line = rewritten
            elif command.is_epsv_all:
                self._only_epsv = True
            elif command.verb == "REIN":
                self._only_epsv = False
            if command.verb in _DATA_COMMANDS and not command.is_epsv_all:
                self._latest = command
            self._pipeline.forwarded(command)
            stream.send(line + wire.LINE_END)

    def _judge(self, command: wire.Command) -> bytes | None:
        """Our own reply, if the command shall not pass."""
        verb, argument = command.verb, command.argument
        verdict = self._rules.command(verb)
        if verdict is Verdict.ABORT:
            raise PolicyError(f"{verb} ends the session, by rule", reason="command_refused")
        if verdict is Verdict.REJECT or (verb == "MDTM" and self._sets_time(argument)):
            return self._refuse(command, 550, f"{verb} is refused by policy.", "command_refused")
        if verb in NOT_OFFERED:
            return self._refuse(command, 502, f"{verb} is not offered here.", "not_offered")
        if verb == "USER":
            return self._judge_user(command)
        if verb in _DATA_COMMANDS:
            return self._judge_data_command(command)
        return None

    def _sets_time(self, argument: bytes) -> bool:
        """Whether MDTM writes: some servers take `MDTM YYYYMMDDHHMMSS file`."""
        stamp, _, name = argument.partition(b" ")
        return Profile.READ_ONLY in self.config.profiles and bool(name) and len(stamp) >= 14 and stamp[:14].isdigit()

    def _judge_user(self, command: wire.Command) -> bytes | None:
        if len(command.argument) > self.config.max_user:
            return self._refuse(command, 501, "The user name is too long.", "user_too_long")
        if not self.config.admits(command.argument):
            return self._refuse(command, 530, "This user may not log in here.", "user_refused")
        return None

    def _judge_data_command(self, command: wire.Command) -> bytes | None:
        verb, argument = command.verb, command.argument.upper()
        if self._only_epsv and verb != "EPSV":
            return self._refuse(command, 501, f"{verb} is refused after EPSV ALL.", "epsv_all")  # RFC 2428 section 4
        family = self.flow.client.local.address.version
        if verb in ("PORT", "PASV") and family == 6:
            return self._refuse(command, 522, f"{verb} is for IPv4; use EPRT or EPSV.", "bad_family")
        if verb == "EPSV" and argument not in (b"", b"ALL", b"1" if family == 4 else b"2"):
            if argument in (b"1", b"2"):
                supported = 1 if family == 4 else 2
                return self._refuse(command, 522, f"Network protocol not supported, use ({supported})", "bad_family")
            return self._refuse(command, 501, "EPSV takes 1, 2, ALL or nothing.", "bad_endpoint")
        return None

    def _refuse(self, command: wire.Command, code: int, text: str, reason: str) -> bytes:
        """Return our own reply, and record it."""
        self.flow.log(reason, f"{command.verb}: {code} {text}", {"command": command.verb, "code": code})
        return wire.format_reply(code, text)

    async def _announce_to_server(self, command: wire.Command) -> bytes | None:
        """Return the PORT or EPRT line to send instead; None if we have answered it ourselves."""
        try:
            binding = await self._bind_for_server(command)
        except ProtocolError as error:
            code = 522 if isinstance(error, wire.FamilyError) else 501
            refusal = self._refuse(command, code, f"{error}.", error.reason)
        except PolicyError:  # RFC 2577 section 3; recorded by `expect`, in words that the client shall not read
            refusal = wire.format_reply(504, f"{command.verb} refused: that address and port are not allowed.")
        except BindError:
            refusal = wire.format_reply(425, _NO_PORT)
        else:
            if command.verb == "PORT" and binding.endpoint.address.version == 4:
                return b"PORT " + wire.format_port(binding.endpoint)
            return b"EPRT " + wire.format_eprt(binding.endpoint)
        self._pipeline.answered_here(command, refusal)
        return None

    async def _bind_for_server(self, command: wire.Command) -> Binding:
        parse = wire.parse_port if command.verb == "PORT" else wire.parse_eprt
        target = parse(command.argument)
        peer = self.flow.client.peer.address
        if target.address.version != peer.version:
            raise wire.FamilyError(f"use the network protocol of this connection ({1 if peer.version == 4 else 2})")
        if target.address != peer and self.config.foreign_active is ForeignAddress.PEER:
            target = Endpoint(peer, target.port)
        return await self._expect(Side.SERVER, target, command, announced_by=command.verb)

    async def _expect(self, origin: Side, target: Endpoint, command: wire.Command, *, announced_by: str) -> Binding:
        """Listen for the next data connection; a listener for an earlier one is given up."""
        binding = await self.flow.expect(origin, target, announced_by=announced_by, lifetime=self.config.data_lifetime)
        if origin is Side.SERVER or command is self._latest:
            self._give_up()
            self._announced = command, binding
        else:
            binding.release()  # the client has sent another data command since, and the server has given this one up
        return binding

    def _give_up(self, command: wire.Command | None = None) -> None:
        """Stop listening for the data connection, or only if it was that command which asked for it."""
        if self._announced and (command is None or self._announced[0] is command):
            self._announced[1].release()
            self._announced = None

    # From the server: replies.

    async def from_server(self, stream: Stream) -> None:
        """Send replies on, and announce our own endpoints in those to PASV and EPSV."""
        async for raw in stream.lines(self.config.max_reply_line):
            line = wire.split_line_end(raw, "server")
            code, single = wire.parse_reply(line)
            command = self._pipeline.awaited
            if command and code in _PASSIVE_REPLIES and not command.asks_for(code):
                command = self._find_passive(command, code)
            if command is None and code != 421:  # RFC 959 section 5.4: 421 may come at any time
                await self._drop_unsolicited(stream, line, code, single)
                continue
            verb = command.verb if command else ""
            if command and (self._is_ours(command, code) or self._rules.reply(verb, code) is not Verdict.ACCEPT):
                lines = [line] if single else await self._read_rest(stream, line, code)
                stream.send(await self._treat_reply(command, code, lines))
            else:
                stream.send(line + wire.LINE_END)
                if not single:
                    await self._pass_rest(stream, code)
            if command and code >= 200:
                self._settle(command, code)
        self.flow.close()

    def _find_passive(self, command: wire.Command, code: int) -> wire.Command:
        """The command that a 227 or 229 answers, where the server owes replies to those before it.

        Some answer RETR and ABOR together with one reply. If a PASV is waiting, this is its reply, or the client would
        be told where the server listens; the target is judged like any other.
        """
        if not self._pipeline.skip_to(lambda waiting: waiting.asks_for(code)):
            return command
        self.flow.log("reply_missing", f"the server sent {code} and owes the reply to {command.verb}", {"code": code})
        return self._pipeline.awaited or command

    def _is_ours(self, command: wire.Command, code: int) -> bool:
        """Whether the reply is one that we rewrite."""
        return command.asks_for(code) or (command.verb, code) == ("FEAT", 211)

    async def _pass_rest(self, stream: Stream, code: int) -> None:
        """Send the further lines of a reply on as they come."""
        async for raw in stream.lines(self.config.max_reply_line):
            line = wire.split_line_end(raw, "server")
            stream.send(line + wire.LINE_END)
            if wire.is_last_line(line, code):
                return

    async def _read_rest(self, stream: Stream, first: bytes, code: int) -> list[bytes]:
        """Read a reply to its end."""
        lines = [first]
        async for raw in stream.lines(self.config.max_reply_line):
            lines.append(wire.split_line_end(raw, "server"))
            if wire.is_last_line(lines[-1], code):
                return lines
            if len(lines) >= self.config.max_reply_lines:
                raise ProtocolError(
                    f"the server sent a reply of more than {self.config.max_reply_lines} lines", reason="reply_too_long"
                )
        raise ProtocolError("the server ended inside a reply", reason="truncated")

    async def _drop_unsolicited(self, stream: Stream, line: bytes, code: int, single: bool) -> None:
        """A reply to nothing is no reply: the first is dropped, the second ends the session."""
        self._unsolicited += 1
        if self._unsolicited > 1:
            raise ProtocolError("the server answers what nobody asked", reason="unsolicited_reply")
        if not single:
            await self._read_rest(stream, line, code)
        self.flow.log("unsolicited_reply", f"the server sent {code} to no command; dropped", {"code": code})

    async def _treat_reply(self, command: wire.Command, code: int, lines: list[bytes]) -> bytes:
        """Return the reply to send instead of one that is ours to write, or that a rule is about."""
        verb = command.verb
        verdict = self._rules.reply(verb, code)
        if verdict is Verdict.ABORT or (verdict is Verdict.REJECT and code < 200):
            raise PolicyError(f"{code} to {verb} ends the session, by rule", reason="reply_refused")
        if verdict is Verdict.REJECT:
            self._give_up(command)
            self.flow.log("reply_refused", f"{code} to {verb} is refused by policy", {"command": verb, "code": code})
            return wire.format_reply(550, "The reply is refused by policy.")
        if verb == "FEAT":
            return edit_features(lines, hidden=self._hides, added=self.config.add_features)
        return await self._announce_to_client(command, lines)

    def _hides(self, feature: str) -> bool:
        hidden = feature in NOT_OFFERED or self.config.hides(feature)
        return hidden or self._rules.command(feature) is not Verdict.ACCEPT

    async def _announce_to_client(self, command: wire.Command, lines: list[bytes]) -> bytes:
        """Return the 227 or 229 reply to send instead; 425 if there is no endpoint to announce."""
        try:
            target = self._passive_target(command.verb, lines)
            binding = await self._expect(Side.CLIENT, target, command, announced_by=lines[-1][:3].decode("ascii"))
        except BindError:  # recorded by `expect`, as is the next, in words that the client shall not read
            return wire.format_reply(425, _NO_PORT)
        except PolicyError:
            return wire.format_reply(425, _NOT_USABLE)
        except ProtocolError as error:
            self.flow.log(error.reason, f"{command.verb}: {error}", {"command": command.verb, "code": 425})
            return wire.format_reply(425, _NOT_USABLE)
        if command.verb == "PASV":
            return wire.format_passive(binding.endpoint)
        return wire.format_extended_passive(binding.endpoint.port)

    def _passive_target(self, verb: str, lines: list[bytes]) -> Endpoint:
        peer = self.flow.server.peer.address
        if verb == "EPSV":
            port = wire.parse_extended_passive(lines)
            if port is None:
                raise ProtocolError("the server's reply to EPSV holds no port", reason="bad_endpoint")
            return Endpoint(peer, port)
        target = wire.parse_passive(lines)
        if target is None:
            raise ProtocolError("the server's reply to PASV holds no address", reason="bad_endpoint")
        if target.address != peer and self.config.foreign_passive is ForeignAddress.PEER:
            self.flow.log(
                "third_party_address",
                f"227 names {target.address}; the server's own address is taken instead",
                {"command": verb, "target": target},
            )
            return Endpoint(peer, target.port)
        return target

    def _settle(self, command: wire.Command, code: int) -> None:
        """A command has its last reply."""
        if code >= 400:
            self._give_up(command)  # the server will not come
            if command.is_epsv_all:
                self._only_epsv = False
        self._pipeline.answered()
