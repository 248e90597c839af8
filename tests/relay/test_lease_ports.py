"""The ports of leases: exclusive, unpredictable, limited in number, and given back."""

from __future__ import annotations

import errno
import itertools
import socket

import pytest

from alg.core.addresses import parse_address
from alg.core.model import PortRange, Realm, Side
from tests.conftest import Run
from tests.relay.peers import SERVER, Host, Peer
from tests.relay.rig import endpoint_in, relaying_ftp

OWN = "127.0.0.77"


def narrow(*, ports: PortRange, bind: str = OWN) -> dict[Side, Realm]:
    """Realms with few ports, at an address where nobody else takes them."""
    realm = Realm(bind=parse_address(bind), ports=ports)
    return {Side.CLIENT: realm, Side.SERVER: realm}


def test_lease_is_exclusive(run: Run) -> None:
    """T56: nobody else can bind a leased port, neither this address nor all of them, whatever options are set."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ftp = await rig.ftp()
            with Host(SERVER) as data:
                told = await ftp.passive(data.endpoint)
                for host in (str(told.address), "0.0.0.0"):
                    with socket.socket() as squatter:
                        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                        with pytest.raises(OSError, match="in use") as caught:
                            squatter.bind((host, told.port))
                        assert caught.value.errno == errno.EADDRINUSE
            ftp.close()
            await rig.at_rest()

    run(work())


def test_ports_are_unpredictable(run: Run) -> None:
    """T57: 2,000 ports in a row spread evenly over the range (chi-square over 16 bins, p > 0.001) and do not count up."""

    async def work() -> None:
        async with relaying_ftp() as rig:
            ports = PortRange(16384, 32767)
            pool = rig.relay.services.ports.pool(parse_address(OWN), ports)
            drawn = [port for _ in range(2000) if (port := pool.take())]
            for port in drawn:
                pool.give_back(port)
            bins = [0] * 16
            for port in drawn:
                bins[(port - ports.low) * 16 // len(ports)] += 1
            assert sum((count - 125) ** 2 / 125 for count in bins) < 37.7
            steps = [b - a for a, b in itertools.pairwise(drawn)]
            assert sum(step == 1 for step in steps) < 10

    run(work())


def test_exhausted_pool_is_refused_in_the_protocol(run: Run) -> None:
    """T83: with 8 ports, 8 of 20 clients get one and 12 a clean 425; all ports are back after the sessions."""

    async def work() -> None:
        realms = narrow(ports=PortRange(20000, 20007))
        async with relaying_ftp(realms=realms) as rig:
            pairs = [await rig.ftp() for _ in range(20)]
            with Host(SERVER) as data:
                answers = [
                    await ftp.say(b"PASV", b"227 (127,0,0,5,%d,%d)" % divmod(data.endpoint.port, 256)) for ftp in pairs
                ]
                told = [endpoint_in(line) for line in answers if line.startswith(b"227")]
                assert len(told) == len(set(told)) == 8
                assert [line[:4] for line in answers].count(b"425 ") == 12
                assert await pairs[-1].say(b"NOOP", b"200 ok") == b"200 ok\r\n"
                with await Peer.connect(told[0]), await data.accept():
                    assert await pairs[-1].passive(data.endpoint)  # the port of whom was let in is free again
            for ftp in pairs:
                ftp.close()
            await rig.at_rest()

    run(work())


def test_ports_that_others_hold_are_skipped(run: Run) -> None:
    """F13: with one free port of 16 it is found; with none there is a clean refusal, and nothing is left."""

    async def work() -> None:
        holders = [socket.create_server((OWN, port)) for port in range(20100, 20116)]
        holders.pop(7).close()
        async with relaying_ftp(realms=narrow(ports=PortRange(20100, 20115))) as rig:
            holder, ftp = await rig.ftp(), await rig.ftp()
            with Host(SERVER) as data:
                assert (await holder.passive(data.endpoint)).port == 20107
                answer = await ftp.say(b"PASV", b"227 (127,0,0,5,%d,%d)" % divmod(data.endpoint.port, 256))
                assert answer.startswith(b"425 "), answer
            holder.close()
            ftp.close()
            await rig.at_rest()
        for taken in holders:
            taken.close()

    run(work())
