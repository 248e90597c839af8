"""`HttpPlugin.http`: the same rules and mapping for a host that parses HTTP itself, on whole messages."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from alg_http import HttpConfig, HttpPlugin
from alg_http.config import Forwarded
from alg_http.rules import Part, Rule

from alg.plugin import (
    AlgError,
    BindError,
    Connect,
    Endpoint,
    HttpExchange,
    HttpRequest,
    HttpResponse,
    Leg,
    Need,
    PolicyError,
    ProtocolError,
    Side,
)
from alg.testing import endpoint
from tests.plugins.http_talk import KEY, Profile

T = TypeVar("T")
CLIENT = Leg(endpoint("10.77.1.1:8080"), endpoint("10.77.1.2:4000"))
SERVER = Leg(endpoint("10.77.2.1:5000"), endpoint("10.77.2.2:8080"))
HOST = (b"Host", b"gw:8080")
JSON = (b"Content-Type", b"application/json")
CODED = (b"Content-Encoding", b"gzip")
UPGRADE = (
    *(HOST, (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")),
    (b"Sec-WebSocket-Key", KEY),
)
UPGRADED = (
    *((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")),
    (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
)


class Listeners:
    """Ways to listeners at port 20001; the target at port 1 cannot be had."""

    def __init__(self) -> None:
        self.targets: dict[Endpoint, Connect] = {}

    async def expect(self, target: Connect, *, opaque: bool, lifetime: float, announced_by: str) -> Endpoint:
        """The next listener."""
        assert lifetime == HttpConfig().shared_lifetime
        if target.target.port == 1:
            raise BindError(f"{announced_by}: none is left, opaque or not: {opaque}")
        listener = endpoint(f"10.77.1.1:{20001 + len(self.targets)}")
        self.targets[listener] = target
        return listener

    def target_of(self, endpoint: Endpoint) -> Connect | None:
        """What it leads to."""
        return self.targets.get(endpoint)


def exchange(config: HttpConfig | None = None) -> HttpExchange:
    """One exchange."""
    return HttpPlugin(config or HttpConfig()).http(CLIENT, SERVER, Listeners())


def done(work: Coroutine[object, object, T]) -> T:
    """What comes of it."""
    return asyncio.run(work)


def test_a_request_and_its_answer() -> None:
    """Fields as on the wire; the framing stays as it is, for it is the host's."""
    one = exchange(HttpConfig(profiles=(Profile.CDP,), forwarded=Forwarded.SET, allowed_hosts=("gw",)))
    asked = one.request(
        HttpRequest(b"GET", b"/json?a", (HOST, (b"Connection", b"close"), (b"Range", b"x"), (b"Upgrade", b"h2c")))
    )
    assert (asked.method, asked.target) == (b"GET", b"/json?a")
    fields = dict(asked.headers)
    assert fields[b"Host"] == b"10.77.2.2:8080"
    assert fields[b"X-Forwarded-For"] == b"10.77.1.2"
    assert fields[b"Accept-Encoding"] == b"identity"
    assert fields[b"Connection"] == b"close"
    assert not {b"Range", b"Upgrade"} & set(fields)
    body = b'{"webSocketDebuggerUrl":["ws://10.77.2.2:8080/","ws://10.77.2.2:9/","ws://10.77.2.2:1/"]}'
    answer = done(
        one.response(HttpResponse(200, (JSON, (b"ETag", b"x"), (b"Location", b"http://10.77.2.2:8080/")), body))
    )
    assert answer.body == b'{"webSocketDebuggerUrl":["ws://gw:8080/","ws://gw:20001/","ws://10.77.2.2:1/"]}'
    assert answer.headers == (JSON, (b"Location", b"http://gw:8080/"))


def test_what_no_rule_is_about() -> None:
    """Stays, but for its fields; a client that names nobody is told our address."""
    one = exchange()
    asked = one.request(HttpRequest(b"POST", b"/", (JSON,), b"{}"))
    assert asked.body == b"{}"
    answer = done(one.response(HttpResponse(302, (JSON, (b"Location", b"http://10.77.2.2:8080/")), b"{}")))
    assert answer == HttpResponse(302, (JSON, (b"Location", b"http://10.77.1.1:8080/")), b"{}")


def test_bodies_of_requests() -> None:
    """Are mapped inward."""
    one = exchange(HttpConfig(rules=(Rule(json=("url",), part=Part.REQUEST),)))
    asked = one.request(HttpRequest(b"POST", b"/", (HOST, JSON, CODED), gzip.compress(b'{"url":"http://gw:8080/"}')))
    assert asked.body == b'{"url":"http://10.77.2.2:8080/"}'
    assert b"Content-Encoding" not in dict(asked.headers)


