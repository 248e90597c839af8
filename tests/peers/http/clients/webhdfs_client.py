"""Clients of WebHDFS: one file up, the same down again."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 20


def by_hdfs(address: str, source: Path, back: Path) -> None:
    """HdfsCLI, which writes in chunks."""
    import hdfs

    client = hdfs.InsecureClient(address, user="lab", timeout=SECONDS)
    client.upload("/lab/hdfs.bin", str(source), overwrite=True)
    size = client.status("/lab/hdfs.bin")["length"]
    client.download("/lab/hdfs.bin", str(back), overwrite=True)
    print(f"seen: HdfsCLI {importlib.metadata.version('hdfs')}, length {size}, files {client.list('/lab')}")


def by_fsspec(address: str, source: Path, back: Path) -> None:
    """fsspec, which appends block by block."""
    import fsspec

    url = urlsplit(address)
    system = fsspec.filesystem("webhdfs", host=url.hostname, port=url.port, user="lab", use_https=url.scheme == "https")
    system.put_file(str(source), "/lab/fsspec.bin")
    system.get_file("/lab/fsspec.bin", str(back))
    print(f"seen: fsspec {fsspec.__version__}, size {system.info('/lab/fsspec.bin')['size']}")


def by_noredirect(address: str, source: Path, back: Path) -> None:
    """A client that asks for the Location in JSON, as browsers' scripts must."""

    def located(method: str, operation: str) -> str:
        url = f"{address}/webhdfs/v1/lab/noredirect.bin?op={operation}&user.name=lab&noredirect=true"
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=SECONDS) as answer:
            return str(json.load(answer)["Location"])

    place = located("PUT", "CREATE")
    urllib.request.urlopen(urllib.request.Request(place, source.read_bytes(), method="PUT"), timeout=SECONDS).close()
    place = located("GET", "OPEN")
    with urllib.request.urlopen(place, timeout=SECONDS) as answer:
        back.write_bytes(answer.read())
    print(f"seen: urllib, Location {place.partition('?')[0]}")


def main() -> int:
    """Move the file by the library that the first argument names."""
    library, address, source, back = sys.argv[1:]
    {"hdfs": by_hdfs, "fsspec": by_fsspec, "noredirect": by_noredirect}[library](address, Path(source), Path(back))
    return 0


if __name__ == "__main__":
    sys.exit(main())
