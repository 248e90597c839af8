"""Elasticsearch's sniffing: clients ask one node for the others, and go to the `publish_address` of each.

The nodes are the lab's own server (the real one is in no registry that Debian, Python or Node bring), the clients are
real. An address has no scheme: a client that came by TLS speaks TLS to all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.peers.extras.stage import Daemon, check
from tests.peers.namespaces import SERVER

from .gateway import Discovery
from .stage import Bench, Row, Scene, Stage, node_client, python_client

PORTS = (9200, 9201, 9202)
NAMED = 2
# In direct mode clients know it; through the gateway nobody tells them.
NAMES = (f"es-node-{NAMED}",)


def servers(bench: Bench) -> list[Daemon]:
    """The nodes."""
    command = [sys.executable, "-m", "tests.peers.http.servers.elasticsearch_server", SERVER[4]]
    command += [*map(str, PORTS), "--named", str(NAMED)]
    return [Daemon("nodes", command, tuple((SERVER[4], port) for port in PORTS))]


def everywhere(stage: Stage) -> str:
    """Fail the row unless each node was asked."""
    searches = [line for line in stage.server_said("nodes") if "/_search" in line]
    counts = [sum(line.startswith(f"{port} ") for line in searches) for port in PORTS]
    check(all(counts), f"the nodes got {counts} searches")
    return f"the nodes got {counts} searches"


def rows() -> dict[str, Row]:
    """The clients."""

    def python(module: str, over: str = "") -> Row:
        return Row(lambda stage: python_client("sniffing_client.py", module, stage.url, over=over), (), everywhere)

    def node(module: str) -> Row:
        return Row(lambda stage: node_client("sniffing_client.cjs", module, stage.url), (), everywhere)

    return {
        "elasticsearch-py 7": python("elasticsearch", "elasticsearch7"),
        "elasticsearch-py 8": python("elasticsearch"),
        "elasticsearch-py 9": python("elasticsearch", "elasticsearch9"),
        "opensearch-py": python("opensearchpy"),
        "elasticsearch-js": node("@elastic/elasticsearch"),
        "opensearch-js": node("@opensearch-project/opensearch"),
    }


def scenes() -> Iterator[Scene]:
    """In the clear, and with TLS toward the client."""
    for name, tls in (("elasticsearch", False), ("elasticsearch tls", True)):
        yield Scene(name, Discovery("elasticsearch-sniff", PORTS[0], PORTS[1:], tls), servers, rows())
