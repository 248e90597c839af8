"""Cases about TLS in the middle of a session: semantic 5 of the design's section 4. `start_tls` is a barrier."""

from __future__ import annotations

import asyncio

from alg.core.model import Side
from tests.conformance.announcers import Covered
from tests.conformance.plugins import Securing
from tests.conformance.stage import Peer, Stage, Terms, Who
from tests.conformance.steps import announce, case, finish, has_ended, hears, joined, last_words, says, talk

CLIENT, SERVER = Terms(tls=(Side.CLIENT,)), Terms(tls=(Side.SERVER,))
BOTH = Terms(tls=(Side.CLIENT, Side.SERVER))


@case("4.5")
async def tls_begins_on_the_leg_of_the_client(stage: Stage) -> None:
    """In the middle of the stream, after a word in the clear; the server's leg stays in the clear."""
    client, server = await stage.begin(Securing, CLIENT)
    await says(client, server, b"in the clear\n")
    await client.send(b"tls client\n")
    await hears(client, b"go\n")
    await client.start_tls()
    await hears(client, b"done\n")
    await client.send(b"secure\n")
    await hears(client, b"secure: client\n")
    await says(client, server, b"up\n")
    await says(server, client, b"down\n")
    await finish(server, client)
    await stage.over()


@case("4.5")
async def tls_begins_on_the_leg_of_the_server(stage: Stage) -> None:
    """We are its TLS client; the client's leg stays in the clear."""
    client, server = await stage.begin(Securing, SERVER)
    await says(server, client, b"in the clear\n")
    await client.send(b"tls server\n")
    await asyncio.gather(server.start_tls(), hears(client, b"done\n"))
    await client.send(b"secure\n")
    await hears(client, b"secure: server\n")
    await says(client, server, b"up\n")
    await says(server, client, b"down\n")
    await finish(client, server)
    await stage.over()


@case("4.5")
async def tls_begins_on_both_legs(stage: Stage) -> None:
    """The server's first, as FTPS has it."""
    client, server = await stage.begin(Securing, BOTH)
    await says(client, server, b"in the clear\n")

    async def client_shakes() -> None:
        await client.send(b"tls server client\n")
        await hears(client, b"go\n")
        await client.start_tls()
        await hears(client, b"done\n")

    await asyncio.gather(client_shakes(), server.start_tls())
    await client.send(b"secure\n")
    await hears(client, b"secure: client server\n")
    await says(client, server, b"up\n")
    await says(server, client, b"down\n")
    await client.end()
    await has_ended(server)


@case("4")
async def a_related_flow_is_tls_from_its_first_byte(stage: Stage) -> None:
    """On both legs: toward the client we are the TLS server, toward the server the client; whoever connects."""
    client, server = await stage.begin(Covered, BOTH)
    for one, other, who in ((server, client, Who.CLIENT), (client, server, Who.SERVER)):
        target = stage.listen(Who.SERVER if one is server else Who.CLIENT)
        opener, accepted = await joined(stage, await announce(one, other, target.endpoint), target, who)
        await asyncio.gather(opener.start_tls(), accepted.start_tls())
        await talk(opener, accepted)


@case("6")
async def half_close_by_a_client_under_tls(stage: Stage) -> None:
    """It says close_notify, and still gets what the server says, and its end."""
    client, server = await stage.begin(Securing, CLIENT)
    await client.send(b"tls client\n")
    await hears(client, b"go\n")
    await client.start_tls()
    await hears(client, b"done\n")
    await _half_close(client, server)
    await stage.over()


@case("6")
async def half_close_by_a_server_under_tls(stage: Stage) -> None:
    """It says close_notify, and still gets what the client says, and its end."""
    client, server = await stage.begin(Securing, SERVER)
    await client.send(b"tls server\n")
    await asyncio.gather(server.start_tls(), hears(client, b"done\n"))
    await _half_close(server, client)
    await stage.over()


async def _half_close(one: Peer, other: Peer) -> None:
    await says(one, other, b"request\n")
    await one.end()
    await has_ended(other)
    await says(other, one, b"answer\n")
    await other.end()
    await has_ended(one)


@case("4.5")
async def tls_is_refused_behind_bytes_of_the_client(stage: Stage) -> None:
    """What was pipelined in the clear behind the command must never count as said within TLS."""
    client, server = await stage.begin(Securing, CLIENT)
    await client.send(b"tls client\nsecret\n")
    heard = await last_words(server)
    assert heard == b"", heard
    told = await last_words(client)
    assert told in (b"", b"go\n"), told
    await stage.recorded("bytes_before_tls")
    await stage.over()


@case("4.5")
async def tls_is_refused_behind_bytes_of_the_server(stage: Stage) -> None:
    """Half a line of the server's, in the clear, is unread when TLS is to begin."""
    client, server = await stage.begin(Securing, SERVER)
    await server.send(b"line\nsecret")
    await hears(client, b"line\n")
    await client.send(b"tls server\n")
    told = await last_words(client)
    assert told == b"", told
    heard = await last_words(server)
    assert heard == b"", heard
    await stage.recorded("bytes_before_tls")
    await stage.over()


@case("4.5")
async def tls_on_one_leg_is_refused_behind_bytes_of_the_other(stage: Stage) -> None:
    """The barrier holds for both sides: the client's leg is to become TLS while the server's words are half read."""
    client, server = await stage.begin(Securing, CLIENT)
    await server.send(b"line\nsecret")
    await hears(client, b"line\n")
    await client.send(b"tls client\n")
    told = await last_words(client)
    assert told in (b"", b"go\n"), told
    await last_words(server)
    await stage.recorded("bytes_before_tls")
    await stage.over()
