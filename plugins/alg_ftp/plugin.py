"""The FTP plugin: what becomes of each command and each reply. The grammar is in `wire`, the settings are in `config`,
what the parts share in `control`; data connections, TLS, transfers and the choice of a server have files of their own.

An address counts only in the reply to a command of ours (RFC 959, RFC 2428; the reasons are in RFC 2577).
"""

from __future__ import annotations

from alg.plugin import (
    AlgError,
    BindError,
    ConnectError,
    Need,
    PolicyError,
    ProtocolError,
    Stream,
    StreamPlugin,
    Verdict,
)
from alg_ftp import modes, protection, wire
from alg_ftp.config import FtpConfig, Profile
from alg_ftp.control import Control, Pending
from alg_ftp.data import Data
from alg_ftp.features import edit_features, offers_tls
from alg_ftp.login import Login
from alg_ftp.protection import FEATURES, Protection, tls_refusal
from alg_ftp.transfers import Transfers

# Commands whose data connection, or whose security, we could not follow. RFC 1639 (LPRT, LPSV) is about families that
# nobody uses; CPSV and SPSV are passive commands with rules of their own; of RFC 2228 only TLS is offered here.
NOT_OFFERED = frozenset(("LPRT", "LPSV", "CPSV", "SPSV", "SSCN", "ADAT", "MIC", "CONF", "ENC"))
_PASSIVE_REPLIES = frozenset((227, 229))
_NO_FEATURES = (500, 502)


