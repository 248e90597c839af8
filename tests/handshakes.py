"""TLS handshakes in memory: a server that presents a leaf, and a client that trusts one CA and checks the name."""

from __future__ import annotations

import ssl

from alg.certificates import Leaf, load_leaf


def server_context(leaf: Leaf) -> ssl.SSLContext:
    """A server that presents the leaf."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_leaf(context, leaf)
    return context


def client_context(authority_pem: bytes) -> ssl.SSLContext:
    """A client that trusts that CA and no other, checks names, and is as strict about X.509 as Python 3.13."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(cadata=authority_pem.decode("ascii"))
    assert context.check_hostname
    return context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Let both talk until both are done; the client's end is returned.

    Raises:
        ssl.SSLCertVerificationError: the client does not trust what it was shown.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(down, up, server_hostname=name),
        server.wrap_bio(up, down, server_side=True),
    ]
    left = list(ends)
    while left:
        for end in tuple(left):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(end)
    return ends[0]
