"""Requests to be refused, by what is wrong with them, and odd ones that are right, with the messages that they are."""

from __future__ import annotations

HOST = b"Host: a\r\n"
_EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A POST with these fields, and a hidden request behind it."""
    head = b"".join(field + b"\r\n" for field in fields)
    return b"POST / HTTP/%s\r\n%s%s\r\n%s" % (version, HOST, head, body) + _EVIL


def chunked(body: bytes) -> bytes:
    """A chunked POST with that body on the wire, and a hidden request behind it."""
    return post(b"Transfer-Encoding: chunked", body=body)


_LENGTHS = (
    b"+5",
    b"-5",
    b"5_0",
    b"0x5",
    b"5 5",
    b"5,6",
    b"5.0",
    b"5e0",
    b" ",
    b"\xd9\xa3",
    b"9" * 40,
    b"5;",
    b"1" * 5000,
)
_CODINGS = (
    *(b"chunked, identity", b"identity", b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"xchunked"),
    *(b"chunked;q=1", b"\x0bchunked", b"chunke\xc4\x8f", b"chunked x", b"", b",chunked", b"deflate"),
)
_SIZES = (
    *(b"0x5", b"+5", b"-5", b"5_0", b" 5", b"5x", b"", b";", b"5;a=\x00", b"\xd9\xa3", b"1" * 17, b"G", b"5 5", b"5\r"),
    *(b"5;" + b"a" * 400, b"-0"),
)

AMBIGUOUS: dict[str, list[bytes]] = {
    "two lengths": [
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"),
        post(b"Content-Length: 5", b"content-length: 0", body=b"hello"),
    ],
    "lengths": [post(b"Content-Length: " + length, body=b"hello") for length in _LENGTHS],
    "codings": [post(b"Transfer-Encoding: " + coding, body=b"5\r\nhello\r\n0\r\n\r\n") for coding in _CODINGS],
    "coding twice": [
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post(b"Transfer-Encoding: chunked", b"Transfer-encoding: cow", body=b"0\r\n\r\n"),
    ],
    "coding in HTTP/1.0": [post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"1.0")],
    "blanks around names": [
        post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        post(b"Content-Length : 5", body=b"hello"),
        post(b" Content-Length: 5", body=b"hello"),
        post(b"X: y", b"\tContent-Length: 5", body=b"hello"),
        post(b"Content-Length\t: 5", body=b"hello"),
        post(b"Content Length: 5", body=b"hello"),
        post(b": 5", body=b"hello"),
        post(b"Content-Length", body=b"hello"),
    ],
    "line ends": [
        b"GET / HTTP/1.1\nHost: a\n\n" + _EVIL,
        b"GET / HTTP/1.1\r\nHost: a\n\r\n" + _EVIL,
        b"GET / HTTP/1.1\nHost: a\r\n\r\n" + _EVIL,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n" + _EVIL,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n" + _EVIL,
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n" + _EVIL,
        b"GET / HTTP/1.1\r\nHost: a\r\n\n" + _EVIL,
    ],
    "folded": [
        post(b"X: y", b" z"),
        post(b"Transfer-Encoding:", b" chunked"),
        post(b"Transfer-Encoding: chun", b"\tked"),
    ],
    "control characters": [
        *(post(b"X: a%cb" % bad) for bad in (0, 1, 8, 11, 12, 27, 31, 127)),
        *(post(b"X%c: ab" % bad) for bad in (0, 1, 11, 12, 27, 127, 128)),
    ],
    "chunk sizes": [chunked(size + b"\r\nhello\r\n0\r\n\r\n") for size in _SIZES],
    "chunk ends": [
        *(
            chunked(b"5\r\nhello" + end + b"0\r\n\r\n")
            for end in (b"\n", b"\r", b"XX", b"\n\r", b"\r\r", b"", b"\r\n\r\n")
        ),
        chunked(b"5\nhello\r\n0\r\n\r\n"),
        chunked(b"3\r\nhello\r\n0\r\n\r\n"),
    ],
    "trailers": [
        chunked(b"0\r\nX\r\n\r\n"),
        chunked(b"0\r\nX: y\n\r\n"),
        chunked(b"0\r\n X: y\r\n\r\n"),
        chunked(b"0\r\nX: \x00\r\n\r\n"),
        chunked(b"0\r\nX: " + b"y" * 9000 + b"\r\n\r\n"),
    ],
    "hosts": [
        b"GET / HTTP/1.1\r\n\r\n",
        *(
            b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host
            for host in (
                b"a b",
                b"a@b",
                b"a/b",
                b"a:99999",
                b"a:b",
                b"a:0",
                b"[::1",
                b"::1",
                b"a,b",
                b"[fe80::1%25lo]",
                b"[1.2]",
                b"[::1]x",
                b"a\\b",
            )
        ),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    "request lines": [
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
    "too much": [
        b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        post(b"X: " + b"y" * 20000),
        post(*(b"X: y",) * 200),
        post(*(b"X: " + b"y" * 1000,) * 20),
    ],
}

PLAIN: dict[str, tuple[bytes, list[tuple[bytes, bytes, bytes]]]] = {
    "two in a row": (
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost:a\r\n\r\n",
        [(b"GET", b"/1", b""), (b"GET", b"/2", b"")],
    ),
    "a request in a body": (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\nGET /x HTTP/1.1\r\nHost: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        [(b"POST", b"/1", b"GET /x HTTP/1.1\r\nHost: b\r\n\r\n"), (b"GET", b"/2", b"")],
    ),
    "length given twice alike": (
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        [(b"POST", b"/1", b"hi"), (b"GET", b"/2", b"")],
    ),
    "chunks with extensions and trailers": (
        (
            b'POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n003 ;a=b;c="d"\r\nabc\r\n0A\r\n0123456789\r\n'
            b"0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        [(b"POST", b"/1", b"abc0123456789"), (b"GET", b"/2", b"")],
    ),
    "connection lists what frames it": (
        (
            b"POST /1 HTTP/1.1\r\nHost: a\r\nConnection: content-length, host, x\r\nX: y\r\nContent-Length: 2\r\n\r\nhi"
            b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        ),
        [(b"POST", b"/1", b"hi"), (b"GET", b"/2", b"")],
    ),
    "empty lines first": (
        b"\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        [(b"GET", b"/1", b""), (b"GET", b"/2", b"")],
    ),
    "absolute targets": (
        (
            b"GET http://a HTTP/1.1\r\nHost: b\r\n\r\nGET http://a?x HTTP/1.1\r\nHost: b\r\n\r\n"
            b"GET http://a/x?http://c HTTP/1.1\r\nHost: b\r\n\r\n"
        ),
        [(b"GET", b"/", b""), (b"GET", b"/?x", b""), (b"GET", b"/x?http://c", b"")],
    ),
}
