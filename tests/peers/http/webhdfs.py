"""WebHDFS: the namenode answers with a `Location` at the datanode, which has the contents.

The daemons are the lab's own server (Hadoop is in no registry that Debian, Python or Node bring), the clients are real.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.peers.extras.stage import Daemon, check
from tests.peers.namespaces import SERVER

from .gateway import Discovery
from .stage import Bench, Row, Scene, Stage, python_client

NAMENODE, DATANODE = 9870, 9864
SIZE = 3_000_000
PREFIX = "/webhdfs/v1"


def servers(bench: Bench) -> list[Daemon]:
    """Both daemons; and the file to move."""
    sample(bench).write_bytes(random.Random(SIZE).randbytes(SIZE))
    command = [sys.executable, "-m", "tests.peers.http.servers.webhdfs_server", SERVER[4], str(NAMENODE), str(DATANODE)]
    return [Daemon("hadoop", command, ((SERVER[4], NAMENODE), (SERVER[4], DATANODE)))]


def sample(bench: Bench) -> Path:
    """The file to move."""
    return bench.scratch / "sample.bin"


def moved(stage: Stage) -> str:
    """Fail the row unless the contents went to the datanode and came back as they were."""
    came_back = stage.bench.scratch / "back.bin"
    check(came_back.is_file(), "nothing came back")
    same = came_back.read_bytes() == sample(stage.bench).read_bytes()
    came_back.unlink()
    check(same, "what came back is not what was sent")
    asked = [line.split()[1:3] for line in stage.server_said("hadoop") if line.startswith(f"{DATANODE} ")]
    return f"{SIZE} bytes there and back; the datanode got {len(asked)} requests"


def curl(stage: Stage) -> list[str]:
    """curl twice, as Hadoop's documentation has it, but for letting curl follow by itself."""
    target = f"{stage.url}{PREFIX}/lab/curl.bin"
    common = "curl --silent --show-error --fail --location --max-time 20"
    source, back = sample(stage.bench), stage.bench.scratch / "back.bin"
    up = f"{common} --upload-file {source} '{target}?op=CREATE&user.name=lab&overwrite=true'"
    return ["sh", "-ec", f"{up}; {common} --output {back} '{target}?op=OPEN&user.name=lab'; echo seen: curl"]


def rows() -> dict[str, Row]:
    """The clients."""

    def python(library: str) -> Row:
        def command(stage: Stage) -> list[str]:
            files = (str(sample(stage.bench)), str(stage.bench.scratch / "back.bin"))
            return python_client("webhdfs_client.py", library, stage.url, *files)

        return Row(command, (), moved)

    return {
        "hdfs": python("hdfs"),
        "fsspec": python("fsspec"),
        "noredirect": python("noredirect"),
        "curl": Row(curl, (), moved),
    }


def scenes() -> Iterator[Scene]:
    """In the clear, and with TLS toward the client."""
    for name, tls in (("webhdfs", False), ("webhdfs tls", True)):
        yield Scene(name, Discovery("webhdfs", NAMENODE, (DATANODE,), tls), servers, rows())
