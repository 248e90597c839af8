"""Many handshakes leave nothing behind; `python -m tests.relay.handshakes` does ten thousand of them."""

from __future__ import annotations

from tests.conftest import Run
from tests.relay.handshakes import repeat


def test_handshakes_leave_nothing(run: Run) -> None:
    """200 sessions with TLS on both legs, every fourth broken off: descriptors, tasks, leases and sessions are back."""
    ((_, left),) = run(repeat(200))
    assert left