@pytest.mark.parametrize(
    ("config", "request_", "status"),
    [
        (HttpConfig(allowed_hosts=("x",)), HttpRequest(b"GET", b"/", (HOST,)), 421),
        (HttpConfig(allowed_paths=("/x",)), HttpRequest(b"GET", b"/", (HOST,)), 403),
        (HttpConfig(allowed_origins=("x",)), HttpRequest(b"GET", b"/", UPGRADE), 403),
        (HttpConfig(), HttpRequest(b"GET", b"/", UPGRADE[1:4]), 400),
        (HttpConfig(), HttpRequest(b"GET", b"/", UPGRADE, b"body"), 400),
        (HttpConfig(), HttpRequest(b"GET", b"/", (*UPGRADE, (b"Transfer-Encoding", b"chunked"))), 400),
        (HttpConfig(), HttpRequest(b"GET", b"/", ((b"Host", b"a b"),)), 400),
        (HttpConfig(), HttpRequest(b"CONNECT", b"a:1", (HOST,)), 403),
    ],
)
def test_requests_that_are_refused(config: HttpConfig, request_: HttpRequest, status: int) -> None:
    """By the same words as on the wire."""
    one = exchange(config)
    with pytest.raises(AlgError) as error:
        one.request(request_)
    assert isinstance(error.value, PolicyError | ProtocolError)
    assert one.status(error.value) == status


def test_upgrades() -> None:
    """A true one passes, and its messages are mapped; a fake one is 502."""
    one = exchange(HttpConfig(rules=(Rule(json=("url",), part=Part.MESSAGE),)))
    asked = one.request(HttpRequest(b"GET", b"/", UPGRADE))
    assert (b"Upgrade", b"websocket") in asked.headers
    assert done(one.response(HttpResponse(101, UPGRADED))) == HttpResponse(101, UPGRADED)
    assert done(one.message(Side.SERVER, b'{"url":"http://10.77.2.2:8080/"}')) == b'{"url":"http://gw:8080/"}'
    assert done(one.message(Side.CLIENT, b'{"url":"http://gw:8080/"}')) == b'{"url":"http://10.77.2.2:8080/"}'
    assert done(one.message(Side.CLIENT, b"hello")) == b"hello"
    assert (
        done(exchange().message(Side.SERVER, b'{"url":"http://10.77.2.2:8080/"}'))
        == b'{"url":"http://10.77.2.2:8080/"}'
    )
    for headers in (UPGRADE, ((HOST),)):
        one = exchange()
        one.request(HttpRequest(b"GET", b"/", headers))
        with pytest.raises(ProtocolError) as error:
            done(one.response(HttpResponse(101, UPGRADED[:2])))
        assert (error.value.reason, one.status(error.value)) == ("fake_upgrade", 502)


def test_a_body_that_is_too_long() -> None:
    """It is there already, and yet not looked at."""
    one = exchange(HttpConfig(profiles=(Profile.CDP,), max_body=10, allowed_hosts=("gw",)))
    one.request(HttpRequest(b"GET", b"/json", (HOST,)))
    with pytest.raises(ProtocolError) as error:
        done(one.response(HttpResponse(200, (JSON,), b"[" * 11)))
    assert error.value.reason == "body_too_long"


def test_who_speaks_for_http() -> None:
    """This plugin does, and needs listeners that outlive a connection; other plugins do not."""
    assert HttpPlugin(HttpConfig()).needs() == {Need.SHARED}
    assert FtpPlugin(FtpConfig()).http(CLIENT, SERVER, Listeners()) is None


@pytest.mark.parametrize("part", [Part.REQUEST, Part.RESPONSE])
def test_a_body_that_inflates_too_far(part: Part) -> None:
    """T87: no more of it is inflated than may be read, and nothing where no rule is about it."""
    bomb = gzip.compress(bytes(1 << 20))
    one = exchange(HttpConfig(rules=(Rule("/read", json=("url",), part=part),), max_body=4096))
    assert one.request(HttpRequest(b"POST", b"/", (HOST, JSON, CODED), bomb)).body == bomb
    assert done(one.response(HttpResponse(200, (JSON, CODED), bomb))).body == bomb
    asked = HttpRequest(b"POST", b"/read", (HOST, JSON, CODED), bomb if part is Part.REQUEST else b"")
    with pytest.raises(ProtocolError) as error:
        one.request(asked)
        done(one.response(HttpResponse(200, (JSON, CODED), bomb)))
    assert error.value.reason == "body_too_long"
