"""Cases about where anybody may be led: the rules of the design's section 5 that judge an announced target."""

from __future__ import annotations

from dataclasses import replace

from alg.core.model import Endpoint, Side
from tests.conformance.announcers import Announcing
from tests.conformance.plugins import endpoint_in, here
from tests.conformance.stage import How, Stage, Terms, Who
from tests.conformance.steps import announce, case, is_refused, joined, last_words, says, talk

NOT_ITS_OWN = ("third_party_address", "self_target")
"""Why another party may not be named: where all parties live on loopback, it is this host besides."""


@case("5")
async def a_third_party_named_by_the_server_is_refused(stage: Stage) -> None:
    """The client is told nothing of it, nobody is connected to, and the session goes on."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.STRANGER)
    await is_refused(server, Endpoint(stage.third_party, 5000), "third_party_address")
    await stage.recorded("third_party_address")
    await is_refused(server, target.endpoint, *NOT_ITS_OWN)
    await is_refused(server, Endpoint(stage.address(Who.CLIENT), 5000), *NOT_ITS_OWN)
    await says(server, client, b"still here\n")
    assert target.untouched()


@case("5")
async def a_third_party_named_by_the_client_is_refused(stage: Stage) -> None:
    """The server is told nothing of it, nobody is connected to, and the session goes on."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.STRANGER)
    await is_refused(client, Endpoint(stage.third_party, 5000), "third_party_address")
    await stage.recorded("third_party_address")
    await is_refused(client, target.endpoint, *NOT_ITS_OWN)
    await is_refused(client, Endpoint(stage.address(Who.SERVER), 5000), *NOT_ITS_OWN)
    await says(client, server, b"still here\n")
    assert target.untouched()


@case("5")
async def a_third_party_may_be_allowed(stage: Stage) -> None:
    """By the operator, for one side: it is led there, and the other side still may not name it."""
    client, server = await stage.begin(Announcing, Terms(targets={Side.SERVER: (Who.STRANGER,)}))
    target = stage.listen(Who.STRANGER)
    await talk(*await joined(stage, await announce(server, client, target.endpoint), target))
    await is_refused(client, target.endpoint, *NOT_ITS_OWN)


@case("5")
async def the_gateway_itself_is_no_target(stage: Stage) -> None:
    """Its loopback, the unspecified address, and its own listener, in more than one spelling, named by either side."""
    client, server = await stage.begin(Announcing)
    at = stage.gateway
    for one in (client, server):
        for target in (
            b"here 127.0.0.1 5000\n",
            b"here 0.0.0.0 5000\n",
            b"here ::ffff:127.0.0.1 5000\n",
            b"here ::7f00:1 5000\n",
            b"here ::1 5000\n",
            at,
            b"here 0.0.0.0 %d\n" % at.port,
        ):
            await is_refused(one, target, "self_target")
    await says(client, server, b"still here\n")


@case("5")
async def a_listener_of_a_session_is_no_target(stage: Stage) -> None:
    """What was opened for one side is a socket of the gateway, and nobody is led to it."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    for one in (client, server):
        await is_refused(one, told, "self_target")
    await talk(*await joined(stage, told, target))


@case("5")
async def ports_below_1024_are_refused(stage: Stage) -> None:
    """1023 is, 1024 is not; by either side."""
    client, server = await stage.begin(Announcing)
    for one, other, who in ((client, server, Who.CLIENT), (server, client, Who.SERVER)):
        own = Endpoint(stage.address(who), 1023)
        await is_refused(one, own, "low_port")
        await is_refused(one, replace(own, port=0), "low_port")
        await announce(one, other, replace(own, port=1024))


@case("5")
async def an_address_is_strictly_spelled(stage: Stage) -> None:
    """What other parsers would read as an address is none: the session ends, and nothing of it passes."""
    first = True
    for text in (b"here 010.0.0.1 4000\n", b"here 127.1 4000\n", b"here 10.0.0.1 04000\n", b"here localhost 4000\n"):
        client, server = await (stage.begin(Announcing) if first else stage.again())
        first = False
        await server.send(text)
        told = await last_words(client)
        assert told in (b"sorry bad_address\n", b"sorry bad_port\n"), told
        await last_words(server)
    await stage.recorded("bad_address", 3)
    await stage.recorded("bad_port")
    await stage.over()


@case("5")
async def a_target_that_is_not_there_costs_one_flow(stage: Stage) -> None:
    """Who came is reset and takes that for no empty file, the reason is recorded, and the session goes on."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    nobody = replace(target.endpoint, port=1024)
    opener = await stage.connect(await announce(server, client, nobody), Who.CLIENT)
    assert (rest := await opener.rest()) == (b"", How.RESET), rest
    await stage.recorded("connect_refused")
    await talk(*await joined(stage, await announce(server, client, target.endpoint), target))


@case("5")
async def decisions_are_recorded(stage: Stage) -> None:
    """What was opened, what was refused, and in this order."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    await server.send(here(target.endpoint) + here(Endpoint(stage.third_party, 5000)))
    endpoint_in(await client.line())
    await stage.recorded("third_party_address")
    told = [reason for reason in stage.records if reason in ("rewrite", "third_party_address")]
    assert told == ["rewrite", "third_party_address"], told
