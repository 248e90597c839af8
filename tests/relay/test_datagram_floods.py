"""Floods: of new flows, from one client and from forged ones, and an honest client beside them (T98)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path

import pytest

from alg.core.errors import AlgError
from alg.core.model import Endpoint
from alg.relay.datagram_listener import DatagramListener
from alg.relay.tally import RECORDS_PER_SECOND
from alg.settings import Limits
from tests.conftest import Run
from tests.relay.datagram_peers import DatagramPeer, DatagramRig, relaying_datagrams
from tests.relay.peers import CLIENT, OTHER
from tests.relay.test_flow_end import turns


async def talk(rig: DatagramRig, client: DatagramPeer, times: int = 1) -> None:
    """The honest client and the host speak to each other, whatever else the host gets."""
    while not rig.host.nothing():  # its buffer is full of what others said
        await rig.host.receive()
    for number in range(times):
        said = b"honest %d" % number
        client.send(said, rig.at)
        while (await rig.host.receive()) != said:
            pass
        rig.host.answer(said.upper())
        assert await client.receive() == said.upper()


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def flood(at: Endpoint, source: str, count: int) -> None:
    """So many datagrams, each from another port."""
    for _ in range(count):
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.sendto(b"flood", (str(at.address), at.port))


def test_t98_a_client_at_its_limit_disturbs_nobody_else(run: Run) -> None:
    """T98: its own oldest flows make place; the honest one goes on in the same flow."""

    async def work() -> None:
        limits = Limits(datagram_flows=1000, datagram_flows_per_client=5)
        async with relaying_datagrams(limits=limits) as rig:
            with DatagramPeer(OTHER) as honest:
                await talk(rig, honest)
                ours = rig.host.sender
                for _ in range(20):
                    flood(rig.at, CLIENT, 10)
                    await turns()
                assert len(rig.relay.datagrams) == 6
                await talk(rig, honest)
                assert rig.host.sender == ours
                note = await rig.notes.wait("flow_evicted")
                assert note.message.startswith(f"{CLIENT}:") and f"for {CLIENT}" in note.message
                assert len(rig.notes.of("flow_evicted")) <= 3

    run(work())


def test_forged_senders_do_not_push_out_who_is_there(run: Run) -> None:
    """Each from an address of its own, more than there is room for: the honest flow has both ways, and stays."""

    async def work() -> None:
        limits = Limits(datagram_flows=50)
        async with relaying_datagrams(limits=limits) as rig:
            with DatagramPeer(CLIENT) as honest:
                await talk(rig, honest, 2)
                ours = rig.host.sender
                for number in range(300):
                    flood(rig.at, f"127.1.{number // 200}.{number % 200 + 1}", 1)
                    if number % 20 == 0:
                        await turns()
                        await talk(rig, honest)
                assert rig.host.sender == ours
                assert len(rig.relay.datagrams) <= 50

    run(work())


def test_a_hundred_thousand_flows_leave_memory_bounded() -> None:
    """As many as that begin; no more than the limit are there, and an honest client is served in between."""

    async def work() -> None:
        limits = Limits(datagram_flows=200, datagram_flows_per_client=200)
        async with relaying_datagrams(limits=limits) as rig:
            rig.notes.keep = 100
            rig.host.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener = rig.relay.listeners[0]
            assert isinstance(listener, DatagramListener)
            with DatagramPeer(OTHER) as honest:
                await talk(rig, honest, 2)
                ours = rig.host.sender
                for number in range(100_000):
                    # What the socket would say of so many senders; there are not as many ports on one address.
                    address = f"127.2.{number % 250}.{number // 250 % 250 + 1}"
                    listener.arrived(((address, 1024 + number % 60_000), None), b"flood")
                    if number == 1000:
                        before = resident()
                    if number % 10_000 == 0:
                        await talk(rig, honest)
                assert resident() - before < 8 << 20
                assert rig.host.sender == ours
                assert len(rig.relay.datagrams) <= 200

    asyncio.run(work())


def forge(source: Endpoint, at: Endpoint, data: bytes) -> None:
    """A datagram over IPv4 that says to come from there."""
    head = struct.pack("!HHHH", source.port, at.port, 8 + len(data), 0)
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(data), 0, 0, 64, socket.IPPROTO_UDP, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.sendto(packet + source.address.packed + at.address.packed + head + data, (str(at.address), 0))


@pytest.mark.skipif(os.geteuid() != 0, reason="to forge a sender needs root")
@pytest.mark.parametrize("which", ["the server", "the listener"])
def test_nobody_speaks_with_himself(run: Run, which: str) -> None:
    """T96: one datagram in the server's own name, or in ours, would be answered again and again, for ever."""

    async def work() -> None:
        async with relaying_datagrams() as rig:
            forge(rig.host.endpoint if which == "the server" else rig.at, rig.at, b"round and round")
            note = await rig.notes.wait("datagram_refused")
            assert "would speak with itself" in note.message
            assert rig.host.nothing() and len(rig.relay.datagrams) == 0

    run(work())


def test_records_are_bounded_whoever_speaks(run: Run) -> None:
    """Who forges senders can speak twice: what flows have of records of their own is so many a second, in all; the others are
    counted."""

    async def work() -> None:
        async with relaying_datagrams(idle=0.2) as rig:
            tallies = rig.relay.datagrams.tallies
            left = [tallies.may_record() for _ in range(RECORDS_PER_SECOND * 2)].count(False)
            assert left > 0, "there is no limit"
            with DatagramPeer(CLIENT) as client:
                for _ in range(RECORDS_PER_SECOND):  # whatever has come back meanwhile
                    tallies.may_record()
                await rig.ask(client, b"x")
                rig.host.answer(b"y")
                assert await client.receive() == b"y"
                await rig.ask(client, b"and again")
                for _ in range(RECORDS_PER_SECOND):
                    tallies.may_record()
                (session,) = rig.relay.datagrams
                session.end(AlgError("told to end", reason="idle"))
                assert (await rig.notes.wait("session_close")).session == 0, "it has a record of its own"

    run(work())
