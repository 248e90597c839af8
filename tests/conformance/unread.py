"""Cases about bytes that pass unread by count, and about deadlines: both are asked of the host, and answered once."""

from __future__ import annotations

import asyncio

from tests.conformance.plugins import Unread
from tests.conformance.stage import How, Peer, Stage
from tests.conformance.steps import case, finish, has_ended, hears, last_words, says

BULK = 3 << 20
SORRY = b"sorry truncated\n"


async def _both(stage: Stage) -> list[tuple[Peer, Peer]]:
    client, server = await stage.begin(Unread)
    return [(client, server), (server, client)]


@case("4.6")
async def counted_bytes_pass_unread(stage: Stage) -> None:
    """Bytes that are no line pass, and what comes behind the last of them is read again; both ways."""
    for one, other in await _both(stage):
        await says(one, other, b"5\nabcde0\n2\n\n\nline\n0\n")
        await says(one, other, b"line\n")


@case("4.6")
async def counted_bytes_pass_unread_at_every_split(stage: Stage) -> None:
    """Wherever they, the line before and the line behind are cut."""
    message = b"5\nab\ncd3\n\n\n\nline\n"
    for one, other in await _both(stage):
        for cut in range(1, len(message)):
            await one.send(message[:cut], message[cut:])
            await hears(other, message)
        await one.send(*(b"%c" % byte for byte in message))
        await hears(other, message)


@case("4.6")
async def counted_bytes_may_be_many(stage: Stage) -> None:
    """Megabytes pass both ways at once, to the last byte, and the flow goes on behind them."""
    ways = await _both(stage)
    data = bytes(range(256)) * (BULK // 256)

    async def pour(one: Peer) -> None:
        await one.send(b"%d\n" % BULK)
        await one.send(data)
        await one.send(b"behind\n")

    async def drink(other: Peer) -> None:
        await hears(other, b"%d\n" % BULK)
        assert await other.receive(BULK) == data
        await hears(other, b"behind\n")

    for one, other in ways:
        await asyncio.gather(pour(one), drink(other))
    await asyncio.gather(*(pour(one) for one, _ in ways), *(drink(other) for _, other in ways))
    await finish(*ways[0])
    await stage.over()


@case("4.6")
async def while_bytes_pass_unread_the_other_direction_is_read(stage: Stage) -> None:
    """And may end."""
    for one, other in await _both(stage):
        await says(one, other, b"5\nab")
        await says(other, one, b"line\n")
        await says(other, one, b"2\nxyline\n")
        await says(one, other, b"cdeline\n")
    client, server = await stage.again()
    await says(client, server, b"5\nab")
    await server.end()
    await has_ended(client)
    await says(client, server, b"cdeline\n")
    await client.end()
    await has_ended(server)


@case("4.6")
async def a_client_that_ends_before_all_has_passed(stage: Stage) -> None:
    """The server must not take that for the end, and the client is told why its session ends."""
    client, server = await stage.begin(Unread)
    await says(client, server, b"5\nab")
    await client.end()
    assert (rest := await server.rest()) == (b"", How.RESET), rest
    assert await last_words(client) == SORRY
    await stage.recorded("truncated")
    await stage.over()


@case("4.6")
async def a_server_that_ends_before_all_has_passed(stage: Stage) -> None:
    """The client must not take that for the end, nor a last word of ours for the rest."""
    client, server = await stage.begin(Unread)
    await says(server, client, b"5\nab")
    await server.end()
    assert (rest := await client.rest()) == (b"", How.RESET), rest
    await stage.recorded("truncated")
    await last_words(server)
    await stage.over()


@case("4.6")
async def a_peer_that_is_lost_before_all_has_passed(stage: Stage) -> None:
    """Whoever was to get the rest sees a reset."""
    for number in range(2):
        peers = await (stage.again() if number else stage.begin(Unread))
        one, other = (peers[number], peers[1 - number])
        await says(one, other, b"5\nab")
        await one.reset()
        assert (rest := await other.rest()) == (b"", How.RESET), rest
    await stage.over()


@case("4.6")
async def a_flow_that_is_closed_before_all_has_passed(stage: Stage) -> None:
    """Whoever was to get the rest sees a reset."""
    for number in range(2):
        peers = await (stage.again() if number else stage.begin(Unread))
        one, other = (peers[number], peers[1 - number])
        await says(one, other, b"5\nab")
        await other.send(b"close\n")
        assert (rest := await other.rest()) == (b"", How.RESET), rest
        await last_words(one)
    await stage.over()


@case("4")
async def who_is_late_ends_the_flow(stage: Stage) -> None:
    """The client is told, the reason is recorded, whatever else was said until then."""
    client, server = await stage.begin(Unread)
    await client.send(b"later\nsoon\nline\n")
    await hears(client, b"so be it\nso be it\n")
    await hears(server, b"line\n")
    await stage.recorded("too_slow")
    assert await last_words(client) == b"sorry too_slow\n"
    await last_words(server)
    await stage.over()


@case("4")
async def a_deadline_passes_while_bytes_pass(stage: Stage) -> None:
    """The client is in the middle of what the server says: it sees a reset, and no last word."""
    client, server = await stage.begin(Unread)
    await server.send(b"soon\n5\nab")
    await hears(client, b"5\nab")
    await stage.recorded("too_slow")
    assert (rest := await client.rest()) == (b"", How.RESET), rest
    assert await last_words(server) == b"so be it\n"
    await stage.over()


@case("4")
async def a_deadline_can_be_put_off_and_taken_back(stage: Stage) -> None:
    """Then it ends nothing; a flow beside it that is as long in coming has been given up by then."""
    client, server = await stage.begin(Unread)
    late_client, late_server = await stage.again()
    await client.send(b"soon\nlater\nsoon\nnever\n")
    await hears(client, b"so be it\n" * 4)
    put_off, _ = others = await stage.again()
    await put_off.send(b"soon\nlater\n")
    await hears(put_off, b"so be it\n" * 2)
    await late_client.send(b"soon\n")
    await stage.recorded("too_slow")
    assert await last_words(late_client) == b"so be it\nsorry too_slow\n"
    await last_words(late_server)
    for one, other in ((client, server), others):
        await says(one, other, b"line\n")
        await says(other, one, b"line\n")
