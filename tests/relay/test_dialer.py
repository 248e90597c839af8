"""Dialling: the first target that answers, within one deadline for all; every target is judged; given up means silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from alg.core.addresses import Address, parse_address
from alg.core.errors import AlgError
from alg.core.model import Endpoint
from alg.core.policy import Gate, LeaseLimits
from alg.relay.budget import Budget
from alg.relay.dialer import Dial
from alg.relay.poller import make_watcher
from alg.relay.timeouts import Timeouts
from alg.settings import Limits
from tests.conftest import Run
from tests.relay.peers import CLIENT, OTHER, SERVER, Host, silent_host


class Counting(Budget):
    """A budget that knows how much was used at most."""

    most = 0

    def take_descriptor(self) -> None:
        """Take one."""
        super().take_descriptor()
        self.most = max(self.most, self.used)


class Outcome:
    """What became of one attempt; it closes what it opened."""

    def __init__(
        self,
        targets: Sequence[Endpoint],
        *,
        source: Address | None = None,
        seconds: float = 5.0,
        gate: Gate | None = None,
        descriptors: int = 1000,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.watcher = make_watcher(loop)
        self.timeouts = Timeouts(loop, seconds)
        self.result: asyncio.Future[Endpoint | AlgError] = loop.create_future()
        self.calls = 0
        self.local = ""
        self.budget = Counting(Limits(), descriptors)
        self.dial = Dial(
            loop,
            self.watcher,
            gate or Gate(LeaseLimits()),
            self.budget,
            targets,
            source=lambda _: source,
            timeouts=self.timeouts,
            on_connected=self._connected,
            on_failed=self._failed,
        )

    def _connected(self, sock: socket.socket, target: Endpoint) -> None:
        self.calls += 1
        self.local = sock.getsockname()[0]
        self.watcher.forget(sock.fileno())
        sock.close()
        self.result.set_result(target)

    def _failed(self, error: AlgError) -> None:
        self.calls += 1
        self.result.set_result(error)

    async def error(self) -> AlgError:
        """The failure."""
        found = await self.end()
        assert isinstance(found, AlgError), found
        return found

    async def end(self) -> Endpoint | AlgError:
        """Wait for the outcome; nobody is called a second time."""
        found = await self.result
        await asyncio.sleep(0)
        assert self.calls == 1
        self.stop()
        return found

    def stop(self) -> None:
        """Close what it has."""
        self.timeouts.close()
        self.watcher.close()


def nobody() -> Endpoint:
    """Where nothing listens."""
    with Host(OTHER) as gone:
        return gone.endpoint


def test_first_target_that_answers_is_taken(run: Run) -> None:
    """A target that refuses is passed over at once."""

    async def work() -> None:
        with Host(SERVER) as host:
            assert await Outcome([nobody(), host.endpoint]).end() == host.endpoint

    run(work())


def test_silent_target_leaves_time_for_the_next(run: Run) -> None:
    """F08: a target that does not answer costs its share of the time, and the next one is still reached."""

    async def work() -> None:
        with silent_host(OTHER) as silent, Host(SERVER) as host:
            assert await Outcome([silent, host.endpoint], seconds=0.4).end() == host.endpoint

    run(work())


def test_what_is_tried_beside_the_first_is_counted(run: Run) -> None:
    """T66: whoever owns a name says how many addresses it has: eight of them are tried, and each takes a descriptor of the budget."""

    async def work() -> None:
        with silent_host() as silent, Host(SERVER) as host:
            outcome = Outcome([silent] * 8 + [host.endpoint], seconds=2.5)
            assert (await outcome.error()).reason == "connect_timeout"
            assert (outcome.budget.most, outcome.budget.used) == (7, 0)
            assert host.untouched()

    run(work())


def test_without_descriptors_one_is_tried_after_the_other(run: Run) -> None:
    """The first has that of its session; the next waits until it is decided. Where some answer, all is given back."""

    async def work() -> None:
        with silent_host() as silent, Host(SERVER) as host:
            assert (
                await Outcome([silent, host.endpoint], seconds=0.6, descriptors=0).error()
            ).reason == "connect_timeout"
            assert host.untouched()
            assert await Outcome([nobody(), host.endpoint], descriptors=0).end() == host.endpoint
            outcome = Outcome([silent, host.endpoint], seconds=2.0)
            assert await outcome.end() == host.endpoint
            assert outcome.budget.used == 0
            failing = Outcome([silent, nobody()], seconds=0.6)
            await failing.error()
            assert failing.budget.used == 0

    run(work())


def test_deadline_is_for_all_targets_together(run: Run) -> None:
    """F08: eight targets that do not answer take one deadline, not eight."""

    async def work() -> None:
        with silent_host() as silent:
            began = asyncio.get_running_loop().time()
            error = await Outcome([silent] * 8, seconds=0.4).error()
            assert error.reason == "connect_timeout"
            assert asyncio.get_running_loop().time() - began < 0.8

    run(work())


def test_last_failure_is_reported(run: Run) -> None:
    """When all refuse, the error names the last of them and says why."""

    async def work() -> None:
        target = nobody()
        error = await Outcome([nobody(), target]).error()
        assert (str(error), error.reason) == (f"{target}: Connection refused", "connect_refused")

    run(work())


def test_no_target_is_a_failure(run: Run) -> None:
    """Nowhere to connect to is told like any other failure, and never from within the constructor."""

    async def work() -> None:
        assert str(await Outcome([]).error()) == "there is no address to connect to"

    run(work())


def test_source_that_is_not_ours_is_a_failure(run: Run) -> None:
    """A local address that this machine does not have is an error, and no exception."""

    async def work() -> None:
        with Host(SERVER) as host:
            error = await Outcome([host.endpoint], source=parse_address("192.0.2.7")).error()
            assert error.reason == "connect_failed"

    run(work())


def test_source_is_used(run: Run) -> None:
    """The connection comes from the named local address."""

    async def work() -> None:
        with Host(SERVER) as host:
            outcome = Outcome([host.endpoint], source=parse_address(CLIENT))
            await outcome.end()
            assert outcome.local == CLIENT

    run(work())


def test_socket_of_the_gateway_is_not_dialled(run: Run) -> None:
    """T14: the gate judges at the moment of the dial."""

    async def work() -> None:
        with Host(SERVER) as host:
            gate = Gate(LeaseLimits())
            gate.add_socket(host.endpoint)
            assert (await Outcome([host.endpoint], gate=gate).error()).reason == "self_target"
            assert host.untouched()

    run(work())


def test_cancelled_dial_calls_nobody(run: Run) -> None:
    """Given up in any state (failed but not told yet, waiting, about to try the next): nobody is called any more."""

    async def work() -> None:
        with Host(SERVER) as host, silent_host() as silent:
            outcomes = [Outcome(targets) for targets in ([], [host.endpoint], [silent], [silent, host.endpoint])]
            for outcome in outcomes:
                outcome.dial.cancel()
            with Host(OTHER) as other:
                assert await Outcome([other.endpoint]).end()  # the loop had its turns
            assert [outcome.calls for outcome in outcomes] == [0] * 4
            for outcome in outcomes:
                outcome.stop()

    run(work())
