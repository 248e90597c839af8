"""`Exchange`: one request with the answer to it, and how far each has come. It holds facts; who acts on them is `plugin`."""

from __future__ import annotations

from dataclasses import dataclass, field

from alg.plugin import Promise
from alg_http.framing import Body
from alg_http.handshake import Offer
from alg_http.heads import Request
from alg_http.mapping import Ends
from alg_http.rules import Rule
from alg_http.websocket import WebSocket


@dataclass(slots=True)
class Exchange:
    """One request and its answer. `request` is what the client said, `sent` what the server was told."""

    request: Request
    sent: Request
    ends: Ends
    body: Body
    rule: Rule | None
    """Where the answer may hold addresses."""
    offer: Offer | None = None
    """The WebSocket that the client asks for."""
    persistent: bool = True
    """Whether the client's connection lives on after it."""
    uploaded: bool = False
    """Whether the whole request has been sent on."""
    answered: bool = False
    """Whether a byte of the final answer has been sent to the client."""
    informed: int = 0
    """How many answers like 100 the server has given so far."""
    over: Promise[WebSocket | None] = field(default_factory=Promise)
    """Kept when the answer is complete: with the WebSocket that follows, if its frames are read."""
