"""Lists and ranges of listeners in one route: what they become, and what is none."""

from __future__ import annotations

import pytest

from alg.core.errors import ConfigError
from alg.registry import Registry
from alg.route_ranges import MOST, expand
from alg.routes import parse_routes


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("ftp://h:21@2121", ["ftp://h:21@2121"]),
        ("socks@[::1]:1080", ["socks@[::1]:1080"]),
        ("tcp://h:1@10.0.0.1:5,[fd00::1]:6,7", ["tcp://h:1@10.0.0.1:5", "tcp://h:1@[fd00::1]:6", "tcp://h:1@7"]),
        (
            "tcp://10.0.0.10-10.0.0.12:22@2000-2002",
            ["tcp://10.0.0.10:22@2000", "tcp://10.0.0.11:22@2001", "tcp://10.0.0.12:22@2002"],
        ),
        ("tcp://h:80-81@10.1.1.1:8080-8081", ["tcp://h:80@10.1.1.1:8080", "tcp://h:81@10.1.1.1:8081"]),
        ("tcp://a-b.example:80@80", ["tcp://a-b.example:80@80"]),
        ("tcp://[fd00::9-fd00::a]:1@1-2", ["tcp://[fd00::9]:1@1", "tcp://[fd00::a]:1@2"]),
        ("ftp://*@1-2", ["ftp://*@1", "ftp://*@2"]),
        ("tcp://10.0.0.1-10.0.0.2@10.1.0.1-10.1.0.2:21", ["tcp://10.0.0.1@10.1.0.1:21", "tcp://10.0.0.2@10.1.0.2:21"]),
        ("nonsense", ["nonsense"]),
        ("a@b@c", ["a@b@c"]),
        ("tcp://h:1@[::1", ["tcp://h:1@[::1"]),
    ],
)
def test_what_a_text_stands_for(text: str, means: list[str]) -> None:
    """One text for each listener; what is no list, or no route, stays as it is."""
    assert expand(text) == means


def test_seed_case() -> None:
    """Ports 2000 to 2007 lead to the hosts .10 to .17, one each."""
    routes = parse_routes("tcp://10.0.0.10-10.0.0.17:22@203.0.113.1:2000-2007", Registry())
    assert [str(route) for route in routes] == [
        f"tcp 203.0.113.1:{2000 + number} -> 10.0.0.{10 + number}:22" for number in range(8)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp://10.0.0.1-10.0.0.3:1@1-2", "3 upstreams for 2 listeners"),
        ("tcp://10.0.0.3-10.0.0.1:1@1", "10.0.0.3-10.0.0.1 is no range of addresses"),
        ("tcp://10.0.0.3-fd00::1:1@1", "3 upstreams|is no range|10.0.0.3-fd00"),
        ("tcp://h:1@5-4", "5-4 is no range of ports"),
        ("tcp://h:1@5-65536", "5-65536 is no range of ports"),
        (f"tcp://h:1@1-{MOST + 1}", f"means {MOST + 1} routes"),
        ("tcp://10.0.0.0-10.255.0.0:1@1", "are 16711681 addresses"),
    ],
)
def test_what_cannot_be(text: str, words: str) -> None:
    """One line that says what is wrong."""
    if "fd00" in text:
        assert expand(text) == [text]  # not in brackets: no address at all, as the grammar of routes will say
        return
    with pytest.raises(ConfigError, match=words):
        expand(text)


def test_the_most() -> None:
    """At the limit it passes."""
    assert len(expand(f"tcp://h:1@1-{MOST}")) == MOST
