"""`MessagesLayer`: shows what passes on two legs as a TCP flow of mitmproxy, one message for each unit that is sent, and
asks all addons: each may change or drop a message, or end the flow. What fails at that ends it too.
"""

from __future__ import annotations

from mitmproxy.flow import Error
from mitmproxy.tcp import TCPFlow, TCPMessage

from alg.core.errors import AlgError, PolicyError
from alg.core.model import Side
from alg.mitm import compat
from alg.mitm.compat import Context, commands
from alg.mitm.legs import LegsLayer
from alg.mitm.tunnels import Commands


class MessagesLayer(LegsLayer):
    """Two legs and the flow that is shown of them; `error` says why it ended, if that was no orderly end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.flow = TCPFlow(context.client, context.server, live=True)
        self.error: AlgError | None = None

    def _show_start(self) -> Commands:
        yield from self._trigger(compat.TcpStartHook(self.flow))

    def _send(self, side: Side, data: bytes) -> Commands:
        """Show a message, and send what other addons leave of it."""
        message = TCPMessage(side is Side.SERVER, data)
        self.flow.messages.append(message)
        yield from self._trigger(compat.TcpMessageHook(self.flow))
        if not isinstance(message.content, bytes):
            raise PolicyError(f"an addon left {type(message.content).__name__}, not bytes", reason="hook_failed")
        if message.content:
            yield from self._write(side, message.content)

    def _trigger(self, hook: commands.StartHook) -> Commands:
        """Have addons judge something. One that raises, or that kills the flow, ends it (mitmproxy itself goes on)."""
        compat.forget_failures()
        yield hook
        if compat.hook_failed():
            raise PolicyError(
                f"an addon failed in {hook.name}: nothing passes that nobody judged", reason="hook_failed"
            )
        self._refuse_killed()

    def _refuse_killed(self) -> None:
        if self.flow.error is not None and self.flow.error.msg == Error.KILLED_MESSAGE and self.error is None:
            raise PolicyError("the flow was killed", reason="killed")

    def _show_end(self) -> Commands:
        self.flow.live = False
        if self.error is not None and self.flow.error is None:
            self.flow.error = Error(str(self.error))
        yield compat.TcpErrorHook(self.flow) if self.error is not None else compat.TcpEndHook(self.flow)
