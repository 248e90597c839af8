"""onvif-zeep-async: asks a camera for its services, and follows the addresses in the answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import importlib.metadata
import sys
from typing import Any
from urllib.parse import urlsplit

from onvif import ONVIFCamera

SECONDS = 8


async def rtsp_options(uri: str) -> str:
    """The first line of what the stream's server says to OPTIONS."""
    url = urlsplit(uri)
    reader, writer = await asyncio.wait_for(asyncio.open_connection(url.hostname, url.port), SECONDS)
    writer.write(f"OPTIONS {uri} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), SECONDS)
    writer.close()
    return line.decode().strip()


async def look(camera: Any, thing: str) -> None:
    """What concerns pictures."""
    media = await camera.create_media_service()
    token = (await media.GetProfiles())[0].token
    print(f"seen: profiles {token} at {media.xaddr}")
    if thing == "snapshot":
        picture = await camera.get_snapshot(token, timeout=SECONDS)
        uri = await camera.get_snapshot_uri(token)
        print(f"seen: {uri} {hashlib.sha256(picture or b'').hexdigest()[:16]}")
    if thing == "stream":
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        uri = str((await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": token})).Uri)
        print(f"seen: {uri} {await rtsp_options(uri)}")


async def main() -> int:
    """Do what the last argument says."""
    host, port, thing = sys.argv[1:]
    camera = ONVIFCamera(host, int(port), "user", "password")
    try:
        await camera.update_xaddrs()
        print(f"seen: onvif-zeep-async {importlib.metadata.version('onvif-zeep-async')}")
        if thing == "events":
            manager = await camera.create_pullpoint_manager(dt.timedelta(seconds=60), lambda: None)
            pull = manager.get_service()
            answer = await pull.PullMessages({"Timeout": dt.timedelta(seconds=1), "MessageLimit": 1})
            print(f"seen: pulled at {pull.xaddr} {answer.CurrentTime:%H:%M}")
            await manager.shutdown()
        else:
            await look(camera, thing)
    finally:
        await camera.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
