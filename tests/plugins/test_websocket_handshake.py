"""WebSocket handshakes: what is an upgrade, and what only looks like one (T24); deflate, one leg at a time."""

from __future__ import annotations

from dataclasses import replace

import h11
import pytest
from alg_http import handshake
from alg_http.handshake import Agreement, Extension, Offer
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from alg.plugin import ProtocolError

Fields = list[tuple[bytes, bytes]]

# RFC 6455 section 1.3.
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

REQUEST: Fields = [
    (b"host", b"server.example.com"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"origin", b"http://example.com"),
    (b"sec-websocket-protocol", b"chat, superchat"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits, x-other;a=b"),
]
RESPONSE: Fields = [
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-accept", ACCEPT),
    (b"sec-websocket-protocol", b"chat"),
]
DEFLATE = Extension("permessage-deflate", (("client_max_window_bits", None),))
OFFER = Offer(KEY, ("chat", "superchat"), (DEFLATE, Extension("x-other", (("a", "b"),))))


def changed(fields: Fields, name: bytes, *values: bytes) -> Fields:
    """The fields, with these values for one name: none, one, or several."""
    return [each for each in fields if each[0] != name] + [(name, value) for value in values]


def fault(fields: Fields, method: bytes = b"GET", version: bytes = b"1.1") -> tuple[str, str]:
    """For what a request is refused: the reason and the message."""
    with pytest.raises(ProtocolError) as refusal:
        handshake.check_request(method, version, fields)
    return refusal.value.reason, str(refusal.value)


# The request (RFC 6455 section 4.2.1).


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        *((b"websocket", True), (b"WebSocket", True), (b"h2c, websocket", True), (b"websocket,h2c", True)),
        *((b"h2c", False), (b"websockets", False), (b"web socket", False), (b"", False), (b"\xff", False)),
    ],
)
def test_what_asks_for_a_websocket(value: bytes, asked: bool) -> None:
    """T27: nothing else is an upgrade for us; several things at once are looked at, and refused later."""
    assert handshake.is_upgrade([(b"host", b"x"), (b"upgrade", value)]) is asked
    assert handshake.is_upgrade([(b"upgrade", b"foo"), (b"upgrade", value)]) is asked
    assert not handshake.is_upgrade([(b"connection", value)])


