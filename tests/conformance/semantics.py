"""Cases about what a plugin reads and sends: the semantics 1 to 4 and 6 of the design's section 4."""

from __future__ import annotations

import asyncio

from alg.core.model import Side
from tests.conformance.announcers import Announcing
from tests.conformance.plugins import (
    LINE_LIMIT,
    Asking,
    Framed,
    HalfDeaf,
    Passing,
    Promising,
    Returning,
    Splicing,
    Tag,
    Tagging,
    endpoint_in,
    here,
)
from tests.conformance.stage import How, Stage, Terms, Who
from tests.conformance.steps import announce, case, finish, hears, joined, last_words, says, talk

NO_LINE = b"\x00\xff" * LINE_LIMIT + b"no line end"
"""What no plugin of ours would read."""


@case("4.1")
async def the_port_exists_before_the_bytes_for_the_client(stage: Stage) -> None:
    """The client connects the moment it is told, and reaches the server's target."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    await talk(*await joined(stage, await announce(server, client, target.endpoint), target))


@case("4.1")
async def the_port_exists_before_the_bytes_for_the_server(stage: Stage) -> None:
    """The server connects the moment it is told, and reaches the client's target."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.CLIENT)
    await talk(*await joined(stage, await announce(client, server, target.endpoint), target, Who.SERVER))


@case("4.1")
async def what_was_said_keeps_its_order(stage: Stage) -> None:
    """Lines pipelined before and behind an announcement arrive before and behind what became of it."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.CLIENT)
    await client.send(b"before\n" + here(target.endpoint) + b"between\n" + here(target.endpoint) + b"behind\n")
    await hears(server, b"before\n")
    first = endpoint_in(await server.line())
    await hears(server, b"between\n")
    second = endpoint_in(await server.line())
    await hears(server, b"behind\n")
    assert first != second
    for told in (first, second):
        await talk(*await joined(stage, told, target, Who.SERVER))


@case("4.2")
async def lines_are_whole_at_every_split(stage: Stage) -> None:
    """Wherever two lines are cut, from either side, they arrive as they were said; so does a rewrite."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.CLIENT)
    lines = b"first\n" + here(target.endpoint) + b"last\n"
    for cut in range(1, len(lines)):
        await client.send(lines[:cut], lines[cut:])
        await hears(server, b"first\n")
        endpoint_in(await server.line())
        await hears(server, b"last\n")
        await client.send(b"release\n")
        await hears(client, b"released\n")


@case("4.2")
async def counted_bytes_are_whole_at_every_split(stage: Stage) -> None:
    """A read of so many bytes gives these, wherever they and their header are cut."""
    client, server = await stage.begin(Framed)
    message = b"put 7\nab\ncd\ne"
    for cut in range(1, len(message)):
        await client.send(message[:cut], message[cut:])
        await hears(server, b"<ab\ncd\ne>")


@case("4.2")
async def lines_are_whole_byte_by_byte(stage: Stage) -> None:
    """Bytes that come one by one make the same lines, both ways."""
    client, server = await stage.begin(Passing)
    for one, other in ((client, server), (server, client)):
        await one.send(*(b"%c" % byte for byte in b"one\n\ntwo\n"))
        await hears(other, b"one\n\ntwo\n")


@case("4.2")
async def a_line_may_be_as_long_as_its_limit(stage: Stage) -> None:
    """Lines of just so many bytes pass, both ways, one behind the other."""
    client, server = await stage.begin(Passing)
    line = b"x" * (LINE_LIMIT - 1) + b"\n"
    for one, other in ((client, server), (server, client)):
        await says(one, other, line + line)


@case("4.2")
async def a_line_above_its_limit_ends_the_session(stage: Stage) -> None:
    """One byte more: nothing of it passes, nothing behind it is taken for a line, and the reason is recorded."""
    client, server = await stage.begin(Passing)
    await client.send(b"good\n" + b"x" * LINE_LIMIT + b"\nsecret\n")
    heard = await last_words(server)
    assert heard == b"good\n", heard
    await stage.recorded("line_too_long")
    await last_words(client)
    await stage.over()


@case("4.2")
async def a_line_of_the_server_above_its_limit_ends_the_session(stage: Stage) -> None:
    """The limit is there before a line end is: what never ends is not waited for."""
    client, server = await stage.begin(Passing)
    await server.send(b"good\n" + b"x" * LINE_LIMIT)
    heard = await last_words(client)
    assert heard == b"good\n", heard
    await stage.recorded("line_too_long")
    await last_words(server)
    await stage.over()


@case("4.2")
async def a_read_of_some_bytes_has_a_limit(stage: Stage) -> None:
    """At the limit it is one piece, one byte above it are two."""
    client, server = await stage.begin(Framed)
    await server.send(b"abcd")
    await hears(client, b"[abcd]")
    await server.send(b"abcde")
    await hears(client, b"[abcd][e]")


@case("4.2")
async def an_end_within_a_line_is_no_line(stage: Stage) -> None:
    """Half a line at the end passes nothing, and ends the session."""
    client, server = await stage.begin(Passing)
    await client.send(b"whole\nhalf")
    await client.end()
    heard = await last_words(server)
    assert heard == b"whole\n", heard
    await stage.recorded("truncated")
    await last_words(client)
    await stage.over()


