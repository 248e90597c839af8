"""Cases about related flows: bytes both ways, their ends, their outcomes, what treats them; and the ends of master flows."""

from __future__ import annotations

import asyncio
import hashlib
import itertools

from tests.conformance.announcers import Announcing, Brief, Counting, Meeting, Treated
from tests.conformance.plugins import Passing, endpoint_in
from tests.conformance.stage import How, Peer, Stage, Who
from tests.conformance.steps import Pair, announce, case, finish, has_ended, hears, joined, last_words, says, talk

BIG = 8 << 20
"""Bytes of a large transfer."""
PIECE = 64 << 10


async def pair(stage: Stage, plugin: type[Announcing] = Announcing) -> Pair:
    """A session whose server has something to announce."""
    client, server = await stage.begin(plugin)
    return Pair(client, server, stage.listen(Who.SERVER))


async def led(stage: Stage, session: Pair) -> tuple[Peer, Peer]:
    """A related flow that the client opens to the server's target; return both ends."""
    return await joined(stage, await session.announced(), session.target)


@case("4")
async def a_passive_flow_carries_both_ways(stage: Stage) -> None:
    """The client connects to what the server announced; bytes that no line could hold pass, and the end does."""
    opener, accepted = await led(stage, await pair(stage))
    for one, other in ((opener, accepted), (accepted, opener)):
        await says(one, other, bytes(range(256)) * 8)
    await finish(opener, accepted)
    await stage.recorded("flow_close")


@case("4")
async def an_active_flow_carries_both_ways(stage: Stage) -> None:
    """The server connects to what the client announced."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.CLIENT)
    told = await announce(client, server, target.endpoint)
    opener, accepted = await joined(stage, told, target, Who.SERVER)
    for one, other in ((opener, accepted), (accepted, opener)):
        await says(one, other, bytes(range(256)) * 8)
    await finish(opener, accepted)
    await stage.recorded("flow_close")


@case("4")
async def a_target_may_speak_first(stage: Stage) -> None:
    """The client says nothing, and gets all that the server's target says, with its end."""
    opener, accepted = await led(stage, await pair(stage))
    await says(accepted, opener, b"a file")
    await finish(accepted, opener)


@case("4")
async def an_opener_may_speak_first(stage: Stage) -> None:
    """What it says before the target has accepted arrives, with its end."""
    session = await pair(stage)
    opener = await stage.connect(await session.announced(), Who.CLIENT)
    await opener.send(b"a file")
    await opener.end()
    accepted = await session.target.accept()
    assert await accepted.rest() == (b"a file", How.END)
    await accepted.end()
    await has_ended(opener)


@case("6")
async def a_large_transfer_is_intact(stage: Stage) -> None:
    """8 MiB through an opaque flow, down and up, byte for byte."""
    session = await pair(stage)
    for down in (True, False):
        opener, accepted = await led(stage, session)
        sender, receiver = (accepted, opener) if down else (opener, accepted)
        await _transfer(sender, receiver)
        await finish(sender, receiver)


