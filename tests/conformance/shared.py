"""Cases about listeners that all sessions of a route share."""

from __future__ import annotations

from alg.core.model import Endpoint
from alg.core.policy import LeaseLimits
from tests.conformance.announcers import Sharing, SharingBriefly
from tests.conformance.stage import Stage, Terms, Who
from tests.conformance.steps import announce, case, finish, hears, is_refused, joined, says, talk


@case("5")
async def sessions_share_a_listener(stage: Stage) -> None:
    """Two that are told the same target are told the same listener, and all who come there reach it."""
    client, server = await stage.begin(Sharing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    assert await announce(server, client, target.endpoint) == told
    client, server = await stage.again()
    assert await announce(server, client, target.endpoint) == told
    for _ in range(3):
        await talk(*await joined(stage, told, target))


@case("5")
async def another_target_is_another_shared_listener(stage: Stage) -> None:
    """Each leads where it was to lead."""
    client, server = await stage.begin(Sharing)
    targets = [stage.listen(Who.SERVER), stage.listen(Who.SERVER)]
    told = [await announce(server, client, target.endpoint) for target in targets]
    assert told[0] != told[1]
    for at, target in zip(told, targets, strict=True):
        await talk(*await joined(stage, at, target))


@case("5")
async def a_shared_listener_is_for_who_was_told(stage: Stage) -> None:
    """Nobody else gets through, and the target hears nothing of it."""
    client, server = await stage.begin(Sharing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    assert await stage.refused(told, Who.STRANGER)
    await stage.recorded("wrong_peer")
    assert target.untouched()
    await talk(*await joined(stage, told, target))


@case("5")
async def a_shared_listener_outlives_who_asked_for_it(stage: Stage) -> None:
    """What comes through is a session of its own, treated by the same plugin, which knows its server's name."""
    client, server = await stage.begin(Sharing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await finish(client, server)
    opener, accepted = await joined(stage, told, target)
    assert await announce(accepted, opener, target.endpoint) == told
    await opener.send(b"name\n")
    await hears(opener, b"a.example\n")
    await finish(opener, accepted)
    await talk(*await joined(stage, told, target))


@case("5")
async def a_plugin_knows_where_a_shared_listener_leads(stage: Stage) -> None:
    """In any session; of other endpoints it knows nothing."""
    client, server = await stage.begin(Sharing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    for one, other in ((client, server), await stage.again()):
        await one.send(b"leads %s\nleads %s\n" % (told.to_bytes(b" "), target.endpoint.to_bytes(b" ")))
        await hears(one, b"here %s\nnowhere\n" % target.endpoint.to_bytes(b" "))
        await says(other, one, b"line\n")


@case("5")
async def a_shared_listener_has_a_lifetime(stage: Stage) -> None:
    """When nobody who was told may come any more, nobody listens."""
    client, server = await stage.begin(SharingBriefly)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await stage.recorded("lease_expired")
    assert await stage.refused(told, Who.CLIENT)
    assert target.untouched()
    await finish(client, server)
    await stage.over()


@case("5")
async def shared_listeners_are_capped(stage: Stage) -> None:
    """One is given, another is refused; the same is not another."""
    client, server = await stage.begin(Sharing, Terms(limits=LeaseLimits(shared=1)))
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await is_refused(server, stage.listen(Who.SERVER).endpoint, "too_many_leases")
    assert await announce(server, client, target.endpoint) == told


@case("5")
async def the_target_of_a_shared_listener_is_judged(stage: Stage) -> None:
    """As any other: a server speaks for itself."""
    _, server = await stage.begin(Sharing)
    await is_refused(server, Endpoint(stage.third_party, 5000), "third_party_address")
    await is_refused(server, Endpoint(stage.address(Who.SERVER), 80), "low_port")
    await is_refused(server, stage.gateway, "self_target", "third_party_address")
