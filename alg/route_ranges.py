"""Lists and ranges in a route: one text that says the same of many listeners becomes one text for each of them.

`tcp://10.0.0.10-10.0.0.17:22@203.0.113.1:2000-2007` forwards eight ports to eight hosts; `@10.77.1.1:21,[fd77::1]:21` is two
listeners of one upstream. What the single texts mean is the business of `alg.routes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from alg.core.addresses import parse_address
from alg.core.errors import ConfigError, ProtocolError

MOST = 1024
"""Listeners that one text may make."""

_SCHEME = re.compile(r"(?P<scheme>[^@]*?://|[a-zA-Z0-9]+(?=@))?(?P<upstream>[^@]*)@(?P<listen>[^@]*)")
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?P<port>:[^:]*)?")
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def expand(text: str) -> list[str]:
    """Return the routes of one listener each that a text stands for; what is no list and no range, or no route at all, comes
    back as it is.

    As many upstreams as listeners: the first leads to the first, and so on. One upstream: all lead there.

    Raises:
        ConfigError: a range runs backwards or is too long, or the numbers do not fit.
    """
    match = _SCHEME.fullmatch(text)
    if not match:
        return [text]
    listeners = [each for item in match["listen"].split(",") for each in _places(item, text, is_listener=True)]
    upstreams = list(_places(match["upstream"], text))
    if len(upstreams) == 1:
        upstreams *= len(listeners)
    if len(upstreams) != len(listeners):
        raise ConfigError(
            f"{text!r}: {len(upstreams)} upstreams for {len(listeners)} listeners; write as many of the one as of the "
            "other, or one upstream"
        )
    return [f"{match['scheme'] or ''}{up}@{down}" for up, down in zip(upstreams, listeners, strict=True)]


def _places(item: str, text: str, *, is_listener: bool = False) -> Iterator[str]:
    """Every host with every port of `HOST[-HOST][:PORT[-PORT]]`; a listener may be a port alone."""
    if is_listener and ":" not in item:
        item = f":{item}"
    match = _PLACE.fullmatch(item)
    if not match:
        yield item
        return
    hosts, ports = list(_hosts(match["host"], text)), list(_ports((match["port"] or "")[1:], text))
    if len(hosts) * len(ports) > MOST:
        raise ConfigError(f"{text!r}: means {len(hosts) * len(ports)} routes; at most {MOST} can be written in one")
    for host, port in product(hosts, ports):
        yield f"{host}:{port}" if port and host else host or port


def _ports(text: str, route: str) -> Iterator[str]:
    match = _PORTS.fullmatch(text)
    if not match:
        yield text
        return
    low, high = int(match[1]), int(match[2])
    if low > high or high > 65535:
        raise ConfigError(f"{route!r}: {text} is no range of ports; write LOW-HIGH, e.g. 2000-2007")
    yield from map(str, range(low, high + 1))


def _hosts(text: str, route: str) -> Iterator[str]:
    """The addresses of `FIRST-LAST`. A host name may hold a hyphen too: a range is one between two literal addresses."""
    bracketed = text.startswith("[")
    first, hyphen, last = text.strip("[]").partition("-")
    try:
        low, high = (parse_address(each) for each in (first, last if hyphen else first))
    except ProtocolError:
        yield text
        return
    if not hyphen:
        yield text
        return
    if low.version != high.version or int(low) > int(high):
        raise ConfigError(f"{route!r}: {text} is no range of addresses; write FIRST-LAST, e.g. 10.0.0.10-10.0.0.17")
    if int(high) - int(low) >= MOST:
        raise ConfigError(f"{route!r}: {text} are {int(high) - int(low) + 1} addresses; at most {MOST} can be written")
    for number in range(int(low), int(high) + 1):
        address = type(low)(number)
        yield f"[{address}]" if bracketed else str(address)
