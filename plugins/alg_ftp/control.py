"""`Control`: the control connection as the parts of the plugin share it: what is sent on, what is answered here, and what
is asked of the server on our own account. Which bytes are commands and replies is in `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass

from alg.plugin import AlgError, Flow, Pipeline, PolicyError, Promise, ProtocolError, RateLimit, Stream, Verdict
from alg_ftp import wire
from alg_ftp.config import FtpConfig

GREETING = wire.Command("", b"", b"")
"""Stands for what the server's first reply answers: the connection itself."""


class Question:
    """What was asked on our own account: whoever asked gets the reply, and the client does not.

    Nothing that the server says behind its reply is read before that is dealt with, so our replies keep their order, and
    nobody takes for protected what was said before a handshake.
    """

    def __init__(self) -> None:
        self._reply = Promise[wire.Reply]()
        self._done = Promise[None]()

    async def tell(self, reply: wire.Reply) -> None:
        """Here is the reply; wait until it is dealt with."""
        self._reply.keep(reply)
        await self._done

    async def hear(self) -> wire.Reply:
        """Wait for the reply."""
        return await self._reply

    def done(self) -> None:
        """All that had to be said about the reply has been said."""
        self._done.keep(None)


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that waits for its reply."""

    command: wire.Command
    question: Question | None = None


class Control:
    """Both legs of one control connection."""

    def __init__(self, config: FtpConfig, flow: Flow, client: Stream) -> None:
        self.config = config
        self.rules = config.effective_rules()
        self.flow = flow
        self.client = client
        self.pipeline: Pipeline[Pending] = Pipeline(client.reply, limit=config.max_outstanding)
        self._question: Question | None = None
        """What was asked last."""
        self._quiet: Promise[None] | None = None
        self._rate = RateLimit(config.command_rate, burst=2 * config.command_rate)
        self.logged_in = False

    async def read(self) -> wire.Command | None:
        """Read the client's next command; None at the end. What was asked for the one before is dealt with."""
        self.go_on()
        async for raw in self.client.lines(self.config.max_command_line):
            line = wire.split_line_end(raw, "client")
            if not line:
                continue  # servers differ in whether an empty line gets a reply
            command = wire.parse_command(line)
            if not self._rate.admit(self.flow.now):
                raise ProtocolError(f"more than {self.config.command_rate} commands a second", reason="command_rate")
            return command
        return None

    # To the server.

    def expect_greeting(self) -> None:
        """The server's greeting is for the client."""
        self.pipeline.forwarded(Pending(GREETING))

    async def ask_greeting(self) -> wire.Reply:
        """Wait for the server's greeting, which is not for the client.

        Raises:
            AlgError: the server closes the connection with it (421).
        """
        return await self._ask(GREETING)

    def forward(self, command: wire.Command) -> None:
        """A command goes on as it is; the reply is for the client."""
        self.pipeline.forwarded(Pending(command))
        self.client.send(command.line + wire.LINE_END)

    async def ask(self, line: bytes) -> wire.Reply:
        """Send a command of our own; its final reply comes back, and not to the client.

        Raises:
            AlgError: the server closes the connection with it (421).
        """
        return await self._ask(wire.parse_command(line))

    async def _ask(self, command: wire.Command) -> wire.Reply:
        self.go_on()
        self._question = Question()
        self.pipeline.forwarded(Pending(command, self._question))
        if command is not GREETING:
            self.client.send(command.line + wire.LINE_END)
        reply = await self._question.hear()
        if reply.code == 421:
            self.client.reply(reply.to_bytes())
            raise AlgError("the server closes the connection", reason="server_closes")
        return reply

    def go_on(self) -> None:
        """The reply to the last question is dealt with: what the server says next may be read."""
        if self._question is not None:
            self._question.done()
            self._question = None

    def answered(self) -> None:
        """The server's last reply to the oldest command has come."""
        self.pipeline.answered()
        if self._quiet is not None and not self.pipeline:
            self._quiet.keep(None)

    async def catch_up(self) -> None:
        """Wait until the server has answered all that the client said before."""
        if self.pipeline:
            self.go_on()
            self._quiet = Promise[None]()
            await self._quiet

    # To the client.

    def answer(self, command: wire.Command, reply: bytes) -> None:
        """A command is answered here, in its turn."""
        self.pipeline.answered_here(Pending(command), reply)

    def reply(self, command: wire.Command, code: int, text: str) -> None:
        """As `answer`, with a line of ours. Nothing is recorded: all is well."""
        self.answer(command, wire.format_reply(code, text))

    def refuse(self, command: wire.Command, code: int, text: str, reason: str) -> None:
        """As `reply`, and record it under that reason."""
        self.flow.log(reason, f"{command.verb}: {code} {text}", {"command": command.verb, "code": code})
        self.reply(command, code, text)

    # Rules.

    def admits(self, command: wire.Command) -> bool:
        """Whether that USER may log in; if not, it is refused."""
        if len(command.argument) > self.config.max_user:
            self.refuse(command, 501, "The user name is too long.", "user_too_long")
        elif not self.config.admits(command.argument):
            self.refuse(command, 530, "This user may not log in here.", "user_refused")
        else:
            return True
        return False

    def is_ruled(self, command: wire.Command, code: int) -> bool:
        """Whether a rule is about that reply."""
        return self.rules.reply(command.verb, code) is not Verdict.ACCEPT

    def judge_reply(self, command: wire.Command, reply: wire.Reply) -> wire.Reply:
        """The reply, or ours in its place.

        Raises:
            PolicyError: a rule ends the session.
        """
        verb, code = command.verb, reply.code
        verdict = self.rules.reply(verb, code)
        if verdict is Verdict.ABORT or (verdict is Verdict.REJECT and code < 200):
            raise PolicyError(f"{code} to {verb} ends the session, by rule", reason="reply_refused")
        if verdict is Verdict.ACCEPT:
            return reply
        self.flow.log("reply_refused", f"{code} to {verb} is refused by policy", {"command": verb, "code": code})
        return wire.Reply(550, (b"550 The reply is refused by policy.",))

    def refuse_ahead(self, what: str) -> None:
        """Refuse what the client said ahead of a TLS handshake: it must never count as said within it.

        Raises:
            ProtocolError: there is something.
        """
        if self.client.buffered:
            raise ProtocolError(
                f"the client sent {self.client.buffered} bytes behind {what}, before the TLS handshake",
                reason="bytes_before_tls",
            )
