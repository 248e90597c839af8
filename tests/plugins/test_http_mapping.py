"""What the server says of itself, as the client must see it, and the other way round: profiles, rules, names, listeners."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from alg_http import HttpConfig
from alg_http.config import Frames
from alg_http.rules import Rule

from alg.plugin import ConfigError, Side
from alg.testing import TargetRules
from tests.plugins.http_talk import Profile, answer, asked, body_of, get, talk

CDP = (
    b'[ {\n   "devtoolsFrontendUrl": "/devtools/inspector.html?ws=10.77.2.2:8080/devtools/page/A",\n   "id": "A",\n'
    b'   "url": "http://10.77.2.2:8080/page",\n   "webSocketDebuggerUrl": "ws://10.77.2.2:8080/devtools/page/A"\n} ]'
)


def test_cdp() -> None:
    """Only declared members are mapped: the address of the page that is debugged is none of them."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    assert asked(book, b"/json/list", answer(CDP)) == CDP.replace(b"ws=10.77.2.2:8080", b"ws=gw:8080").replace(
        b"ws://10.77.2.2:8080", b"ws://gw:8080"
    )
    assert asked(book, b"/other", answer(CDP)) == CDP


@pytest.mark.parametrize("host", [b"127.0.0.1:9222", b"localhost:9222", b"0.0.0.0:9222", b"[::1]:9222"])
def test_a_loopback_address_is_the_servers(host: bytes) -> None:
    """As Chrome answers that listens on loopback, behind a forwarded port."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    said = b'{"webSocketDebuggerUrl":"ws://%s/devtools/browser/1"}' % host
    assert asked(book, b"/json/version", answer(said)) == b'{"webSocketDebuggerUrl":"ws://gw:20001/devtools/browser/1"}'
    (expectation,) = book.expectations
    assert [str(target) for target in expectation.targets] == ["10.77.2.2:9222"]
    assert (expectation.shared, expectation.plugin) == (True, "http")


def test_elasticsearch() -> None:
    """Nodes name each other by endpoints, with or without a name before them."""
    nodes = {
        "nodes": {
            "a": {"name": "one", "http": {"publish_address": "10.77.2.2:8080", "bound_address": ["[::]:9200"]}},
            "b": {"http": {"publish_address": "es-2/10.77.2.3:9201"}, "publish_address": "10.77.2.2:8080"},
            "c": {"http": {"publish_address": "10.9.9.9:9200"}},
        }
    }
    targets = {Side.SERVER: TargetRules((ip_network("10.77.2.0/24"),))}
    book = talk(HttpConfig(profiles=(Profile.ELASTICSEARCH_SNIFF,)), targets=targets)
    found = json.loads(asked(book, b"/_nodes/_all/http", answer(json.dumps(nodes).encode())))["nodes"]
    assert found["a"]["http"]["publish_address"] == "gw:8080"
    assert found["b"] == {"http": {"publish_address": "gw:20002"}, "publish_address": "10.77.2.2:8080"}
    assert found["c"]["http"]["publish_address"] == "10.9.9.9:9200"
    assert "third_party_address" in book.reasons


def test_selenium() -> None:
    """A new session's capabilities."""
    book = talk(HttpConfig(profiles=(Profile.SELENIUM_BIDI,)))
    said = b'{"value":{"capabilities":{"webSocketUrl":"ws://10.77.2.2:8080/session/1","se:cdp":"ws://10.77.2.2:4444/cdp"}}}'
    found = json.loads(asked(book, b"/wd/hub/session", answer(said)))["value"]["capabilities"]
    assert found == {"webSocketUrl": "ws://gw:8080/session/1", "se:cdp": "ws://gw:20001/cdp"}