def test_the_request_of_the_rfc() -> None:
    """RFC 6455 section 1.2, with extensions; as h11 has it."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"GET /chat HTTP/1.1\r\n" + b"".join(b"%s: %s\r\n" % each for each in REQUEST) + b"\r\n")
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    assert handshake.is_upgrade(list(request.headers))
    assert handshake.check_request(request.method, request.http_version, list(request.headers)) == OFFER


@pytest.mark.parametrize(
    ("fields", "offer"),
    [
        (changed(REQUEST, b"connection", b"keep-alive, Upgrade"), OFFER),
        (changed(REQUEST, b"connection", b"keep-alive", b"upgrade"), OFFER),
        (changed(REQUEST, b"upgrade", b"WebSocket "), OFFER),
        (changed(REQUEST, b"content-length", b"0"), OFFER),
        (changed(REQUEST, b"sec-websocket-protocol", b"chat", b"superchat"), OFFER),
        (changed(REQUEST, b"sec-websocket-protocol"), replace(OFFER, subprotocols=())),
        (changed(REQUEST, b"sec-websocket-extensions"), replace(OFFER, extensions=())),
        # The key of RFC 6455 section 4.1, which has bits left over.
        (
            changed(REQUEST, b"sec-websocket-key", b"AQIDBAUGBwgJCgsMDQ4PEC=="),
            replace(OFFER, key=b"AQIDBAUGBwgJCgsMDQ4PEC=="),
        ),
        (
            changed(REQUEST, b"sec-websocket-extensions", b'a; b="c"; d', b"permessage-deflate"),
            replace(OFFER, extensions=(Extension("a", (("b", "c"), ("d", None))), Extension("permessage-deflate"))),
        ),
    ],
)
def test_other_spellings_of_a_request(fields: Fields, offer: Offer) -> None:
    """Lists may be spread over fields, options have no case, and what is optional may lack."""
    assert handshake.check_request(b"GET", b"1.1", fields) == offer


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        *((b"connection", values, "does not upgrade") for values in ((), (b"keep-alive",), (b"upgraded",))),
        *((b"connection", values, "malformed connection") for values in ((b"",), (b"up grade",), (b"Upgrade;",))),
        *((b"upgrade", values, "something else") for values in ((b"foo",), (b"websocket, h2c",), (b"websocket/13",))),
        *((b"upgrade", values, "upgrade") for values in ((), (b"websocket", b"websocket"), (b"websocket", b"h2c"))),
        *((b"content-length", values, "a body") for values in ((b"5",), (b"00",), (b"",), (b"0", b"5"), (b"+0",))),
        *((b"transfer-encoding", values, "a body") for values in ((b"chunked",), (b"identity",), (b"",))),
        *((b"sec-websocket-key", values, "times") for values in ((), (KEY, KEY))),
        *(
            (b"sec-websocket-key", (key,), "base64")
            for key in (b"", KEY[:-1], KEY + b"=", b"AAAA" + KEY, b"-" + KEY[1:])
        ),
        *(
            (b"sec-websocket-key", (key,), "base64")
            for key in (KEY[:21] + b"===", KEY[:10] + b" " + KEY[11:], b"=" * 24)
        ),
        *((b"sec-websocket-protocol", values, "twice") for values in ((b"chat, chat",), (b"chat", b"a,chat"))),
        *((b"sec-websocket-protocol", values, "malformed") for values in ((b"",), (b"a b",), (b"a/b",), (b"\xe9",))),
        *(
            (b"sec-websocket-extensions", (value,), "malformed")
            for value in (b"", b";", b"a;", b"a b", b"a;b=", b"a;=c")
        ),
        *((b"sec-websocket-extensions", (value,), "malformed") for value in (b'a;b="', b'a;b="c d"', b'a;b="\\\xff"')),
    ],
)
def test_a_wrong_request_is_refused(name: bytes, values: tuple[bytes, ...], words: str) -> None:
    """Each field that counts; the message names the fault."""
    reason, message = fault(changed(REQUEST, name, *values))
    assert reason == "bad_upgrade"
    assert words in message
    assert message.isascii()


@pytest.mark.parametrize("method", [b"POST", b"HEAD", b"CONNECT", b"get"])
def test_only_get_asks_for_a_websocket(method: bytes) -> None:
    """T24: 101 to POST."""
    assert fault(REQUEST, method=method) == ("bad_upgrade", "the WebSocket request is no GET")


@pytest.mark.parametrize("version", [b"1.0", b"0.9", b"2", b"1.2"])
def test_only_http_1_1_can_be_upgraded(version: bytes) -> None:
    """HTTP/1.0 has no upgrade, HTTP/2 another one (RFC 8441)."""
    assert fault(REQUEST, version=version) == ("bad_upgrade", "the WebSocket request is not HTTP/1.1")


@pytest.mark.parametrize(
    "versions", [(), (b"1337",), (b"8",), (b"13, 8",), (b"13", b"13"), (b"013",), (b"",), (b"13", b"8")]
)
def test_another_version_has_a_reason_of_its_own(versions: tuple[bytes, ...]) -> None:
    """T24: the answer is 426 (RFC 6455 section 4.4); old clients have other keys, so this is told before them."""
    fields = changed(changed(REQUEST, b"sec-websocket-version", *versions), b"sec-websocket-key")
    assert fault(fields)[0] == "websocket_version"


# The response (RFC 6455 section 4.1, at the end).


def refused(offer: Offer, fields: Fields) -> str:
    """The message with which a response is refused."""
    with pytest.raises(ProtocolError) as refusal:
        handshake.check_response(offer, fields)
    assert refusal.value.reason == "fake_upgrade"
    return str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "agreement"),
    [
        (RESPONSE, Agreement("chat")),
        (changed(RESPONSE, b"sec-websocket-protocol"), Agreement()),
        (changed(RESPONSE, b"upgrade", b"WebSocket"), Agreement("chat")),
        (changed(RESPONSE, b"connection", b"upgrade, keep-alive"), Agreement("chat")),
        (changed(RESPONSE, b"content-length", b"0"), Agreement("chat")),
        (
            changed(RESPONSE, b"sec-websocket-extensions", b"x-other;q, permessage-deflate"),
            Agreement("chat", (Extension("x-other", (("q", None),)), Extension("permessage-deflate"))),
        ),
    ],
)
def test_an_answer_to_an_offer(fields: Fields, agreement: Agreement) -> None:
    """The one of RFC 6455 section 1.2, and its variants."""
    assert handshake.check_response(OFFER, fields) == agreement


FORGED = {
    "no upgrade": (changed(RESPONSE, b"upgrade"), "upgrade 0 times"),
    "upgrade to something else": (changed(RESPONSE, b"upgrade", b"foo"), "something else"),
    "upgrade to two things": (changed(RESPONSE, b"upgrade", b"websocket, h2c"), "something else"),
    "no connection": (changed(RESPONSE, b"connection"), "does not upgrade"),
    "connection closes": (changed(RESPONSE, b"connection", b"close"), "does not upgrade"),
    "no accept": (changed(RESPONSE, b"sec-websocket-accept"), "accept 0 times"),
    "wrong accept": (changed(RESPONSE, b"sec-websocket-accept", handshake.accept_value(b"x")), "does not belong"),
    "accept in another case": (changed(RESPONSE, b"sec-websocket-accept", ACCEPT.lower()), "does not belong"),
    "the key as accept": (changed(RESPONSE, b"sec-websocket-accept", KEY), "does not belong"),
    "accept twice": (changed(RESPONSE, b"sec-websocket-accept", ACCEPT, ACCEPT), "accept 2 times"),
    "a body by length": (changed(RESPONSE, b"content-length", b"20"), "a body"),
    "a body by chunks": (changed(RESPONSE, b"transfer-encoding", b"chunked"), "a body"),
    "a page": ([(b"content-type", b"text/html"), (b"content-length", b"0")], "does not upgrade"),
    "unknown subprotocol": (changed(RESPONSE, b"sec-websocket-protocol", b"ftp"), "was not offered"),
    "subprotocol in another case": (changed(RESPONSE, b"sec-websocket-protocol", b"Chat"), "was not offered"),
    "two subprotocols": (changed(RESPONSE, b"sec-websocket-protocol", b"chat, superchat"), "more than one"),
    "subprotocol twice": (changed(RESPONSE, b"sec-websocket-protocol", b"chat", b"chat"), "protocol twice"),
    "malformed subprotocol": (changed(RESPONSE, b"sec-websocket-protocol", b"(chat)"), "malformed"),
    "unknown extension": (changed(RESPONSE, b"sec-websocket-extensions", b"x-new"), "was not offered"),
    "extension twice": (changed(RESPONSE, b"sec-websocket-extensions", b"x-other, x-other;a"), "extension twice"),
    "extensions in two fields": (changed(RESPONSE, b"sec-websocket-extensions", b"x-other", b"x-other"), "twice"),
    "malformed extension": (changed(RESPONSE, b"sec-websocket-extensions", b"x-other;;"), "malformed"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_upgrade_is_refused(name: str) -> None:
    """T24: before a byte of what follows is taken for frames; the message names the fault."""
    fields, words = FORGED[name]
    assert words in refused(OFFER, fields)


def test_what_was_not_offered_at_all() -> None:
    """To an offer without subprotocols and extensions there is one answer."""
    offer = Offer(KEY)
    assert handshake.check_response(offer, RESPONSE[:3]) == Agreement()
    assert "subprotocol" in refused(offer, RESPONSE)
    assert "extension" in refused(offer, [*RESPONSE[:3], (b"sec-websocket-extensions", b"permessage-deflate")])


def test_the_accept_value_of_the_rfc() -> None:
    """RFC 6455 section 1.3."""
    assert handshake.accept_value(KEY) == ACCEPT


fields_of_any_kind = st.lists(
    st.tuples(
        st.sampled_from(sorted({name for name, _ in REQUEST + RESPONSE} | {b"content-length", b"transfer-encoding"})),
        st.sampled_from([value for _, value in REQUEST + RESPONSE]) | st.binary(max_size=20),
    ),
    max_size=10,
)


@given(fields_of_any_kind)
def test_whatever_the_fields_nothing_else_is_raised(fields: Fields) -> None:
    """Semantic 8: a peer can only cause a `ProtocolError`; and what is accepted has what it must have."""
    handshake.is_upgrade(fields)
    try:
        offer = handshake.check_request(b"GET", b"1.1", REQUEST + fields)
        assert len(set(offer.subprotocols)) == len(offer.subprotocols)
        handshake.accept_client(offer)
    except ProtocolError as problem:
        assert problem.reason in ("bad_upgrade", "websocket_version")
    try:
        handshake.accept_server(handshake.check_response(OFFER, RESPONSE + fields))
    except ProtocolError as problem:
        assert problem.reason == "fake_upgrade"


# Deflate toward the server (RFC 7692 section 5).


def agreed(value: bytes) -> Agreement:
    """What a server agrees to that answers our own offer with this value."""
    offer = Offer(KEY, extensions=(handshake.OFFERED_DEFLATE,))
    return handshake.check_response(offer, [*RESPONSE[:3], (b"sec-websocket-extensions", value)])


def test_our_offer_says_what_we_compare_with() -> None:
    """The value that is sent is the extension that the response is checked against."""
    assert handshake.offer_deflate() == b"permessage-deflate; client_max_window_bits"
    request = changed(REQUEST, b"sec-websocket-extensions", handshake.offer_deflate())
    assert handshake.check_request(b"GET", b"1.1", request).extensions == (handshake.OFFERED_DEFLATE,)


@pytest.mark.parametrize(
    ("value", "takeover", "windows"),
    [
        (b"permessage-deflate", (True, True), (15, 12)),
        (b"permessage-deflate; server_no_context_takeover", (False, True), (15, 12)),
        (b"permessage-deflate; client_no_context_takeover", (True, False), (15, 12)),
        (b"permessage-deflate; server_max_window_bits=8; client_max_window_bits=9", (True, True), (8, 9)),
        (b'permessage-deflate; server_max_window_bits="10"; client_max_window_bits=15', (True, True), (10, 12)),
    ],
)
def test_what_a_server_may_answer(value: bytes, takeover: tuple[bool, bool], windows: tuple[int, int]) -> None:
    """RFC 7692 section 7.1: the window that we compress with is never larger than 12 bits, to bound the memory."""
    deflate = handshake.accept_server(agreed(value))
    assert deflate is not None
    assert (not deflate.remote_no_context_takeover, not deflate.local_no_context_takeover) == takeover
    assert (deflate.remote_max_window_bits, deflate.local_max_window_bits) == windows
    assert deflate.encode(Frame(Opcode.TEXT, b"x")).rsv1


def test_a_server_that_does_not_compress() -> None:
    """Is one without the extension."""
    assert handshake.accept_server(Agreement("chat")) is None


@pytest.mark.parametrize(
    "value",
    [
        *(b"permessage-deflate; client_max_window_bits", b"permessage-deflate; client_max_window_bits=16"),
        *(b"permessage-deflate; client_max_window_bits=8", b"permessage-deflate; server_max_window_bits"),
        *(b"permessage-deflate; server_max_window_bits=7", b"permessage-deflate; server_max_window_bits=012"),
        *(b"permessage-deflate; x", b"permessage-deflate; server_no_context_takeover=1"),
        *(b"permessage-deflate; client_no_context_takeover; client_no_context_takeover",),
    ],
)
def test_what_a_server_must_not_answer(value: bytes) -> None:
    """RFC 7692 section 7.1: parameters that are unknown, doubled, without or with a wrong value; 8 bits zlib cannot do."""
    with pytest.raises(ProtocolError) as refusal:
        handshake.accept_server(agreed(value))
    assert refusal.value.reason == "fake_upgrade"


@pytest.mark.parametrize("names", [("x-other",), ("permessage-deflate", "x-other")])
def test_other_extensions_are_not_for_those_who_read_frames(names: tuple[str, ...]) -> None:
    """They would change what frames mean."""
    with pytest.raises(ProtocolError, match="not offered"):
        handshake.accept_server(Agreement(None, tuple(map(Extension, names))))


# Deflate toward the client.


def chosen(value: bytes) -> bytes | None:
    """How our 101 answers a client's offer; what stands on the leg is what the answer says."""
    offer = handshake.check_request(b"GET", b"1.1", changed(REQUEST, b"sec-websocket-extensions", value))
    deflate, answer = handshake.accept_client(offer)
    assert (deflate is None) is (answer is None)
    if deflate and answer:
        fields = [*RESPONSE[:3], (b"sec-websocket-extensions", answer)]
        (extension,) = handshake.check_response(offer, fields).extensions
        said = dict(extension.parameters)
        assert deflate.remote_no_context_takeover is ("client_no_context_takeover" in said)
        assert deflate.local_no_context_takeover is ("server_no_context_takeover" in said)
        assert deflate.remote_max_window_bits == int(said.get("client_max_window_bits") or 15)
        assert deflate.local_max_window_bits == int(said["server_max_window_bits"] or 0)
    return answer


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"permessage-deflate", b"; server_max_window_bits=12"),
        (b"permessage-deflate; client_max_window_bits", b"; server_max_window_bits=12; client_max_window_bits=12"),
        (b"permessage-deflate; client_max_window_bits=8", b"; server_max_window_bits=12; client_max_window_bits=8"),
        (b"permessage-deflate; server_max_window_bits=9", b"; server_max_window_bits=9"),
        (b"permessage-deflate; server_max_window_bits=15", b"; server_max_window_bits=12"),
        (
            b"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            b"; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        # The first that we understand: the others are declined (RFC 7692 section 5.1).
        (b"x-other, permessage-deflate; x=1, permessage-deflate", b"; server_max_window_bits=12"),
        (b"permessage-deflate; server_max_window_bits=8, permessage-deflate", b"; server_max_window_bits=12"),
    ],
)
def test_what_we_choose_out_of_an_offer(value: bytes, answer: bytes) -> None:
    """What we compress with has 4 KiB at most; a client that can is asked for the same."""
    assert chosen(value) == b"permessage-deflate" + answer


@pytest.mark.parametrize(
    "value",
    [
        *(b"x-other", b"permessage-deflate; x", b"permessage-deflate; server_max_window_bits=8"),
        *(b"permessage-deflate; server_max_window_bits", b"permessage-deflate; client_max_window_bits=16"),
    ],
)
def test_what_we_decline(value: bytes) -> None:
    """Then there is no compression on that leg, and no header."""
    assert chosen(value) is None


def test_the_two_ends_of_a_leg_understand_each_other() -> None:
    """What we compress the library inflates, with what was negotiated, and the other way round."""
    deflate = handshake.accept_server(
        agreed(b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10")
    )
    assert deflate is not None
    server = PerMessageDeflate(False, False, 10, 9)
    for payload in (b"", b"", b"abc" * 2000, bytes(range(256)) * 20):
        assert server.decode(deflate.encode(Frame(Opcode.BINARY, payload))).data == payload
        sent = bytes(server.encode(Frame(Opcode.BINARY, payload)).data)
        assert deflate.inflate(sent, first=True, final=True, room=10000) == payload
