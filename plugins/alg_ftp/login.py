"""`Login`: where the client chooses its server: what it may say before there is one, and the connection to it.

It chooses by `USER name@host[:port]`, by `OPEN host [port]`, `SITE OPEN …` or `HOST host` (RFC 7151) before USER, or by
the name that it asks for in its TLS handshake (RFC 6066). Whether it may go there is for the host to judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from alg.plugin import ConnectError, PolicyError, Side
from alg_ftp import wire
from alg_ftp.control import Control
from alg_ftp.features import edit_features
from alg_ftp.protection import FEATURES, VERBS, Protection

_PORT = 21
_TARGET = re.compile(
    rb"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9][A-Za-z0-9._-]{0,252}))(?:[: ](?P<port>[0-9]{1,5}))?"
)


class Login:
    """The beginning of a session without a server."""

    def __init__(self, control: Control, protection: Protection, refuse: Callable[[wire.Command], bool]) -> None:
        """`refuse` answers what the rules, or a requirement of TLS, let nobody say; it returns whether it did."""
        self._control = control
        self._refuse = refuse
        self._protection = protection
        self._flow = control.flow
        self._chosen: tuple[str, int] | None = None
        self._connected: tuple[str, int] | None = None

    async def run(self) -> wire.Command | None:
        """Talk with the client until there is a server; return the USER command for it, or None if the client is gone."""
        self._control.client.reply(wire.format_reply(220, "Log in as USER@HOST or USER@HOST:PORT."))
        while (command := await self._control.read()) is not None:
            if self._refuse(command):
                continue
            if command.verb == "USER":
                if (forwarded := await self._user(command)) is not None:
                    return forwarded
            elif command.verb in VERBS:
                await self._protection.treat(command)
            elif command.verb == "QUIT":
                self._control.reply(command, 221, "Goodbye.")
                self._flow.close()
                return None
            else:
                self._answer(command)
        return None

    def _answer(self, command: wire.Command) -> None:
        verb, argument = command.verb, command.argument
        if verb == "SITE" and argument.upper().startswith(b"OPEN "):
            verb, argument = "OPEN", argument[5:].strip(b" ")
        if verb in ("OPEN", "HOST"):
            target = _parse_target(argument)
            if target is None:
                self._control.refuse(command, 501, f"{verb} takes HOST or HOST:PORT.", "bad_target")
                return
            self._chosen = target
            self._control.reply(command, 220, "Log in now.")
        elif verb == "FEAT":
            features = [*(FEATURES if self._protection.offered else ()), "EPRT", "EPSV", "UTF8"]
            self._control.answer(command, edit_features([b"211 No features"], hidden=lambda _: False, added=features))
        elif verb in ("NOOP", "OPTS"):
            self._control.reply(command, 200, f"{verb} command successful.")
        elif verb == "SYST":
            self._control.reply(command, 215, "UNIX Type: L8")
        else:
            self._control.refuse(command, 530, "Log in first, as USER@HOST.", "no_upstream")

    async def _user(self, command: wire.Command) -> wire.Command | None:
        """Connect to the server that the client names; None if it has to try again."""
        user, at, host = command.argument.rpartition(b"@")
        target = _parse_target(host) if at else self._chosen or self._asked_for
        if target is None:
            self._control.refuse(command, 530, "Which server? Log in as USER@HOST.", "no_upstream")
            return None
        forwarded = wire.parse_command(b"USER " + (user if at else command.argument))
        if not self._control.admits(forwarded):
            return None
        try:
            await self._flow.connect(*target)
        except PolicyError:  # recorded by the host, as is the next
            self._control.reply(command, 530, "This server is not allowed.")
            return None
        except ConnectError:
            self._control.reply(command, 530, "The server cannot be reached; try again later.")
            return None
        self._connected = target
        return await self._greet(command, forwarded)

    async def _greet(self, command: wire.Command, forwarded: wire.Command) -> wire.Command | None:
        """Hear the server's greeting, and see to TLS: it is on where the client has it, and where it is required."""
        greeting = await self._control.ask_greeting()
        if not greeting.good:
            self._control.answer(command, greeting.to_bytes())
            self._flow.close()
            return None
        if self._protection.wants_server_tls:
            await self._protection.secure_server()
        return forwarded

    def again(self, command: wire.Command) -> wire.Command:
        """USER once more, as the server knows that user: without the name of the server itself."""
        user, at, host = command.argument.rpartition(b"@")
        if at and _parse_target(host) == self._connected:
            return wire.parse_command(b"USER " + user)
        return command

    @property
    def _asked_for(self) -> tuple[str, int] | None:
        tls = self._flow.leg(Side.CLIENT).tls
        return (tls.server_name, _PORT) if tls and tls.server_name else None


def _parse_target(text: bytes) -> tuple[str, int] | None:
    match = _TARGET.fullmatch(text)
    if not match:
        return None
    port = int(match["port"] or _PORT)
    host = (match["six"] or match["host"]).decode("ascii")
    return (host, port) if 1 <= port <= 65535 else None
