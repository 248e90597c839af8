"""mitmproxy in the ways that its users have today, and with ALG's addon: command lines for one laboratory.

`tcp` is mitmproxy's own relay with its defaults: every byte becomes a message of a flow that is kept, and a line
of output. `quiet` prints nothing. `ignore` is its fastest path: the relay of a connection that it was told to
ignore, without a flow. None of these three finds an FTP data channel.
"""

import sys
from pathlib import Path

from tests.bench.namespaces import GATEWAY_INSIDE, SERVER, BenchError, Lab

PROGRAMS = Path(sys.executable).parent
EXTRA = {"tcp": (), "quiet": ("--set", "flow_detail=0"), "ignore": ("--ignore-hosts", r"^10\.77\.2\.2:"), "alg": ()}


def command(kind: str, lab: Lab, ports: dict[int, int]) -> list[str]:
    """What starts it for FTP and bare streams."""
    return reverse(kind, lab, "tcp", ports)


def reverse(kind: str, lab: Lab, scheme: str, ports: dict[int, int]) -> list[str]:
    """What starts it: a reverse proxy at each port, leading to the server's port beside it. All else is default."""
    program = PROGRAMS / ("alg-mitmdump" if kind == "alg" else "mitmdump")
    if not program.exists():
        raise BenchError(f"{program.name} is not there: install the extra mitmproxy")
    argv = [str(program), "--set", f"confdir={lab.folder / 'mitmproxy'}", *EXTRA[kind]]
    for port, upstream in ports.items():
        argv += ["--mode", f"reverse:{scheme}://{SERVER}:{upstream}@{GATEWAY_INSIDE}:{port}"]
    return argv
