"""Related flows: the layer of one, and how it is run on sockets that its lease has."""

from __future__ import annotations

from alg.core.machines import make_plugin
from alg.core.model import Side
from alg.core.plugin import StreamPlugin
from alg.core.session import Lease
from alg.mitm import compat
from alg.mitm.carrier import Preview
from alg.mitm.compat import Context
from alg.mitm.handler import RelatedHandler, Stream
from alg.mitm.layer import FlowLayer
from alg.mitm.owner import LeaseOwner
from alg.mitm.settings import find_plugin


def related_layer(context: Context, session: LeaseOwner, lease: Lease, asker: FlowLayer, name: str) -> FlowLayer:
    """The layer of a flow that came through a lease, which `asker` had asked for.

    Raises:
        AlgError: its plugin cannot be made.
    """
    layer = FlowLayer(
        context,
        session,
        name=name,
        preview=Preview(session.services.settings.preview),
        plugin=_plugin(session, lease.expectation.plugin),
        covered=tuple(side for side in Side if lease.expectation.plan(side).tls),
        on_closed=lambda closed: session.tell_related_over(asker, lease.number, closed.outcome),
    )
    session.claim(layer, lease.number)
    return layer


def _plugin(session: LeaseOwner, name: str | None) -> StreamPlugin[object] | None:
    if name is None:
        return None
    treatment = session.treatment
    if name == treatment.name:
        return make_plugin(treatment.plugin, treatment.config)
    return make_plugin(find_plugin(name, session.services.registry))


async def run_related(session: LeaseOwner, lease: Lease, asker: FlowLayer, streams: dict[Side, Stream]) -> None:
    """Run a related flow whose client is connected, until it is over; its server may be yet to be dialled.

    Raises:
        AlgError: it cannot begin.
    """
    client, server = streams[Side.CLIENT], streams.get(Side.SERVER)
    target = server.peer if server else lease.expectation.targets[0]
    if server is None:
        session.services.gate.judge_dial(target)
    handler = RelatedHandler(client, server, target)
    context = handler.layer.context
    if server is None and (source := session.local_address(Side.SERVER, target)) is not None:
        context.server.sockname = (str(source), 0)
    session.name_server(context.server)
    handler.layer = related_layer(context, session, lease, asker, f"{client.peer} -> {target}")
    with compat.proxyserver().register_connection(context.client.id, handler):
        await handler.handle_client()
