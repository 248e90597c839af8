"""Reasons: the words by which records are counted and filtered. Which of them tell of a refusal, and how text that a
peer had a hand in is made fit for a line.
"""

from __future__ import annotations

_ORDINARY = frozenset(
    ("rewrite", "watch", "session_open", "session_close", "flow_open", "flow_close", "upstream_open", "transfer")
)


def is_refusal(reason: str) -> bool:
    """Whether a reason is that of a refusal, and no ordinary event."""
    return reason not in _ORDINARY


def printable(text: str, limit: int = 500) -> str:
    """Return the text in printable ASCII, cut to `limit` characters; all else becomes a backslash escape."""
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in escaped)
