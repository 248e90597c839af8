"""ONVIF: the device service names the other services' addresses, these name the picture's and the stream's.

The camera is the lab's own server (there is none in a registry), the clients are real and bring the standard's WSDL.
Each service has a port of its own, so every address leads to another listener.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator

from tests.peers.extras.stage import Daemon, check
from tests.peers.namespaces import SERVER

from .gateway import Discovery
from .servers.onvif_server import PICTURE
from .stage import Bench, Row, Scene, Stage, python_client

DEVICE, MEDIA, SNAPSHOT, STREAM = PORTS = (8080, 8081, 8082, 8554)


def servers(bench: Bench) -> list[Daemon]:
    """The camera."""
    command = [sys.executable, "-m", "tests.peers.http.servers.onvif_server", SERVER[4], *map(str, PORTS)]
    return [Daemon("camera", command, tuple((SERVER[4], port) for port in PORTS))]


def asked(wanted: tuple[str, ...]) -> Callable[[Stage], str]:
    """Fail the row unless the camera printed these."""

    def then(stage: Stage) -> str:
        said = stage.server_said("camera")
        missing = [word for word in wanted if not any(word in line for line in said)]
        check(not missing, f"the camera was not asked {missing}")
        return f"the camera was asked {', '.join(wanted)}"

    return then


def asking(library: str, thing: str, over: str) -> Callable[[Stage], list[str]]:
    """The client's command line."""
    script = f"onvif_{library.replace('-', '_')}.py"
    return lambda stage: python_client(script, stage.host, str(stage.discovery.port), thing, over=over)


def rows() -> dict[str, Row]:
    """Two libraries, and what is done with each; one asks for capabilities, the other for services."""
    things = {
        "media": (("GetProfiles",), ("profiles main",)),
        "snapshot": (("GetSnapshotUri", f"{SNAPSHOT} GET /snapshot.jpg"), (hashlib.sha256(PICTURE).hexdigest()[:16],)),
        "stream": (("GetStreamUri", "stream OPTIONS rtsp://"), ("RTSP/1.0 200 OK",)),
        "events": (("CreatePullPointSubscription", "PullMessages"), ("pulled",)),
    }
    found: dict[str, Row] = {}
    for library, over in (("zeep", "onvif-zeep"), ("zeep-async", "")):
        for thing, (words, shows) in things.items():
            found[f"{library} {thing}"] = Row(asking(library, thing, over), shows, asked(words))
    return found


def scenes() -> Iterator[Scene]:
    """In the clear only: these clients take a host and a port, and speak no TLS to them."""
    yield Scene("onvif", Discovery("onvif", DEVICE, PORTS[1:]), servers, rows())
