"""What fails without any gateway, and why: cells that a gateway need not mend.

`python -m tests.peers.tls --gateway direct` makes these transfers too; one that works makes it fail,
so the list stays honest.
"""

from __future__ import annotations

from .plan import Pattern

KNOWN: tuple[Pattern, ...] = ()
