"""The reply to FEAT (RFC 2389 section 3.2), edited so that it offers what passes through here, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from alg_ftp.wire import LINE_END

_TLS = re.compile(rb" *AUTH .*\b(?:TLS|SSL)", re.IGNORECASE)


def edit_features(lines: Sequence[bytes], *, hidden: Callable[[str], bool], added: Iterable[str]) -> bytes:
    """Return the reply with line ends: lines whose first word is hidden are out, others pass as they are.

    `lines` is the whole 211 reply, `added` are further features, e.g. `MLST type*;size*;`.
    """
    features = [line for line in lines[1:-1] if not hidden(_first_word(line))]
    features += [b" " + feature.encode("ascii") for feature in added]
    if len(lines) == 1 and not features:
        return lines[0] + LINE_END
    first = lines[0] if len(lines) > 1 else b"211-Features:"
    last = lines[-1] if len(lines) > 1 else b"211 End"
    return LINE_END.join((first, *features, last, b""))


def offers_tls(lines: Sequence[bytes]) -> bool:
    """Whether the server has TLS for those who ask for it: `AUTH TLS`, `AUTH TLS-C;SSL`, and not `AUTH GSSAPI`."""
    return any(_TLS.match(line) for line in lines[1:-1])


def _first_word(line: bytes) -> str:
    word, _, _ = line.strip(b" ").partition(b" ")
    return word.decode("ascii", "replace").upper()
