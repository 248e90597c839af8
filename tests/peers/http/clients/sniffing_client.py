"""A client of Elasticsearch or OpenSearch that asks the one node that it knows for all of them, then searches.

`elasticsearch` of version 7 and `opensearchpy` are of one descent; version 8 has other names for the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

SEARCHES = 24
SECONDS = 5


def opened(library: Any, name: str, address: str) -> Any:
    """A client that sniffs when it starts."""
    kind = library.Elasticsearch if name == "elasticsearch" else library.OpenSearch
    if library.__version__[0] >= 8 and name == "elasticsearch":
        return kind(address, sniff_on_start=True, sniff_timeout=SECONDS, request_timeout=SECONDS, max_retries=0)
    # What a node says of itself has no scheme: these forget that of the first address, unless they are told.
    secure = {"use_ssl": True, "ca_certs": os.environ.get("SSL_CERT_FILE")} if address.startswith("https:") else {}
    return kind([address], sniff_on_start=True, sniff_timeout=SECONDS, timeout=SECONDS, max_retries=0, **secure)


def main() -> int:
    """Search often enough for every node to have its turn."""
    name, address = sys.argv[1:]
    library = importlib.import_module(name)
    client = opened(library, name, address)
    answers = [client.search(index="lab")["hits"]["hits"][0]["_source"]["node"] for _ in range(SEARCHES)]
    health = client.cluster.health()["status"]
    print(f"seen: {name} {'.'.join(map(str, library.__version__[:3]))}, {health}, nodes {sorted(set(answers))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
