"""onvif-zeep: asks a camera for its capabilities, and follows the addresses in the answer."""

from __future__ import annotations

import hashlib
import importlib.metadata
import socket
import sys
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from onvif import ONVIFCamera

SECONDS = 8


def rtsp_options(uri: str) -> str:
    """The first line of what the stream's server says to OPTIONS."""
    url = urlsplit(uri)
    assert url.hostname and url.port
    with socket.create_connection((url.hostname, url.port), SECONDS) as connection:
        connection.sendall(f"OPTIONS {uri} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        return connection.recv(4096).decode().partition("\r\n")[0]


def stream(media: Any, token: str) -> str:
    """The stream's address, and whether somebody is there."""
    setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
    uri = str(media.GetStreamUri({"StreamSetup": setup, "ProfileToken": token}).Uri)
    return f"{uri} {rtsp_options(uri)}"


def snapshot(media: Any, token: str) -> str:
    """The still picture's address and digest."""
    uri = str(media.GetSnapshotUri({"ProfileToken": token}).Uri)
    with urllib.request.urlopen(uri, timeout=SECONDS) as answer:
        return f"{uri} {hashlib.sha256(answer.read()).hexdigest()[:16]}"


def main() -> int:
    """Do what the last argument says."""
    host, port, thing = sys.argv[1:]
    camera = ONVIFCamera(host, int(port), "user", "password")
    print(f"seen: onvif-zeep {importlib.metadata.version('onvif-zeep')}")
    if thing == "events":
        pull = camera.create_pullpoint_service()
        answer = pull.PullMessages({"Timeout": "PT1S", "MessageLimit": 1})
        print(f"seen: pulled at {pull.xaddr} {answer.CurrentTime:%H:%M}")
        return 0
    media = camera.create_media_service()
    token = media.GetProfiles()[0].token
    what = {"snapshot": snapshot, "stream": stream}.get(thing)
    print(f"seen: profiles {token} at {media.xaddr}")
    if what:
        print(f"seen: {what(media, token)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
