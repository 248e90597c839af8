"""Which reasons tell of a refusal, and how a peer's text is made fit for a line."""

from __future__ import annotations

from alg.core.reasons import is_refusal, printable


def test_refusals() -> None:
    """All but the ordinary ones."""
    assert not is_refusal("rewrite")
    assert not is_refusal("watch")
    assert is_refusal("third_party_address")
    assert is_refusal("a word that nobody knows")


def test_printable() -> None:
    """What is printable ASCII stays; all else is escaped; the length has a bound, at it and one above."""
    assert printable("a b~") == "a b~"
    assert printable("\r\n\0\x7f\xe4\u2028") == "\\x0d\\x0a\\x00\\x7f\\xe4\\u2028"
    assert printable("x" * 500) == "x" * 500
    assert printable("x" * 501) == "x" * 500
