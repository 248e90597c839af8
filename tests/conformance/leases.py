"""Cases about listeners on loan: the rules of the design's section 5 that say who may come, how often, and how long."""

from __future__ import annotations

import itertools

from alg.core.policy import LeaseLimits
from tests.conformance.announcers import Announcing, Anybody, Brief, Thrice
from tests.conformance.stage import Stage, Terms, Who
from tests.conformance.steps import announce, case, finish, hears, is_refused, joined, last_words, says, talk


@case("5")
async def a_wrong_peer_does_not_use_a_lease_up(stage: Stage) -> None:
    """A stranger and the other side are turned away, recorded, and lead nobody to the target; then the right one comes."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    for number, wrong in enumerate((Who.STRANGER, Who.SERVER), start=1):
        told = await announce(server, client, target.endpoint)
        assert await stage.refused(told, wrong)
        await stage.recorded("wrong_peer", number)
        assert target.untouched()
        await talk(*await joined(stage, told, target))


@case("5")
async def a_wrong_peer_is_refused_where_the_server_is_to_come(stage: Stage) -> None:
    """The same in the other direction: the client itself may not use what it opened for the server."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.CLIENT)
    for number, wrong in enumerate((Who.STRANGER, Who.CLIENT), start=1):
        told = await announce(client, server, target.endpoint)
        assert await stage.refused(told, wrong)
        await stage.recorded("wrong_peer", number)
        assert target.untouched()
        await talk(*await joined(stage, told, target, Who.SERVER))


@case("5")
async def once_means_once(stage: Stage) -> None:
    """A second comer is refused, while the first flow lives and after it."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    opener, accepted = await joined(stage, told, target)
    assert await stage.refused(told, Who.CLIENT)
    await talk(opener, accepted)
    await finish(opener, accepted)
    assert await stage.refused(told, Who.CLIENT)
    assert target.untouched()


@case("5")
async def three_times_means_three_times(stage: Stage) -> None:
    """Three flows at once through one listener, each with its own peer; a fourth is refused."""
    client, server = await stage.begin(Thrice)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    flows = [await joined(stage, told, target) for _ in range(3)]
    assert await stage.refused(told, Who.CLIENT)
    for number, (opener, accepted) in enumerate(flows):
        await says(opener, accepted, b"up %d\n" % number)
        await says(accepted, opener, b"down %d\n" % number)
    assert target.untouched()


@case("5")
async def any_number_may_come(stage: Stage) -> None:
    """Without a limit the listener stays, until it is given back."""
    client, server = await stage.begin(Anybody)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    for _ in range(5):
        await finish(*await joined(stage, told, target))
    await server.send(b"release\n")
    await hears(server, b"released\n")
    assert await stage.refused(told, Who.CLIENT)


@case("5")
async def a_lease_has_a_lifetime(stage: Stage) -> None:
    """Who comes after it is refused; that it went unused is recorded."""
    client, server = await stage.begin(Brief)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await stage.recorded("lease_expired")
    assert await stage.refused(told, Who.CLIENT)
    assert target.untouched()
    await says(client, server, b"still here\n")


@case("5")
async def the_lifetime_ends_with_the_first_comer(stage: Stage) -> None:
    """A flow that came in time outlives the lifetime of its lease."""
    client, server = await stage.begin(Brief)
    target = stage.listen(Who.SERVER)
    opener, accepted = await joined(stage, await announce(server, client, target.endpoint), target)
    await announce(server, client, target.endpoint)
    await stage.recorded("lease_expired")
    await talk(opener, accepted)


@case("5")
async def a_lease_dies_with_its_session(stage: Stage) -> None:
    """Nobody comes through once the session has ended in an orderly way."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await finish(client, server)
    await stage.over()
    assert await stage.refused(told, Who.CLIENT)
    assert target.untouched()


@case("5")
async def a_lease_dies_with_a_session_that_breaks(stage: Stage) -> None:
    """The same where the client is reset."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    await client.reset()
    await last_words(server)
    await stage.over()
    assert await stage.refused(told, Who.CLIENT)
    assert target.untouched()


@case("5")
async def a_lease_can_be_given_back(stage: Stage) -> None:
    """Behind `release` nobody listens; a flow that has come through lives on."""
    client, server = await stage.begin(Thrice)
    target = stage.listen(Who.SERVER)
    told = await announce(server, client, target.endpoint)
    opener, accepted = await joined(stage, told, target)
    await talk(opener, accepted)
    await server.send(b"release\n")
    await hears(server, b"released\n")
    assert await stage.refused(told, Who.CLIENT)
    await talk(opener, accepted)


@case("5")
async def leases_of_a_session_are_capped(stage: Stage) -> None:
    """Two are given, the third is refused; one that is given back makes room."""
    client, server = await stage.begin(Announcing, Terms(limits=LeaseLimits(per_session=2)))
    target = stage.listen(Who.SERVER)
    first = await announce(server, client, target.endpoint)
    await announce(server, client, target.endpoint)
    await is_refused(server, target.endpoint, "too_many_leases")
    await stage.recorded("too_many_leases")
    await server.send(b"release\n")
    await hears(server, b"released\n")
    await announce(server, client, target.endpoint)
    await talk(*await joined(stage, first, target))


@case("5")
async def leases_of_a_client_are_capped(stage: Stage) -> None:
    """Over all its sessions together; nobody else's lease is taken away for it."""
    client, server = await stage.begin(Announcing, Terms(limits=LeaseLimits(per_client=2)))
    other_client, other_server = await stage.again()
    target = stage.listen(Who.SERVER)
    first = await announce(server, client, target.endpoint)
    second = await announce(other_server, other_client, target.endpoint)
    await is_refused(server, target.endpoint, "too_many_leases")
    for told in (first, second):
        await talk(*await joined(stage, told, target))


@case("5")
async def ports_are_hard_to_guess(stage: Stage) -> None:
    """Of eight listeners, no two are at the same port, and the steps between them are not of one size."""
    client, server = await stage.begin(Announcing)
    target = stage.listen(Who.SERVER)
    ports = [(await announce(server, client, target.endpoint)).port for _ in range(8)]
    assert len(set(ports)) == 8
    steps = {one - other for one, other in itertools.pairwise(ports)}
    assert len(steps) > 4, ports