async def _transfer(sender: Peer, receiver: Peer) -> None:
    """Send and receive at the same time; what arrives must be what was sent."""
    sent, got = hashlib.sha256(), hashlib.sha256()

    async def send() -> None:
        for number in range(BIG // PIECE):
            piece = number.to_bytes(4, "big") * (PIECE // 4)
            sent.update(piece)
            await sender.send(piece)

    async def receive() -> None:
        for _ in range(BIG // PIECE):
            got.update(await receiver.receive(PIECE))

    await asyncio.gather(send(), receive())
    assert got.digest() == sent.digest(), "the bytes changed on their way"


@case("6")
async def an_empty_flow_ends_in_order(stage: Stage) -> None:
    """Neither side says anything: both hear the end, and the outcome is complete."""
    session = await pair(stage, Counting)
    await finish(*await led(stage, session))
    await hears(session.client, b"0 up, 0 down, complete\n")
    await finish(*reversed(await led(stage, session)))
    await hears(session.client, b"0 up, 0 down, complete\n")


@case("6")
async def half_close_of_a_related_flow(stage: Stage) -> None:
    """Either side may end while the other goes on."""
    session = await pair(stage)
    for swapped in (False, True):
        one, other = await led(stage, session)
        if swapped:
            one, other = other, one
        await says(one, other, b"request")
        await one.end()
        await has_ended(other)
        await says(other, one, b"answer")
        await says(other, one, b"and more")
        await other.end()
        await has_ended(one)


@case("6")
async def half_close_of_a_master_flow(stage: Stage) -> None:
    """Either side of a master flow that a plugin reads may end while the other goes on."""
    for by_client in (True, False):
        client, server = await (stage.begin(Passing) if by_client else stage.again())
        one, other = (client, server) if by_client else (server, client)
        await says(one, other, b"request\n")
        await one.end()
        await has_ended(other)
        await says(other, one, b"answer\n")
        await says(other, one, b"and more\n")
        await other.end()
        await has_ended(one)
    await stage.over()


@case("4")
async def an_outcome_counts_the_bytes_of_each_side(stage: Stage) -> None:
    """What a plugin is told, of a passive flow and of an active one."""
    client, server = await stage.begin(Counting)
    for sayer, hearer, who in ((server, client, Who.CLIENT), (client, server, Who.SERVER)):
        target = stage.listen(Who.SERVER if sayer is server else Who.CLIENT)
        opener, accepted = await joined(stage, await announce(sayer, hearer, target.endpoint), target, who)
        at_client, at_server = (opener, accepted) if who is Who.CLIENT else (accepted, opener)
        await says(at_client, at_server, b"12345")
        await says(at_server, at_client, b"1234567")
        await finish(at_client, at_server)
        await hears(client, b"5 up, 7 down, complete\n")
    await stage.recorded("counted", 2)


@case("4")
async def an_outcome_says_that_a_flow_broke(stage: Stage) -> None:
    """A flow that was reset had this many bytes, and is not complete."""
    session = await pair(stage, Counting)
    opener, accepted = await led(stage, session)
    await says(accepted, opener, b"half of it")
    await accepted.reset()
    await last_words(opener)
    await hears(session.client, b"0 up, 10 down, broken\n")


@case("4")
async def an_outcome_is_told_after_the_end(stage: Stage) -> None:
    """The master flow is over when its related flow ends: the plugin may still log."""
    session = await pair(stage, Counting)
    opener, accepted = await led(stage, session)
    await finish(session.client, session.server)
    await says(opener, accepted, b"late")
    await finish(opener, accepted)
    await stage.recorded("counted")
    await stage.over()


@case("5")
async def a_related_flow_outlives_an_orderly_end(stage: Stage) -> None:
    """The master flow has ended, and a transfer goes on to its own end."""
    session = await pair(stage)
    opener, accepted = await led(stage, session)
    await talk(opener, accepted)
    await finish(session.client, session.server)
    await talk(opener, accepted)
    await finish(opener, accepted)
    await stage.over()


@case("5")
async def a_related_flow_does_not_outlive_an_abort(stage: Stage) -> None:
    """A session that is ended for a reason ends with all its flows, and neither end takes that for an orderly one."""
    session = await pair(stage)
    opener, accepted = await led(stage, session)
    await talk(opener, accepted)
    await session.server.send(b"x" * 1000)
    await last_words(session.client)
    assert (rest := await opener.rest()) == (b"", How.RESET), rest
    assert (rest := await accepted.rest()) == (b"", How.RESET), rest
    await stage.recorded("line_too_long")
    await last_words(session.server)
    await stage.over()


@case("6")
async def a_lost_server_is_no_orderly_end(stage: Stage) -> None:
    """In the middle of an opaque flow: its client must not take half a file for the whole."""
    session = await pair(stage)
    opener, accepted = await led(stage, session)
    await says(accepted, opener, b"half a file")
    await accepted.reset()
    assert (rest := await opener.rest()) == (b"", How.RESET), rest
    await says(session.client, session.server, b"still here\n")


@case("6")
async def a_lost_client_is_no_orderly_end(stage: Stage) -> None:
    """The same in the other direction: a file that is stored."""
    session = await pair(stage)
    opener, accepted = await led(stage, session)
    await says(opener, accepted, b"half a file")
    await opener.reset()
    assert (rest := await accepted.rest()) == (b"", How.RESET), rest
    await says(session.client, session.server, b"still here\n")


@case("4")
async def a_related_flow_is_treated_by_its_plugin(stage: Stage) -> None:
    """What passes through it is what that plugin makes of it, both ways, and the end does too."""
    session = await pair(stage, Treated)
    opener, accepted = await led(stage, session)
    await accepted.send(b"Down")
    await hears(opener, b"DOWN")
    await opener.send(b"Up")
    await hears(accepted, b"up")
    await finish(opener, accepted)


@case("4")
async def both_legs_are_accepted(stage: Stage) -> None:
    """Who comes first waits for the other, whichever it is, and loses nothing that it has said."""
    client, server = await stage.begin(Meeting)
    for client_first in (True, False):
        await client.send(b"meet\n")
        for_client, for_server = endpoint_in(await client.line()), endpoint_in(await server.line())
        places = {Who.CLIENT: for_client, Who.SERVER: for_server}
        first, second = (Who.CLIENT, Who.SERVER) if client_first else (Who.SERVER, Who.CLIENT)
        assert await stage.refused(places[first], second)
        one = await stage.connect(places[first], first)
        await one.send(b"early")
        other = await stage.connect(places[second], second)
        await hears(other, b"early")
        await talk(other, one)
        for who, place in places.items():
            assert await stage.refused(place, who)
        await finish(one, other)


@case("4")
async def both_legs_are_dialled(stage: Stage) -> None:
    """The gateway connects to the server's endpoint and the client's, and joins them."""
    client, server = await stage.begin(Meeting)
    targets = stage.listen(Who.CLIENT), stage.listen(Who.SERVER)
    await client.send(b"dial %s %s\n" % (targets[0].endpoint.to_bytes(b" "), targets[1].endpoint.to_bytes(b" ")))
    at_server, at_client = await targets[1].accept(), await targets[0].accept()
    await talk(at_client, at_server)
    await finish(at_client, at_server)
    await says(client, server, b"still here\n")


@case("4")
async def a_plugin_knows_the_time(stage: Stage) -> None:
    """`flow.now` never goes back, and has gone on by a lifetime when a lease of that long has expired."""
    session = await pair(stage, Brief)
    times = []
    for _ in range(2):
        await session.announced()
        await session.client.send(b"time\n")
        times.append(int(await session.client.line()))
    await stage.recorded("lease_expired", 2)
    await session.client.send(b"time\n")
    times.append(int(await session.client.line()))
    assert all(one <= other for one, other in itertools.pairwise(times)), times
    assert times[-1] - times[0] >= round(Brief.lifetime * 1000) - 1, times
