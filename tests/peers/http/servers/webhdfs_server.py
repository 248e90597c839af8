"""WebHDFS: a namenode that knows the files and a datanode that has them. The one sends clients to the other.

CREATE, APPEND and OPEN are answered 307 with a Location at the datanode's own address, or, where the client says
`noredirect=true`, 200 with the same in JSON.
"""

from __future__ import annotations

import argparse
import posixpath
import time
from collections.abc import Callable

from .answers import Answer, Request, as_json, serve

PREFIX = "/webhdfs/v1"
NAMENODE_RPC_PORT = 8020
TO_DATANODE = {("PUT", "CREATE"), ("POST", "APPEND"), ("GET", "OPEN"), ("GET", "GETFILECHECKSUM")}


class Cluster:
    """Both daemons, and the files."""

    def __init__(self, host: str, datanode: int) -> None:
        self._host = host
        self._datanode = datanode
        self._files: dict[str, bytes] = {}

    def namenode(self, request: Request) -> Answer:
        """Send on what concerns contents, answer the rest."""
        path, operation = request.path.removeprefix(PREFIX) or "/", request.query.get("op", "").upper()
        if (request.method, operation) in TO_DATANODE:
            if operation != "CREATE" and path not in self._files:
                return missing(path)
            return self.redirect(request)
        answers: dict[str, Callable[[str], Answer]] = {
            "GETFILESTATUS": self.status,
            "LISTSTATUS": self.listing,
            "MKDIRS": lambda _: as_json({"boolean": True}),
            "DELETE": lambda path: as_json({"boolean": self._files.pop(path, None) is not None}),
        }
        return answers[operation](path) if operation in answers else failure("UnsupportedOperationException", operation)

    def redirect(self, request: Request) -> Answer:
        """Where the datanode is, with all that it must know."""
        query = "&".join(f"{name}={value}" for name, value in request.query.items() if name != "noredirect")
        address = f"http://{self._host}:{self._datanode}{request.path}?{query}"
        address += f"&namenoderpcaddress={self._host}:{NAMENODE_RPC_PORT}&createflag=&createparent=true"
        if request.query.get("noredirect") == "true":
            return as_json({"Location": address})
        return Answer(kind="application/octet-stream", status=307, headers=(("Location", address),))

    def datanode(self, request: Request) -> Answer:
        """Take or give contents."""
        path, operation = request.path.removeprefix(PREFIX), request.query.get("op", "").upper()
        if operation == "OPEN":
            start = int(request.query.get("offset", 0))
            length = int(request.query.get("length", len(self._files[path])))
            return Answer(self._files[path][start : start + length], "application/octet-stream")
        if operation == "APPEND":
            self._files[path] += request.body
            return Answer(kind="application/octet-stream")
        self._files[path] = request.body
        place = f"hdfs://{self._host}:{NAMENODE_RPC_PORT}{path}"
        return Answer(kind="application/octet-stream", status=201, headers=(("Location", place),))

    def status(self, path: str) -> Answer:
        """What is known of one path."""
        if path in self._files:
            return as_json({"FileStatus": self._entry(path, "")})
        if path == "/" or any(name.startswith(f"{path}/") for name in self._files):
            return as_json({"FileStatus": {**self._entry(path, ""), "type": "DIRECTORY"}})
        return missing(path)

    def listing(self, folder: str) -> Answer:
        """What is in a folder."""
        names = [name for name in self._files if name == folder or posixpath.dirname(name) == folder]
        if not names:
            return missing(folder)
        entries = [self._entry(name, posixpath.basename(name) if name != folder else "") for name in names]
        return as_json({"FileStatuses": {"FileStatus": entries}})

    def _entry(self, path: str, suffix: str) -> dict[str, object]:
        now = int(time.time() * 1000)
        numbers = {"accessTime": now, "modificationTime": now, "blockSize": 1 << 27, "replication": 1, "fileId": 1}
        words = {"owner": "lab", "group": "lab", "permission": "644", "pathSuffix": suffix, "type": "FILE"}
        return {**numbers, **words, "length": len(self._files.get(path, b"")), "childrenNum": 0}


def failure(exception: str, message: str, status: int = 400) -> Answer:
    """An error as Hadoop says it."""
    words = {"exception": exception, "javaClassName": f"java.io.{exception}", "message": message}
    return as_json({"RemoteException": words}, status)


def missing(path: str) -> Answer:
    """There is no such file."""
    return failure("FileNotFoundException", f"File does not exist: {path}", 404)


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("namenode", type=int)
    parser.add_argument("datanode", type=int)
    options = parser.parse_args()
    cluster = Cluster(options.host, options.datanode)
    # Contents are for the datanode alone.
    serve(options.host, {options.namenode: cluster.namenode, options.datanode: cluster.datanode}, (options.namenode,))


if __name__ == "__main__":
    main()
