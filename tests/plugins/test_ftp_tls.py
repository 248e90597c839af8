"""FTPS where the cut of the bytes is the point: what is said ahead of a handshake, and what handshakes that fail come to."""

from __future__ import annotations

import pytest
from alg_ftp import FtpConfig, FtpPlugin

from alg.plugin import Side, TlsError
from alg.testing import Playbook, TlsPolicy

CLIENT, NEVER, REQUIRE = TlsPolicy.CLIENT, TlsPolicy.NEVER, TlsPolicy.REQUIRE


def talking(client: TlsPolicy, server: TlsPolicy, *, hold: bool = False, config: FtpConfig | None = None) -> Playbook:
    """A session under these policies, before the greeting."""
    return Playbook(FtpPlugin, config, client_tls=client, server_tls=server, hold=hold)


BEHIND = [b"PORT 10,2,0,9,0,25\r\nUSER x\r\n", b"USER x\r\n", b"\x16\x03\x01", b"\r\n", b"U"]


@pytest.mark.parametrize("behind", BEHIND)
def test_bytes_behind_auth_end_the_session(behind: bytes) -> None:
    """T20: in one segment with AUTH: no 234, nothing of it reaches the server, and one record says why."""
    talk = talking(CLIENT, NEVER)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n" + behind)
    assert talk.reasons == ["bytes_before_tls"]
    assert (talk.closed, talk.to_server, talk.tls_changes) == (True, b"", [])
    assert b"234" not in talk.to_client


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("reply", [b"234 go ahead\r\n", b"500 what?\r\n"])
def test_bytes_behind_auth_end_the_session_whatever_the_server_says(behind: bytes, reply: bytes) -> None:
    """T20: where the server is asked first; it sees AUTH and nothing else."""
    talk = talking(CLIENT, CLIENT)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n" + behind)
    talk.server(reply)
    assert talk.reasons == ["bytes_before_tls"]
    assert (talk.closed, talk.to_server, talk.tls_changes) == (True, b"AUTH TLS\r\n", [])
    assert b"234" not in talk.to_client


def test_bytes_that_come_during_the_handshake_with_the_server() -> None:
    """T20: a client that does not wait for its 234 is found out when its own handshake is due."""
    talk = talking(CLIENT, CLIENT, hold=True)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.server(b"234 go ahead\r\n")
    talk.client(b"USER mallory\r\n")
    talk.answer()
    assert (talk.reasons, talk.tls_changes) == (["bytes_before_tls"], ["server"])
    assert (talk.closed, talk.to_server) == (True, b"AUTH TLS\r\n")
    assert b"234" not in talk.to_client


@pytest.mark.parametrize("policy", [CLIENT, REQUIRE])
@pytest.mark.parametrize(
    "behind", [b"230 logged in\r\n227 (10,77,2,9,0,25)\r\n", b"2", b"\x16\x03\x03", b"421 bye\r\n"]
)
def test_bytes_behind_234_end_the_session(policy: TlsPolicy, behind: bytes) -> None:
    """T21: the client sees nothing of what the server said in the clear behind 234, and there is no handshake."""
    talk = talking(CLIENT, policy)
    talk.server(b"220 ready\r\n")
    if policy is CLIENT:
        talk.client(b"AUTH TLS\r\n")
    greeted = talk.to_client
    talk.server(b"234 ok\r\n" + behind)
    assert talk.reasons == ["bytes_before_tls"]
    assert (talk.closed, talk.to_server, talk.tls_changes) == (True, b"AUTH TLS\r\n", [])
    assert talk.to_client.startswith(greeted + b"421 Closing the connection: the server ")
    assert talk.to_client.count(b"\n") == greeted.count(b"\n") + 1


def test_bytes_behind_234_end_the_session_where_tls_passes() -> None:
    """T21: also where the handshake is between client and server."""
    talk = talking(TlsPolicy.PASS, CLIENT)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.server(b"234 ok\r\n230 logged in\r\n")
    assert (talk.reasons, talk.closed) == (["bytes_before_tls"], True)
    assert b"230" not in talk.to_client


