"""The grammar of a route: what it becomes, and each way to get it wrong."""

from __future__ import annotations

import pytest

from alg.core.errors import ConfigError
from alg.core.model import PortRange
from alg.registry import Registry
from alg.routes import parse_ports, parse_route


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("ftp://203.0.113.2:21@10.77.1.1:2121", "ftp 10.77.1.1:2121 -> 203.0.113.2:21"),
        ("ftp://ftp.example.org@2121", "ftp 0.0.0.0:2121 -> ftp.example.org:21"),
        ("FTP://host@[::]:2121", "ftp [::]:2121 -> host:21"),
        ("tcp://[fd00::1]:80@127.0.0.1:0", "tcp 127.0.0.1:0 -> [fd00::1]:80"),
        ("tcp://[::ffff:10.0.0.1]:80@1", "tcp 0.0.0.0:1 -> 10.0.0.1:80"),
        ("tcp://a-b.c_d:65535@65535", "tcp 0.0.0.0:65535 -> a-b.c_d:65535"),
        ("tests.relay.toys:ToyPlugin://h:1@1", "toy 0.0.0.0:1 -> h:1"),
    ],
)
def test_routes(text: str, means: str) -> None:
    """Scheme, upstream, listener; what may be left out has its default."""
    assert str(parse_route(text, Registry())) == means


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no route; a route is SCHEME://UPSTREAM_HOST"),
        ("ftp://host", "is no route"),
        ("ftp://@2121", "is no route"),
        ("ftp://host:x@2121", "is no route"),
        ("ftp://host@2121 ", "is no route"),
        ("ftp://host@2121\n", "is no route"),
        ("ftp://host@-1", "is no route"),
        (
            "gopher://host:70@1",
            "there is no plugin 'gopher'; installed are ftp, ftps, http, https, tcp, tftp, tls, udp, ws, wss",
        ),
        ("nosuch:Plugin://host:70@1", "plugin 'nosuch:Plugin' cannot be loaded: No module named 'nosuch'"),
        ("tests.relay.toys:Nothing://host:70@1", "plugin 'tests.relay.toys:Nothing' cannot be loaded"),
        ("tests.relay.toys:Side://host:70@1", "is no subclass of alg.plugin.StreamPlugin"),
        ("tcp://host@1", "tcp has no well-known port; write one behind the upstream's host"),
        ("tcp://host:0@1", "port 0 is outside 1 to 65535"),
        ("tcp://host:65536@1", "port 65536 is outside 1 to 65535"),
        ("tcp://host:1@65536", "port 65536 is outside 0 to 65535"),
        ("tcp://host:1@99999999999999999999999", "port 99999999999999999999 is outside"),
        ("tcp://010.0.0.1:1@1", "'010.0.0.1' is neither an address nor a host name"),
        ("tcp://127.1:1@1", "'127.1' is neither"),
        ("tcp://2130706433:1@1", "'2130706433' is neither"),
        ("tcp://0x7f.1:1@1", "'0x7f.1' is neither"),
        ("tcp://-x:1@1", "'-x' is neither"),
        ("tcp://[fe80::1%eth0]:1@1", "'fe80::1%eth0' is neither"),
        ("tcp://[host]:1@name:1", "to listen at 'name', write it as an address"),
        ("tcp://h:1@localhost:1", "to listen at 'localhost', write it as an address, e.g. 0.0.0.0 or [::]"),
    ],
)
def test_what_is_no_route(text: str, words: str) -> None:
    """The message holds what was written and what would be right."""
    with pytest.raises(ConfigError) as caught:
        parse_route(text, Registry())
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_port_ranges() -> None:
    """LOW-HIGH, both included, and nothing else."""
    assert parse_ports("1-65535") == PortRange(1, 65535)
    assert len(parse_ports("5-5")) == 1
    for text in ("", "5", "5-", "-5", "1-2-3", "0-5", "1-65536", "6-5", "+1-2", "1 - 2", "\u0661-\u0662", "1-2\n"):
        with pytest.raises(ValueError, match="port range"):
            parse_ports(text)
