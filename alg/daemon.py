"""The life of `alg run`: start, say that it is ready, wait for a signal, drain, stop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

from alg.notify import notify
from alg.registry import Registry
from alg.relay import lookups
from alg.relay.server import Relay
from alg.settings import Settings

_COLLECTOR = (20_000, 50, 100)
RESOLVERS = 2 * lookups.IN_ALL
"""Threads that look names up; clients have half of them at most, however slow their names are."""

_LAST_WORDS = 1.0
"""Seconds for sessions that are cut off to have their last word sent."""


def run(settings: Settings, registry: Registry) -> bool:
    """Run until a signal asks to stop; return whether all sessions had finished by then.

    Raises:
        BindError: a listener cannot be opened.
        ConfigError: an upstream cannot be resolved, or is one of our own listeners.
    """
    os.environ.setdefault(
        "UV_THREADPOOL_SIZE", str(RESOLVERS)
    )  # uvloop's threads; it reads this when it first needs one
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(settings, registry))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed (extra `speed`), else asyncio's own."""
    if find_spec("uvloop"):
        import uvloop

        return uvloop.new_event_loop
    return asyncio.new_event_loop


async def _run(settings: Settings, registry: Registry) -> bool:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(RESOLVERS))
    stop, at_once = asyncio.Event(), asyncio.Event()

    def asked_to_stop() -> None:
        (at_once if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop)
    relay = Relay(settings.routes, registry, times=settings.times, limits=settings.limits)
    starting, stopping = asyncio.ensure_future(relay.start()), asyncio.ensure_future(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # a resolver can take its time; who asks to stop shall not wait for it
        starting.cancel()
        relay.close()
        return True
    await starting
    # What exists now lives as long as we do; sessions are many small objects, and the collector's default takes
    # each few hundred new ones as a reason to look at all of them.
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)
    for listener in relay.listeners:
        upstream = listener.route.upstream or "as the client says"
        print(f"ready: {listener.name} {listener.local} -> {upstream}", file=sys.stderr, flush=True)  # noqa: T201
    notify("READY=1")
    await stopping
    notify("STOPPING=1")
    return await _stop(relay, settings.times.drain, at_once)


async def _stop(relay: Relay, seconds: float, at_once: asyncio.Event) -> bool:
    """Let the sessions finish, unless the time is over or a second signal comes; cut off the rest."""
    draining = asyncio.ensure_future(relay.drain(seconds))
    hurrying = asyncio.ensure_future(at_once.wait())
    await asyncio.wait((draining, hurrying), return_when=asyncio.FIRST_COMPLETED)
    drained = draining.done() and draining.result()
    draining.cancel()
    hurrying.cancel()
    if relay.sessions:
        relay.close()
        await relay.drain(_LAST_WORDS)
    relay.close()
    return drained
