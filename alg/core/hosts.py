"""Hosts that a client asks for by text: a literal address in our strict grammar, or a name that no resolver can take for
an address. What is neither never gets as far as a resolver.
"""

from __future__ import annotations

import re

from alg.core.addresses import parse_address
from alg.core.errors import ProtocolError

MAX_HOST = 253
"""The longest host name, in bytes: that of a DNS name written as text (RFC 1035 2.3.4)."""

# What DNS names of hosts are made of, and the underscore that people use all the same; the dot at the end is the root's.
_NAME = re.compile(rb"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
# No top-level domain is a number (RFC 3696 2), but `inet_aton` takes such texts for addresses: 127.1, 2130706433, 0x7f.1.
_NUMERIC = re.compile(rb"(?:.*\.)?(?:[0-9]+|0[Xx][0-9A-Fa-f]*)")


def is_numeric(name: bytes) -> bool:
    """Whether some resolver could take the name for an IPv4 address, in whatever form."""
    return _NUMERIC.fullmatch(name) is not None


def parse_host(text: bytes) -> str:
    """Return the host that the text names: the canonical form of a literal address, or a host name as it was written.

    Raises:
        ProtocolError: it is neither (reason `bad_host`): it is empty or too long, holds blanks, NUL, brackets or what is
            not ASCII, or looks like an address without being one (`127.1`, `010.0.0.1`, `0x7f.1`).
    """
    try:
        return str(parse_address(text))
    except ProtocolError:
        pass
    if len(text) <= MAX_HOST and _NAME.fullmatch(text) and not is_numeric(text.removesuffix(b".")):
        return text.decode("ascii")
    raise ProtocolError(f"neither a host name nor an address: {text[:60]!a}", reason="bad_host")
