"""Cases about plugins that fail and peers that say anything: the semantics 7 and 8 of the design's section 4."""

from __future__ import annotations

from alg.core.plugin import StreamPlugin
from tests.conformance.announcers import Announcing, FailingAtTheEnd, Untreatable
from tests.conformance.plugins import AwaitingForeign, Failing, NotAsync, Passing
from tests.conformance.stage import How, Peer, Stage, Who
from tests.conformance.steps import announce, case, finish, hears, joined, last_words, says

SORRY = b"sorry plugin_failed\n"


async def _fails(stage: Stage, plugin: type[StreamPlugin[object]], *, by_client: bool) -> None:
    """Nothing behind `fail` passes; the client is told in its protocol; the records say why."""
    client, server = await stage.begin(plugin)
    one, other = (client, server) if by_client else (server, client)
    await one.send(b"good\nfail\nsecret\n")
    await hears(other, b"good\n")
    heard = await last_words(server)
    assert heard == b"", heard
    told = await last_words(client)
    assert told == SORRY, told
    await stage.recorded("plugin_failed")
    await stage.over()


@case("4.7")
async def an_exception_in_from_client_ends_the_session(stage: Stage) -> None:
    """Nothing raw passes because of it, and the client is told."""
    await _fails(stage, Failing, by_client=True)


@case("4.7")
async def an_exception_in_from_server_ends_the_session(stage: Stage) -> None:
    """Nothing raw passes because of it, and the client is told."""
    await _fails(stage, Failing, by_client=False)


@case("4.7")
async def awaiting_what_is_foreign_ends_the_session(stage: Stage) -> None:
    """A plugin that awaits what no host can answer does not hang, and nothing raw passes."""
    await _fails(stage, AwaitingForeign, by_client=True)


@case("4.7")
async def a_method_that_is_no_coroutine_ends_the_session(stage: Stage) -> None:
    """It ends as it begins: what the method said, and what either side says, goes nowhere raw."""
    client, server = await stage.begin(NotAsync)
    heard = await last_words(server)
    assert heard in (b"", b"said by what is no coroutine\n"), heard
    told = await last_words(client)
    assert told == SORRY, told
    await stage.recorded("plugin_failed")
    await stage.over()


@case("4.7")
async def an_exception_in_on_end_ends_the_session(stage: Stage) -> None:
    """It fails when it is told of a related flow that went well."""
    client, server = await stage.begin(FailingAtTheEnd)
    target = stage.listen(Who.SERVER)
    await finish(*await joined(stage, await announce(server, client, target.endpoint), target))
    told = await last_words(client)
    assert told == SORRY, told
    heard = await last_words(server)
    assert heard == b"", heard
    await stage.recorded("plugin_failed")
    await stage.over()


@case("4.7")
async def a_failure_costs_one_session(stage: Stage) -> None:
    """Another session of the same route goes on, and a further one can begin."""
    client, server = await stage.begin(Failing)
    other_client, other_server = await stage.again()
    await client.send(b"fail\n")
    await last_words(client)
    await last_words(server)
    third_client, third_server = await stage.again()
    for one, other in ((other_client, other_server), (third_client, third_server)):
        await says(one, other, b"up\n")
        await says(other, one, b"down\n")


@case("4.7")
async def a_related_flow_without_its_plugin_carries_nothing(stage: Stage) -> None:
    """A plugin that cannot be found: who came is cut off, its session goes on."""
    client, server = await stage.begin(Untreatable)
    target = stage.listen(Who.SERVER)
    opener = await stage.connect(await announce(server, client, target.endpoint), Who.CLIENT)
    heard = await last_words(opener)
    assert heard == b"", heard
    await stage.recorded("bad_config")
    await says(client, server, b"still here\n")


@case("4.8")
async def a_peer_may_say_anything(stage: Stage) -> None:
    """Whatever bytes come, of either side, a session passes them or ends; the next one is served."""
    words: list[bytes] = [
        bytes(range(256)),
        b"\r\n\n\r\x00\xff\n" * 3,
        b"here\nhere 1\nhere 1.2.3.4 5 6\n",
        b"here 1.2.3.4 \xb2\n",
        b"here 999.1.1.1 4000\n",
        b"here 10.0.0.1 65536\n",
        b"here \xff\xfe 4000\n",
        b"\n" * 500,
    ]
    client, server = await stage.begin(Announcing)
    await _say_and_leave(client, server, b"")
    for word in words:
        for by_client in (True, False):
            client, server = await stage.again()
            await _say_and_leave(*((client, server) if by_client else (server, client)), word)
    client, server = await stage.again()
    await says(client, server, b"served\n")


async def _say_and_leave(one: Peer, other: Peer, word: bytes) -> None:
    if word:
        await one.send(word)
    await one.end()
    await last_words(other)
    await other.end()
    await last_words(one)


@case("4.8")
async def a_reset_of_the_client_ends_the_session(stage: Stage) -> None:
    """The server hears that its client is gone; nothing is left."""
    client, server = await stage.begin(Passing)
    await says(client, server, b"here I am\n")
    await client.reset()
    heard = await last_words(server)
    assert heard == b"", heard
    await stage.over()


@case("4.8")
async def a_reset_of_the_server_is_told_to_the_client(stage: Stage) -> None:
    """In its protocol, where nothing opaque is under way."""
    client, server = await stage.begin(Failing)
    await says(client, server, b"here I am\n")
    await server.reset()
    told = await last_words(client)
    assert told == b"sorry server_lost\n", told
    await stage.over()


@case("4")
async def the_client_is_told_why(stage: Stage) -> None:
    """`refusal` is what it hears, behind what was said before, when its session must end."""
    client, server = await stage.begin(Announcing)
    await server.send(b"line\n" + b"x" * 1000)
    told, how = await client.rest()
    assert told == b"line\nsorry line_too_long\n", told
    assert how is How.END
    await last_words(server)
    await stage.over()
