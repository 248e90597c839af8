"""What a person sees in mitmproxy's programs: the commands, and the lines of a control channel."""

from __future__ import annotations

from mitmproxy import contentviews
from mitmproxy.tcp import TCPFlow
from mitmproxy.test import tflow

from alg.mitm import views
from tests.mitm.conftest import Run
from tests.mitm.rig import proxying
from tests.mitm.test_ftp import greet, passive


def test_commands(run: Run) -> None:
    """Sessions, leases, and why."""

    async def work() -> None:
        async with proxying() as mitm:
            call = mitm.master.commands.call
            assert (call("alg.sessions"), call("alg.leases")) == (["no session is open"], ["no lease is pending"])
            client, server = await greet(mitm)
            port = await passive(client, server, 40000)
            client_port = client.writer.get_extra_info("sockname")[1]
            assert call("alg.sessions") == [
                f"ftp#1  127.0.0.1:{client_port} -> 127.0.0.1:{mitm.server.port}  0 related, 1 pending"
            ]
            assert call("alg.leases") == [f"ftp#1  listen  client 127.0.0.1:{port} -> 127.0.0.1:40000  for 127.0.0.1"]
            explained = call("alg.explain", mitm.flows)
            assert explained[0] == "ftp#1, control channel"
            assert explained[2] == f"  rewrite 227 127.0.0.1:40000 -> 127.0.0.1:{port} for 127.0.0.1, once, 60 s"

    run(work())


def test_explain_a_flow_of_others(run: Run) -> None:
    """It says that it is none of ours."""

    async def work() -> None:
        async with proxying() as mitm:
            other = tflow.ttcpflow()
            assert mitm.master.commands.call("alg.explain", [other]) == [f"{other.id}: no flow of alg"]

    run(work())


def ours() -> TCPFlow:
    """A control channel."""
    flow = tflow.ttcpflow()
    flow.metadata["alg"] = {"protocol": "ftp", "session": 1, "role": "control"}
    return flow


def test_view_of_a_control_channel(run: Run) -> None:
    """Chosen by itself, on either of mitmproxy's two kinds of views; whatever the bytes are, the text is printable."""
    raw = b"220-one\r\n220 tw\xe4 \x1b[31m\r\n"
    assert views.render(raw) == "220-one\n220 tw\\xe4 \\x1b[31m"

    async def work() -> None:
        async with proxying():
            flow = ours()
            flow.messages[-1].content = raw
            assert _view(flow) == views.NAME

    run(work())


def test_view_of_other_flows(run: Run) -> None:
    """They are shown as ever."""

    async def work() -> None:
        async with proxying():
            flow = tflow.ttcpflow()
            assert not views.is_ours(flow)
            flow.messages[-1].content = b"220-one\r\n220 two\r\n"
            assert _view(flow) != views.NAME

    run(work())


def _view(flow: TCPFlow) -> str:
    """The name of the view in which mitmproxy shows a flow's newest message."""
    if hasattr(contentviews, "prettify_message"):  # of 12
        return str(contentviews.prettify_message(flow.messages[-1], flow).view_name)
    name, _, _ = contentviews.get_message_content_view("auto", flow.messages[-1], flow)
    return str(name)
