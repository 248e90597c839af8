"""The budget: at each limit and one above it, and that what was taken is given back."""

from __future__ import annotations

import pytest

from alg.core.addresses import parse_address
from alg.core.errors import BindError
from alg.relay.budget import Budget
from alg.settings import Limits

ANN, BOB = parse_address("10.0.0.1"), parse_address("10.0.0.2")


def budget(descriptors: int = 10_000, *, sessions: int = 100, sessions_per_client: int = 100) -> Budget:
    """A budget with that many descriptors for sessions."""
    return Budget(Limits(sessions, sessions_per_client, reserved_descriptors=0), descriptors)


@pytest.mark.parametrize("related_flows", [True, False])
def test_sessions_at_the_limit_and_one_above(related_flows: bool) -> None:
    """The last session is admitted, the next refused; when one leaves there is room again."""
    each = budget(sessions=2)
    share = each.admit(ANN, related_flows=related_flows)
    each.admit(BOB, related_flows=related_flows)
    with pytest.raises(BindError, match="2 sessions are open, the limit") as caught:
        each.admit(BOB, related_flows=related_flows)
    assert caught.value.reason == "too_many_sessions"
    each.leave(ANN, share)
    each.admit(BOB, related_flows=related_flows)


def test_sessions_of_a_client_at_the_limit_and_one_above() -> None:
    """One client's sessions are counted apart from another's."""
    each = budget(sessions_per_client=1)
    share = each.admit(ANN, related_flows=False)
    with pytest.raises(BindError, match=r"10\.0\.0\.1 has 1 sessions open") as caught:
        each.admit(ANN, related_flows=False)
    assert caught.value.reason == "too_many_sessions_of_client"
    each.admit(BOB, related_flows=False)
    each.leave(ANN, share)
    each.admit(ANN, related_flows=False)


@pytest.mark.parametrize(("related_flows", "sessions"), [(True, 4), (False, 7)])
def test_descriptors_at_the_limit_and_one_above(related_flows: bool, sessions: int) -> None:
    """Of 14 descriptors, sessions with related flows are counted three each, others two."""
    each = budget(16)
    assert (each.descriptors, each.pipes) == (14, 1)
    for _ in range(sessions):
        each.admit(ANN, related_flows=related_flows)
    with pytest.raises(BindError) as caught:
        each.admit(ANN, related_flows=related_flows)
    assert caught.value.reason == "no_descriptors"


def test_related_flows_take_what_is_left() -> None:
    """A related flow is refused when its two descriptors are not there, and served when they are again."""
    each = budget(16)
    share = each.admit(ANN, related_flows=True)
    for _ in range(6):
        each.take_related()
    with pytest.raises(BindError, match="no descriptors are left") as caught:
        each.take_related()
    assert caught.value.reason == "no_descriptors"
    with pytest.raises(BindError):
        each.admit(BOB, related_flows=True)
    each.give_related()
    each.take_related()
    for _ in range(6):
        each.give_related()
    each.leave(ANN, share)
    assert (each.used, each.sessions) == (0, 0)


def test_fewer_descriptors_than_are_reserved() -> None:
    """A system with next to no descriptors admits nobody, and does not fail."""
    each = Budget(Limits(), 10)
    with pytest.raises(BindError):
        each.admit(ANN, related_flows=False)