ONVIF = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    b'xmlns:tt="http://10.77.2.2:8080/schema"><s:Body><tt:XAddr>http://10.77.2.2:8080/onvif/device?a=1&amp;b=2</tt:XAddr>'
    b"<tt:XAddr>http://10.77.2.2:8081/onvif/media</tt:XAddr><tt:Uri>rtsp://10.77.2.2:8554/s</tt:Uri>"
    b"<tt:Note>http://10.77.2.2:8080/</tt:Note></s:Body></s:Envelope>"
)


def test_onvif() -> None:
    """Elements by local name; a stream's address gets a listener that speaks no HTTP; namespaces stay."""
    book = talk(HttpConfig(profiles=(Profile.ONVIF,)))
    mapped = asked(book, b"/onvif/device", answer(ONVIF, kind=b"application/soap+xml; charset=utf-8"))
    assert mapped == (
        ONVIF.replace(b"//10.77.2.2:8080/onvif", b"//gw:8080/onvif")
        .replace(b"//10.77.2.2:8081/", b"//gw:20001/")
        .replace(b"rtsp://10.77.2.2:8554/", b"rtsp://gw:20002/")
    )
    assert [expectation.plugin for expectation in book.expectations] == ["http", None]


def test_what_a_client_says_back_is_mapped_inward() -> None:
    """WS-Addressing's `To` names the server as the client knows it; a camera wants to hear its own name."""
    book = talk(HttpConfig(profiles=(Profile.ONVIF,)))
    asked(book, b"/", answer(ONVIF, kind=b"text/xml"))
    for outside, inside in (
        (b"gw:8080", b"10.77.2.2:8080"),
        (b"gw:20001", b"10.77.2.2:8081"),
        (b"other:1", b"other:1"),
    ):
        said = b"<a><To>http://%s/x</To><b>http://gw:8080/</b></a>" % outside
        seen = len(book.to_server)
        book.client(
            b"POST / HTTP/1.1\r\nHost: gw:8080\r\nContent-Type: text/xml\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(said)
        )
        assert book.to_client.endswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        book.client(said)
        assert book.to_server[seen:].endswith(b"\r\n\r\n" + said.replace(outside, inside, 1))
        assert b"Expect" not in book.to_server[seen:]
        book.server(answer(b""))


def test_a_page_at_a_listener_of_ours_is_one_of_the_server() -> None:
    """`Origin` and `Referer` of what came through a shared listener mean its target."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)))
    asked(book, b"/json", answer(b'{"webSocketDebuggerUrl":"ws://10.77.2.2:9222/"}'))
    book.client(
        get(b"/", b"Origin: http://gw:20001", b"Referer: http://10.77.1.1:20001/x", b"Destination: http://gw:8080/y")
    )
    assert b"\r\nOrigin: http://10.77.2.2:9222\r\nReferer: http://10.77.2.2:9222/x\r\n" in book.to_server
    assert b"\r\nDestination: http://10.77.2.2:8080/y\r\n" in book.to_server


def test_the_same_target_gets_the_same_listener() -> None:
    """Asked once, it is known for half its life; another session of the route gets the same."""
    said = answer(b'{"webSocketDebuggerUrl":"ws://10.77.2.2:9222/"}')
    book = talk(HttpConfig(profiles=(Profile.CDP,), shared_lifetime=100))
    first = asked(book, b"/json", said)
    assert asked(book, b"/json", said) == first
    assert len(book.expectations) == 1
    book.wait(51)
    assert asked(book, b"/json", said) == first
    assert len(book.expectations) == 2
    assert len(book.shared) == 1


def test_without_a_port_left_the_address_stays() -> None:
    """It would lead nowhere either way; the record says why."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)), listeners=[])
    said = b'{"webSocketDebuggerUrl":"ws://10.77.2.2:9222/"}'
    assert asked(book, b"/json", answer(said)) == said
    assert book.reasons == ["no_port"]


