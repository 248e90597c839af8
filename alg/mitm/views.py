"""The content view of control channels: what a unit of their protocol says, as printable text. One pure
`render`, and what mitmproxy 11 and 12 each want around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mitmproxy import contentviews, flow

NAME = "ALG"


def render(data: bytes) -> str:
    """What a unit of a line-based protocol says, in printable text: each line for itself, without its line end."""
    lines = data.decode("utf-8", "backslashreplace").splitlines()
    return "\n".join("".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in line) for line in lines)


def is_ours(seen: flow.Flow | None) -> bool:
    """Whether a flow is a control channel of ours; the data of others is shown as mitmproxy would."""
    return seen is not None and seen.metadata.get("alg", {}).get("role") in ("control", "related")


if hasattr(contentviews, "Contentview"):

    class View(contentviews.Contentview):  # type: ignore[name-defined,misc] # of 12
        """For mitmproxy 12."""

        name = NAME

        def prettify(self, data: bytes, metadata: Any) -> str:  # noqa: ARG002 - as mitmproxy calls it
            """The text."""
            return render(data)

        def render_priority(self, data: bytes, metadata: Any) -> float:  # noqa: ARG002
            """Ours or not."""
            return 2 if is_ours(metadata.flow) else -1

else:

    class View(contentviews.View):  # type: ignore[no-redef] # of 11
        """For mitmproxy 11."""

        name = NAME

        def __call__(self, data: bytes, **_: Any) -> tuple[str, Iterator[list[tuple[str, str | bytes]]]]:
            """A description and the lines."""
            return NAME, iter([("text", line)] for line in render(data).splitlines())

        def render_priority(self, data: bytes, **metadata: Any) -> float:  # noqa: ARG002
            """Ours or not."""
            return 2 if is_ours(metadata.get("flow")) else 0


_view = View()


def add() -> None:
    """Make the view known."""
    remove()
    contentviews.add(_view)


def remove() -> None:
    """Take it away again, where that can be done."""
    if not hasattr(contentviews, "Contentview") and (known := contentviews.get(NAME)) is not None:
        contentviews.remove(known)
