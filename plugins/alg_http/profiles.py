"""The ready profiles: for each protocol a small table of where its answers hold addresses. The next one is a table more,
here or as `rules` in a configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from alg_http.rules import Part, Rule


class Profile(enum.Enum):
    """The protocols whose addresses are known; several may be combined."""

    CDP = "cdp"
    """Chrome DevTools Protocol: the list of what can be debugged, for each the WebSocket that leads there."""
    SELENIUM_BIDI = "selenium-bidi"
    """WebDriver and Selenium Grid: the capabilities of a new session."""
    ONVIF = "onvif"
    """IP cameras: the addresses of services, of streams and snapshots, of subscriptions."""
    ELASTICSEARCH_SNIFF = "elasticsearch-sniff"
    """Elasticsearch and OpenSearch: the nodes of a cluster, as clients look them up."""
    WEBHDFS = "webhdfs"
    """WebHDFS: a name node sends clients to data nodes, in `Location` or, on demand, in JSON."""


_WEBDRIVER = ("webSocketUrl", "se:cdp", "se:vnc", "se:bidi")
_ONVIF = ("XAddr", "XAddrs", "Uri", "Address")

PROFILES: Mapping[Profile, tuple[Rule, ...]] = MappingProxyType(
    {
        # Not /json/close and the like, which answer in words, nor /json/protocol, which is large and names nobody.
        Profile.CDP: tuple(
            Rule(path, json=("webSocketDebuggerUrl", "devtoolsFrontendUrl", "devtoolsFrontendUrlCompat"))
            for path in ("/json", "/json/", "/json/list*", "/json/new*", "/json/version*")
        ),
        Profile.SELENIUM_BIDI: (Rule("*/session", json=_WEBDRIVER), Rule("*/status", json=("uri", "externalUri"))),
        Profile.ONVIF: (Rule("*", xml=_ONVIF), Rule("*", xml=("To",), part=Part.REQUEST)),
        Profile.ELASTICSEARCH_SNIFF: (
            Rule("/_nodes*", json=("nodes.*.http.publish_address", "nodes.*.http.bound_address")),
        ),
        Profile.WEBHDFS: (Rule("/webhdfs/*", json=("Location",)),),
    }
)