class FtpPlugin(StreamPlugin[FtpConfig]):
    """Treats one FTP control connection."""

    name = "ftp"
    config_type = FtpConfig
    default_port = 21
    tls_scheme = ("ftps", 990)
    starts_tls = True
    alpn = ("ftp",)
    related_flows = True
    chooses_upstream = True

    def __init__(self, config: FtpConfig) -> None:
        super().__init__(config)
        self._unsolicited = 0
        self._control: Control
        self._protection: Protection
        self._transfers: Transfers
        self._data: Data

    def needs(self) -> frozenset[Need]:
        """CCC takes TLS off the control connection."""
        return frozenset((Need.STOP_TLS,)) if self.config.ccc else frozenset()

    def refusal(self, error: AlgError) -> bytes:
        """421, with a word on why (RFC 959 section 5.4: it may be sent at any time)."""
        if error.reason == "server_closes":
            return b""  # it has said so itself
        if (words := tls_refusal(error)) is not None:
            return words
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
        self._control = Control(self.config, self.flow, stream)
        self._protection = Protection(self._control)
        self._transfers = Transfers(self.flow)
        self._data = Data(self._control, self._protection, self._transfers)
        login: Login | None = None
        if self.flow.connected:
            await self._begin()
        else:
            login = Login(self._control, self._protection, self._refuse)
            first = await login.run()
            if first is None:
                self.flow.close()
                return
            self._control.forward(first)
        while (command := await self._control.read()) is not None:
            if login is not None and command.verb == "USER":
                command = login.again(command)
            if self._refuse(command) or (command.verb == "USER" and not self._control.admits(command)):
                continue
            if command.verb == "AUTH" and self._protection.passes:
                if await self._pass_tls(command):
                    return
            else:
                await self._treat(command)

    async def _begin(self) -> None:
        """The server's greeting, and TLS with it before anything else, where that is required."""
        if not self._protection.wants_server_tls:
            self._control.expect_greeting()
            return
        greeting = await self._control.ask_greeting()
        if greeting.good:
            await self._protection.secure_server()
        self._control.client.reply(greeting.to_bytes())
        if not greeting.good:
            self.flow.close()  # there is no TLS, and nothing goes on without

    async def _treat(self, command: wire.Command) -> None:
        if command.verb in modes.VERBS:
            await self._data.treat(command)
        elif command.verb in protection.VERBS and not self._protection.passes:
            agreed_on = self._protection.data_sides
            await self._protection.treat(command)
            if self._protection.data_sides != agreed_on:
                self._data.give_up()  # it was agreed on under another level
        elif command.verb == "ALGS":
            self._data.translate(command)
        else:
            if command.verb == "REIN":
                self._data.reset()
            if command.is_transfer:
                self._data.transfer()
                self._transfers.begun(command)
            self._control.forward(command)

    def _refuse(self, command: wire.Command) -> bool:
        """Answer a command ourselves if it shall not pass; return whether it was so."""
        control, verb = self._control, command.verb
        verdict = control.rules.command(verb, command.argument.decode("latin-1"))
        if verdict is Verdict.ABORT:
            raise PolicyError(f"{verb} ends the session, by rule", reason="command_refused")
        if verdict is Verdict.REJECT or (verb == "MDTM" and self._sets_time(command.argument)):
            control.refuse(command, 550, f"{verb} is refused by policy.", "command_refused")
        elif verb in NOT_OFFERED:
            control.refuse(command, 502, f"{verb} is not offered here.", "not_offered")
        elif self._protection.refuses(command):
            control.refuse(command, 530, "TLS is required: AUTH TLS comes first.", "tls_required")
        else:
            return False
        return True

    def _sets_time(self, argument: bytes) -> bool:
        """Whether MDTM writes: some servers take `MDTM YYYYMMDDHHMMSS file`."""
        stamp, _, name = argument.partition(b" ")
        return Profile.READ_ONLY in self.config.profiles and bool(name) and len(stamp) >= 14 and stamp[:14].isdigit()

    async def _pass_tls(self, command: wire.Command) -> bool:
        """AUTH where TLS is between client and server: once they agree on it, we are blind (RFC 6384 section 5).

        Return whether they have.
        """
        reply = self._control.judge_reply(command, await self._control.ask(command.line))
        agreed = 200 <= reply.code < 400
        if agreed:
            self._data.give_up()
            self.flow.log(
                "opaque",
                "TLS passes untouched from here on; data connections can no longer be helped",
                {"command": "AUTH", "code": reply.code},
            )
        self._control.answer(command, reply.to_bytes())
        if agreed:
            self.flow.splice()
        return agreed

    # From the server: replies.

    async def from_server(self, stream: Stream) -> None:
        """Send replies on; those to what we asked ourselves go to whoever asked."""
        try:
            await self._read_replies(stream)
            self.flow.close()
        finally:
            self._transfers.close()  # however the session has ended

    async def _read_replies(self, stream: Stream) -> None:
        async for raw in stream.lines(self.config.max_reply_line):
            line = wire.split_line_end(raw, "server")
            code, single = wire.parse_reply(line)
            pending = self._control.pipeline.awaited
            if pending and code in _PASSIVE_REPLIES and not pending.command.asks_for(code):
                pending = self._find_passive(pending, code)
            if pending is None and code != 421:  # RFC 959 section 5.4: 421 may come at any time
                await self._drop_unsolicited(stream, line, code, single)
            elif pending and (pending.question or self._is_ours(pending.command, code)):
                lines = [line] if single else await self._read_rest(stream, line, code)
                await self._settle(stream, pending, wire.Reply(code, tuple(lines)))
            else:
                stream.send(line + wire.LINE_END)
                if not single:
                    await self._pass_rest(stream, code)
                if pending:
                    self._heard(pending.command, wire.Reply(code, (line,)))

    async def _settle(self, stream: Stream, pending: Pending, reply: wire.Reply) -> None:
        """A reply that somebody waits for, that we edit, or that a rule is about."""
        if pending.question is not None:
            if pending.command.verb == "AUTH" and reply.code in protection.ACCEPTED and stream.buffered:
                # What comes in the clear behind it must never count as said under TLS.
                raise ProtocolError("the server says more before the TLS handshake", reason="bytes_before_tls")
            if reply.code >= 200:
                self._control.answered()
                await pending.question.tell(reply)
            return
        command = pending.command
        judged = self._control.judge_reply(command, reply)
        if judged is reply and command.verb == "FEAT":
            stream.send(self._features(reply))
        else:
            stream.send(judged.to_bytes())
        self._heard(command, reply)

    def _heard(self, command: wire.Command, reply: wire.Reply) -> None:
        """The client has got a reply to one of its commands."""
        if reply.code < 200:
            self._transfers.opening(command)
            return
        self._control.answered()
        self._transfers.answered(command, reply)
        if command.verb in ("USER", "PASS", "ACCT") and reply.code in (230, 232):
            self._control.logged_in = True
        elif command.verb == "REIN" and reply.good:
            self._control.logged_in = False

    def _find_passive(self, pending: Pending, code: int) -> Pending:
        """The command that a 227 or 229 answers, where the server owes replies to those before it.

        Some answer RETR and ABOR together with one reply. If a PASV is waiting, this is its reply, or the client would
        be told where the server listens; the target is judged like any other.
        """
        pipeline = self._control.pipeline
        if not pipeline.skip_to(lambda waiting: waiting.command.asks_for(code)):
            return pending
        verb = pending.command.verb
        self.flow.log("reply_missing", f"the server sent {code} and owes the reply to {verb}", {"code": code})
        return pipeline.awaited or pending

    def _is_ours(self, command: wire.Command, code: int) -> bool:
        """Whether the reply is one that we edit, or that a rule is about."""
        features = command.verb == "FEAT" and (
            code == 211 or (code in _NO_FEATURES and self._protection.offers_by_itself)
        )
        return features or self._control.is_ruled(command, code)

    def _features(self, reply: wire.Reply) -> bytes:
        """The reply to FEAT, so that it offers what there is here, and nothing else (RFC 2389 section 3.2)."""
        lines: tuple[bytes, ...] = reply.lines if reply.code == 211 else (b"211 No features",)
        added = list(self.config.add_features)
        if self._protection.offers_by_itself or (self._protection.offered and offers_tls(lines)):
            added = [*FEATURES, *(("CCC",) if self.config.ccc else ()), *added]
        return edit_features(lines, hidden=self._hides, added=added)

    def _hides(self, feature: str) -> bool:
        if feature in protection.VERBS and not self._protection.passes:
            return True  # those of the server are for us
        hidden = feature in NOT_OFFERED or self.config.hides(feature)
        return hidden or self._control.rules.command(feature) is not Verdict.ACCEPT

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