@case("4.2")
async def an_end_within_counted_bytes_is_none_of_them(stage: Stage) -> None:
    """Fewer bytes than were announced pass nothing, and end the session."""
    client, server = await stage.begin(Framed)
    await client.send(b"put 2\nabput 5\nhalf")
    await client.end()
    heard = await last_words(server)
    assert heard == b"<ab>", heard
    await stage.recorded("truncated")
    await last_words(client)
    await stage.over()


@case("4.3")
async def an_address_counts_only_where_it_was_asked_for(stage: Stage) -> None:
    """The same words in the answer to another question are text; in the right place they are rewritten."""
    client, server = await stage.begin(Asking)
    target = stage.listen(Who.SERVER)
    await client.send(b"name\nwhere\n")
    await hears(server, b"name\nwhere\n")
    await server.send(here(target.endpoint) + here(target.endpoint))
    await hears(client, here(target.endpoint))
    told = endpoint_in(await client.line())
    assert told != target.endpoint
    await talk(*await joined(stage, told, target))


@case("4.4")
async def local_replies_do_not_overtake(stage: Stage) -> None:
    """What is answered here waits for the server's answers to what was asked before, also to a port that is opened."""
    client, server = await stage.begin(Asking)
    target = stage.listen(Who.SERVER)
    await client.send(b"ping\nwhere\nping\nname\nping\n")
    await hears(server, b"where\nname\n")
    await hears(client, b"pong\n")
    await server.send(here(target.endpoint))
    told = endpoint_in(await client.line())
    await hears(client, b"pong\n")
    await says(server, client, b"ann\n")
    await hears(client, b"pong\n")
    await talk(*await joined(stage, told, target))


@case("4.6")
async def a_return_hands_over_what_was_not_read(stage: Stage) -> None:
    """What came with the last line that was read goes on unread, and so does all that follows; both ways."""
    client, server = await stage.begin(Returning)
    for one, other in ((client, server), (server, client)):
        await one.send(b"line\n" + NO_LINE)
        await hears(other, b"read line\n" + NO_LINE)
        await says(one, other, NO_LINE)
    await finish(client, server)
    await stage.over()


@case("4.6")
async def a_splice_hands_over_what_was_not_read(stage: Stage) -> None:
    """Both directions at once: half a line of the server's, and what the client said behind its last word."""
    client, server = await stage.begin(Splicing)
    await server.send(b"line\nhalf")
    await hears(client, b"read line\n")
    await client.send(b"line\nsplice\n" + NO_LINE)
    await hears(server, b"read line\n" + NO_LINE)
    await hears(client, b"half")
    for one, other in ((client, server), (server, client)):
        await says(one, other, b"line\n" + NO_LINE)
    await finish(client, server)
    await stage.over()


@case("4.6")
async def a_side_that_nobody_reads_passes(stage: Stage) -> None:
    """A plugin that reads the server only: what the client says passes from its first byte on, end and all."""
    client, server = await stage.begin(HalfDeaf)
    await says(client, server, NO_LINE)
    await says(server, client, b"line\n")
    await client.end()
    assert (rest := await server.rest()) == (b"", How.END), rest
    await says(server, client, b"still here\n")
    await server.end()
    assert (rest := await client.rest()) == (b"", How.END), rest
    await stage.over()


@case("4")
async def one_coroutine_waits_for_the_other(stage: Stage) -> None:
    """A promise: the client is not read on until the server has answered, and is in order behind that."""
    client, server = await stage.begin(Promising)
    await client.send(b"ask\nnext\n")
    await hears(server, b"ask\n")
    await says(server, client, b"yes\n")
    await hears(server, b"client knows yes\nnext\n")


@case("4")
async def what_is_said_ahead_is_not_lost(stage: Stage) -> None:
    """A client pipelines 256 KiB while nobody reads it: all of it is in order behind the wait, and nothing before it."""
    client, server = await stage.begin(Promising)
    lines = b"".join(b"%062d\n" % number for number in range(4096))

    async def ask() -> None:
        await client.send(b"ask\n" + lines)

    async def answer() -> None:
        await hears(server, b"ask\n")
        await says(server, client, b"yes\n")
        await hears(server, b"client knows yes\n" + lines)

    await asyncio.gather(ask(), answer())


@case("4")
async def a_plugin_gets_its_configuration(stage: Stage) -> None:
    """What the operator says for a plugin is what it works by."""
    client, server = await stage.begin(Tagging, Terms(config=Tag("chosen")))
    await client.send(b"line\n")
    await hears(server, b"chosen line\n")


@case("4")
async def a_related_flow_has_the_addresses_of_its_session(stage: Stage) -> None:
    """We listen where the leg's peer knows us, and dial from there: a peer that compares addresses is content."""
    client, server = await stage.begin(Announcing)
    for one, other, origin in ((server, client, Side.CLIENT), (client, server, Side.SERVER)):
        target = stage.listen(Who.SERVER if one is server else Who.CLIENT)
        told = await announce(one, other, target.endpoint)
        assert told.address == other.remote.address
        _, dialled = await joined(stage, told, target, Who(origin.value))
        assert dialled.remote.address == one.remote.address