def test_what_is_opaque_opens_nothing() -> None:
    """T69: after AUTH that passes through, chosen bytes in any direction are nobody's business."""
    talk = talking(TlsPolicy.PASS, CLIENT)
    talk.server(b"220 ready\r\n")
    talk.client(b"EPSV\r\n")
    talk.server(b"229 (|||40112|)\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.server(b"234 ok\r\n")
    assert talk.reasons == ["rewrite", "opaque"]
    assert not talk.leases
    talk.client(b"PASV\r\n\x17\x03\x03PORT 10,77,1,2,156,64\r\n\0")
    talk.server(b"227 (10,77,2,2,156,176)\r\n\xff\r229 (|||40112|)\r\n")
    assert len(talk.expectations) == 1
    assert talk.to_server.endswith(b"\r\n\0")
    assert talk.to_client.endswith(b"227 (10,77,2,2,156,176)\r\n\xff\r229 (|||40112|)\r\n")
    assert not talk.closed


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TlsError("no", reason="certificate_refused"), b"421 The server's certificate is not to be trusted.\r\n"),
        (TlsError("no", reason="tls_failed"), b"421 TLS with the server failed.\r\n"),
        (TlsError("no", reason="tls_refused"), b"421 TLS is required, and the server does not offer it.\r\n"),
    ],
)
def test_a_handshake_that_fails_ends_the_session(error: TlsError, words: bytes) -> None:
    """T22: nothing falls back; no word of the client has reached the server, and it is told why."""
    for policy in (CLIENT, REQUIRE):
        talk = talking(CLIENT, policy, hold=True)
        talk.server(b"220 ready\r\n")
        talk.client(b"AUTH TLS\r\n" if policy is CLIENT else b"")
        talk.server(b"234 go ahead\r\n")
        talk.answer(error)
        talk.client(b"USER alice\r\n")
        assert (talk.closed, talk.to_server, talk.error) == (True, b"AUTH TLS\r\n", error)
        assert talk.to_client.endswith(words)


def test_a_handshake_with_the_client_that_fails_ends_the_session() -> None:
    """T22: neither side goes on in the clear."""
    talk = talking(CLIENT, NEVER, hold=True)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.answer(TlsError("garbage", reason="tls_failed"))
    talk.client(b"USER alice\r\n")
    assert (talk.closed, talk.to_server) == (True, b"")


def test_ccc_that_the_client_does_not_agree_on_ends_the_session() -> None:
    """The leg is neither in the clear nor under TLS then."""
    talk = talking(CLIENT, NEVER, hold=True, config=FtpConfig(ccc=True))
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.answer()
    talk.client(b"USER alice\r\n")
    talk.server(b"230 welcome\r\n")
    talk.client(b"CCC\r\n")
    talk.answer(TlsError("no close_notify", reason="tls_failed"))
    talk.client(b"DELE x\r\n")
    assert (talk.closed, talk.to_server) == (True, b"USER alice\r\n")


@pytest.mark.parametrize("code", [421, 431, 500, 502, 504, 530, 534])
@pytest.mark.parametrize("client", [NEVER, CLIENT, REQUIRE])
def test_a_server_without_tls_never_hears_of_the_user(client: TlsPolicy, code: int) -> None:
    """T22: TLS is required on one leg or the other, and the server refuses it with whatever code."""
    for server in (CLIENT, REQUIRE) if client is REQUIRE else (REQUIRE,):
        talk = talking(client, server)
        talk.server(b"220 ready\r\n")
        talk.client(b"AUTH TLS\r\n" if server is CLIENT else b"")
        talk.server(b"%d no\r\n" % code)
        talk.client(b"FEAT\r\n")
        talk.server(b"211-Features\r\n SIZE\r\n211 End\r\n")
        talk.client(b"USER alice\r\nPASS secret\r\nACCT x\r\nPASV\r\nRETR file\r\n")
        talk.server(b"331 go\r\n230 welcome\r\n")
        assert not {b"USER", b"PASS", b"ACCT", b"PASV", b"RETR"} & set(talk.to_server.split())
        assert talk.tls_changes == []


def test_the_greeting_may_come_in_pieces_and_late() -> None:
    """What a client says before the greeting waits for TLS toward the server, where that is required."""
    talk = talking(NEVER, REQUIRE)
    talk.client(b"USER alice\r\n")
    talk.server(b"120 soon\r\n")
    talk.server(b"220-\r\n2")
    assert talk.to_server == b""
    talk.server(b"20 ready\r\n")
    assert (talk.closed, talk.to_server) == (False, b"AUTH TLS\r\n")


def test_a_server_that_leaves_without_an_answer() -> None:
    """The session ends; nothing that waited for the answer goes on in the clear."""
    talk = talking(CLIENT, CLIENT)
    talk.server(b"220 ready\r\n")
    talk.client(b"AUTH TLS\r\n")
    talk.end(Side.SERVER)
    assert (talk.closed, talk.error, talk.tls_changes) == (True, None, [])