def test_tls_on_either_side() -> None:
    """Schemes follow what is spoken on each side; who calls us by an address gets that of the listener."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)), implicit_tls=(Side.CLIENT,))
    request = get(b"/json").replace(b"gw:8080", b"10.77.1.1:8080")
    book.client(request)
    book.server(answer(b'{"webSocketDebuggerUrl":["ws://10.77.2.2:8080/a","wss://10.77.2.2:9222/b"]}'))
    assert body_of(book) == b'{"webSocketDebuggerUrl":["wss://10.77.1.1:8080/a","wss://10.77.1.1:20001/b"]}'
    plan = book.expectations[0]
    assert [plan.plan(side).tls for side in Side] == [True, True]


def test_a_named_server_is_told_its_name() -> None:
    """And what it says of that name is mapped, at other ports too."""
    book = talk(HttpConfig(allowed_hosts=("gw",)), upstream_name="Web.Inside")
    book.client(get(b"/", b"Origin: http://gw:8080"))
    assert b"\r\nHost: web.inside:8080\r\n" in b"\r\n" + book.to_server
    assert b"\r\nOrigin: http://web.inside:8080\r\n" in book.to_server
    book.server(answer(b"", b"Location: http://WEB.inside:8080/a", b"Content-Location: http://web.inside:9000/b"))
    assert b"\r\nLocation: http://gw:8080/a\r\nContent-Location: http://gw:20001/b\r\n" in book.to_client
    (expectation,) = book.expectations
    assert expectation.server.name == "web.inside"  # type: ignore[union-attr]


def test_a_server_that_wants_no_name() -> None:
    """Chromium refuses names in `Host`; it is called by its address, and its name is known all the same."""
    book = talk(HttpConfig(profiles=(Profile.CDP,)), upstream_name="chrome.inside")
    said = b'{"webSocketDebuggerUrl":["ws://10.77.2.2:8080/a","ws://chrome.inside:8080/b","ws://10.77.2.2:9/c"]}'
    assert asked(book, b"/json", answer(said)) == (
        b'{"webSocketDebuggerUrl":["ws://gw:8080/a","ws://gw:8080/b","ws://10.77.2.2:9/c"]}'
    )
    assert b"\r\nHost: 10.77.2.2:8080\r\n" in book.to_server
    assert book.reasons == ["low_port"]


@pytest.mark.parametrize(
    ("cookie", "mapped"),
    [
        (b"a=b; Domain=.inside; Secure", b"a=b; Secure"),
        (b"a=b; domain=WEB.INSIDE", b"a=b"),
        (b"a=b; Domain=web.inside; Path=/", b"a=b; Path=/"),
        (b"a=b; Domain=nside", b"a=b; Domain=nside"),
        (b"a=b; Domain=", b"a=b; Domain="),
        (b"a=b; Path=/", b"a=b; Path=/"),
    ],
)
def test_cookies(cookie: bytes, mapped: bytes) -> None:
    """A domain that covers the server means us now."""
    book = talk(upstream_name="web.inside")
    book.client(get())
    book.server(answer(b"", b"Set-Cookie: " + cookie))
    assert b"\r\nSet-Cookie: " + mapped + b"\r\n" in book.to_client


def test_a_host_that_is_unusual() -> None:
    """Names in any case and with a final dot, IPv6, a client that names nobody."""
    for host, told in (
        (b"GW.Example.:8080", b"gw.example:8080"),
        (b"[2001:DB8::1]:81", b"[2001:db8::1]:81"),
        (b"gw:80", b"gw"),
    ):
        book = talk()
        book.client(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        book.server(answer(b"", b"Location: http://10.77.2.2:8080/"))
        assert b"\r\nLocation: http://%s/\r\n" % told in book.to_client
    book = talk()
    book.client(b"GET / HTTP/1.0\r\n\r\n")
    book.server(answer(b"", b"Location: //10.77.2.2:8080/x"))
    assert b"\r\nLocation: //10.77.1.1:8080/x\r\n" in book.to_client


def test_ipv6_all_the_way() -> None:
    """Brackets where they belong; over IPv6 `Forwarded` quotes."""
    book = talk(
        client="[2001:db8:1::2]:4000",
        client_local="[2001:db8:1::1]:8080",
        server="[2001:db8:2::2]:8080",
        server_local="[2001:db8:2::1]:1",
    )
    book.client(b"GET / HTTP/1.1\r\nHost: [2001:db8:1::1]:8080\r\n\r\n")
    assert b"\r\nHost: [2001:db8:2::2]:8080\r\n" in book.to_server
    book.server(answer(b"", b"Location: http://[2001:db8:2::2]:8081/"))
    assert b"\r\nLocation: http://[2001:db8:1::1]:20001/\r\n" in book.to_client


def test_what_cannot_be_configured() -> None:
    """Numbers that are none, addresses that are none."""
    with pytest.raises(ConfigError, match="max_body: must be above 0"):
        HttpConfig(max_body=0)
    with pytest.raises(ConfigError, match=r"hosts\.a: not a literal"):
        HttpConfig(hosts={"a": "b"})
    assert HttpConfig(hosts={"A.b": "10.0.0.1"}).address_of("a.b") is not None
    assert Frames("read") is Frames.READ


@pytest.mark.parametrize(
    "name", [b"Location: %s", b"Content-Location: %s", b"Link: <%s>; rel=x", b"Refresh: 0; url=%s"]
)
def test_a_redirect_opens_no_way_past_us(name: bytes) -> None:
    """T49: who has a server redirect him (`?next=rtsp://…`) must not get at a port of it by bytes that nobody reads."""
    book = talk()
    for scheme in (b"rtsp", b"rtsps"):
        book.client(get(b"/?next"))
        field = name % (scheme + b"://10.77.2.2:5432/")
        book.server(answer(b"", field, status=b"302 Found"))
        assert field in book.to_client
    assert book.expectations == []


def test_what_is_refused_is_recorded_once() -> None:
    """T71: a server that names a third party all over a body would fill the log with it."""
    book = talk(HttpConfig(rules=(Rule(json=("url",)),)))
    body = b'{"url":[%s]}' % b",".join([b'"http://192.0.2.1:9200/"'] * 1000)
    for _ in range(2):
        book.client(get())
        book.server(answer(body))
    assert book.to_client.count(b"http://192.0.2.1:9200/") == 2000
    assert book.reasons == ["third_party_address"]


def test_a_body_that_names_many() -> None:
    """As many as one client may be told of; the others stay as they are. A playbook answers them one after the other, as a relay does."""
    book = talk(HttpConfig(rules=(Rule(json=("url",)),)))
    book.client(get())
    urls = b",".join(b'"http://10.77.2.2:%d/"' % port for port in range(20000, 21000))
    book.server(answer(b'{"url":[%s]}' % urls))
    assert (book.error, book.closed) == (None, False)
    assert book.to_client.count(b"http://gw:") == book.gate.limits.shared // 4
    assert book.to_client.count(b"http://10.77.2.2:") == 1000 - book.gate.limits.shared // 4


def test_what_was_told_is_forgotten() -> None:
    """A server that goes on naming others does not fill the memory."""
    book = talk(HttpConfig(profiles=(Profile.ELASTICSEARCH_SNIFF,)))
    for port in range(2000, 3100):
        book.client(get())
        book.server(answer(b"", b"Location: http://192.0.2.1:%d/" % port, status=b"302 Found"))
    book.client(get())
    book.server(answer(b"", b"Location: http://192.0.2.1:2000/", status=b"302 Found"))
    assert len(book.reasons) == 1101


def test_too_many_addresses() -> None:
    """Each is looked at while everybody waits."""
    for count, reasons in ((4096, []), (4097, ["too_many_addresses"])):
        book = talk(HttpConfig(rules=(Rule(json=("url",)),)))
        book.client(get())
        book.server(answer(b'{"url":[%s]}' % b",".join([b'"http://other/"'] * count)))
        assert book.reasons == reasons
