"""Three nodes of a cluster as Elasticsearch's clients see them: each names all three, in both forms that there are.

One node has a name before its address, as where `http.publish_host` is set; clients then go to the name.
"""

from __future__ import annotations

import argparse
from functools import partial

from .answers import Answer, Request, as_json, serve

VERSION = "8.19.0"
PRODUCT = ("X-Elastic-Product", "Elasticsearch")


def node(host: str, number: int, port: int, name: str) -> dict[str, object]:
    """What a node says of itself, and of the others."""
    address = f"{host}:{port}"
    transport = f"{host}:{port + 100}"
    return {
        "name": f"es-node-{number}",
        "transport_address": transport,
        "host": host,
        "ip": host,
        "version": VERSION,
        "build_flavor": "default",
        "roles": ["data", "ingest", "master"],
        "http": {
            "bound_address": [address],
            "publish_address": f"{name}/{address}" if name else address,
            "max_content_length_in_bytes": 104857600,
        },
    }


def answer(request: Request, host: str, ports: list[int], named: int) -> Answer:
    """What the node at this port answers."""
    number = ports.index(request.port) + 1
    about = {"name": f"es-node-{number}", "cluster_name": "lab", "cluster_uuid": "l4bl4bl4bl4bl4bl4bl4bA"}
    if request.path == "/":
        version = {"number": VERSION, "build_flavor": "default", "build_type": "deb", "lucene_version": "9.12.2"}
        return as_json({**about, "version": version, "tagline": "You Know, for Search"}, 200, PRODUCT)
    if request.path.startswith("/_nodes"):
        nodes = {
            f"node-{place}-id": node(host, place, port, f"es-node-{place}" if place == named else "")
            for place, port in enumerate(ports, 1)
        }
        totals = {"total": len(ports), "successful": len(ports), "failed": 0}
        return as_json({"_nodes": totals, "cluster_name": "lab", "nodes": nodes}, 200, PRODUCT)
    if request.path == "/_cluster/health":
        health = {"cluster_name": "lab", "status": "green", "timed_out": False, "number_of_nodes": len(ports)}
        return as_json(health, 200, PRODUCT)
    if request.path.endswith("/_search"):
        found = {"_index": "lab", "_id": f"{number}", "_score": 1.0, "_source": {"node": number}}
        hits = {"total": {"value": 1, "relation": "eq"}, "max_score": 1.0, "hits": [found]}
        shards = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
        return as_json({"took": 1, "timed_out": False, "_shards": shards, "hits": hits}, 200, PRODUCT)
    return as_json({"error": {"type": "invalid_index_name_exception"}, "status": 404}, 404, PRODUCT)


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--named", type=int, default=0, help="the number of the node that has a name")
    options = parser.parse_args()
    function = partial(answer, host=options.host, ports=options.ports, named=options.named)
    serve(options.host, dict.fromkeys(options.ports, function))


if __name__ == "__main__":
    main()
