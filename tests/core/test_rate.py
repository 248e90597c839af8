"""The rate limit: a burst, then so many a second, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alg.core.rate import RateLimit


def test_a_burst_passes_and_one_more_does_not() -> None:
    """At one moment, exactly as many as the burst."""
    limit = RateLimit(10, burst=3)
    assert [limit.admit(5.0) for _ in range(5)] == [True, True, True, False, False]


def test_time_brings_admissions_back() -> None:
    """Ten a second: one after a tenth of a second, never more than the burst."""
    limit = RateLimit(10, burst=2)
    assert [limit.admit(0.0) for _ in range(3)] == [True, True, False]
    assert [limit.admit(0.125) for _ in range(2)] == [True, False]
    assert [limit.admit(1000.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_admits_nothing() -> None:
    """A monotonic clock does not, but a wrong one must not open the gate."""
    limit = RateLimit(10, burst=1)
    assert [limit.admit(now) for now in (100.0, 50.0, 50.05)] == [True, False, False]


@given(st.lists(st.floats(0, 60), max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_never_more_than_the_rate_and_one_burst(times: list[float], per_second: int, burst: int) -> None:
    """Over any stretch: at most its seconds times the rate, and the burst."""
    limit = RateLimit(per_second, burst=burst)
    times.sort()
    admitted = sum(limit.admit(now) for now in times)
    assert not times or admitted <= (times[-1] - times[0]) * per_second + burst + 1e-6
