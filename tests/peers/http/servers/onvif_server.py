"""A camera as ONVIF clients see it: SOAP 1.2 over HTTP, whose answers name the camera's own address in many places.

The device service, the media and event services, the still picture and the stream have a port each.
"""

from __future__ import annotations

import argparse
import re
import socketserver
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from functools import partial

from .answers import Answer, Request, serve

LEASE_SECONDS = 3600
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 80 + b"\xff\xd9"
ENVELOPE = """\
<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"
 xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tev="http://www.onvif.org/ver10/events/wsdl"
 xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"
 xmlns:wsa5="http://www.w3.org/2005/08/addressing"><env:Body>{body}</env:Body></env:Envelope>"""
FAULT = """\
<env:Fault><env:Code><env:Value>env:Sender</env:Value></env:Code>
<env:Reason><env:Text xml:lang="en">no operation {operation} here</env:Text></env:Reason></env:Fault>"""
SERVICES = {
    "http://www.onvif.org/ver10/device/wsdl": "device",
    "http://www.onvif.org/ver10/media/wsdl": "media",
    "http://www.onvif.org/ver10/events/wsdl": "events",
}
MEDIA_URI = """\
<trt:{operation}Response><trt:MediaUri><tt:Uri>{uri}</tt:Uri>
<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot>
<tt:Timeout>PT60S</tt:Timeout></trt:MediaUri></trt:{operation}Response>"""
CAPABILITIES = """\
<tds:GetCapabilitiesResponse><tds:Capabilities>
<tt:Device><tt:XAddr>{device}</tt:XAddr></tt:Device>
<tt:Events><tt:XAddr>{events}</tt:XAddr><tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>
<tt:WSPullPointSupport>true</tt:WSPullPointSupport>
<tt:WSPausableSubscriptionManagerInterfaceSupport>false</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>
<tt:Media><tt:XAddr>{media}</tt:XAddr><tt:StreamingCapabilities><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP>
</tt:StreamingCapabilities></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"""
SERVICE = """\
<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{address}</tds:XAddr>
<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"""
SUBSCRIPTION = """\
<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference><wsa5:Address>{address}</wsa5:Address>
</tev:SubscriptionReference><wsnt:CurrentTime>{now}</wsnt:CurrentTime><wsnt:TerminationTime>{end}</wsnt:TerminationTime>
</tev:CreatePullPointSubscriptionResponse>"""
NO_MESSAGES = """\
<tev:PullMessagesResponse><tev:CurrentTime>{now}</tev:CurrentTime><tev:TerminationTime>{end}</tev:TerminationTime>
</tev:PullMessagesResponse>"""
CLOCK = """\
<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>
<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>{t.tm_hour}</tt:Hour>
<tt:Minute>{t.tm_min}</tt:Minute><tt:Second>{t.tm_sec}</tt:Second></tt:Time><tt:Date><tt:Year>{t.tm_year}</tt:Year>
<tt:Month>{t.tm_mon}</tt:Month><tt:Day>{t.tm_mday}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>
</tds:GetSystemDateAndTimeResponse>"""
PROFILES = """\
<trt:GetProfilesResponse><trt:Profiles token="main" fixed="true"><tt:Name>main</tt:Name></trt:Profiles>
</trt:GetProfilesResponse>"""


class Camera:
    """What the services answer."""

    def __init__(self, host: str, device: int, media: int, picture: int, stream: int) -> None:
        self._uris = {
            "device": f"http://{host}:{device}/onvif/device_service",
            "media": f"http://{host}:{media}/onvif/media_service",
            "events": f"http://{host}:{media}/onvif/event_service",
            "subscription": f"http://{host}:{media}/onvif/subscription?Idx=1",
            "GetSnapshotUri": f"http://{host}:{picture}/snapshot.jpg",
            "GetStreamUri": f"rtsp://{host}:{stream}/main",
        }

    def soap(self, request: Request) -> Answer:
        """An operation of whatever service is at the path."""
        body = ET.fromstring(request.body).find("{http://www.w3.org/2003/05/soap-envelope}Body")
        operation = body[0].tag.rpartition("}")[2] if body is not None and len(body) else "nothing"
        print(f"{request.port} {request.path} {operation} to {addressee(request.body)}", flush=True)
        said = self.operations().get((request.path.rpartition("/")[2], operation))
        text = said() if said else FAULT.format(operation=operation)
        whole = ENVELOPE.format(body=text).encode()
        return Answer(whole, "application/soap+xml; charset=utf-8", 200 if said else 400)

    def operations(self) -> dict[tuple[str, str], Callable[[], str]]:
        """What each service can do."""
        now, end = (
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead)) for ahead in (0, LEASE_SECONDS)
        )
        uri = {name: partial(MEDIA_URI.format, operation=name, uri=self._uris[name]) for name in self._uris}
        return {
            ("device_service", "GetSystemDateAndTime"): lambda: CLOCK.format(t=time.gmtime()),
            ("device_service", "GetCapabilities"): lambda: CAPABILITIES.format(**self._uris),
            ("device_service", "GetServices"): self.services,
            ("media_service", "GetProfiles"): lambda: PROFILES,
            ("media_service", "GetSnapshotUri"): uri["GetSnapshotUri"],
            ("media_service", "GetStreamUri"): uri["GetStreamUri"],
            ("event_service", "CreatePullPointSubscription"): lambda: SUBSCRIPTION.format(
                address=self._uris["subscription"], now=now, end=end
            ),
            ("subscription", "PullMessages"): lambda: NO_MESSAGES.format(now=now, end=end),
            ("subscription", "Unsubscribe"): lambda: "<wsnt:UnsubscribeResponse/>",
        }

    def services(self) -> str:
        """The answer that newer clients prefer to the capabilities."""
        each = (SERVICE.format(namespace=namespace, address=self._uris[name]) for namespace, name in SERVICES.items())
        return f"<tds:GetServicesResponse>{''.join(each)}</tds:GetServicesResponse>"


def addressee(body: bytes) -> str:
    """What the client takes the camera's address for: WS-Addressing has it in the request."""
    found = re.search(rb"<\w+:To>([^<]*)<", body)
    return found[1].decode() if found else "(nobody)"


class Stream(socketserver.StreamRequestHandler):
    """RTSP, as far as its first question."""

    def handle(self) -> None:
        """Answer OPTIONS."""
        lines = iter(lambda: self.rfile.readline().strip(), b"")
        first, *headers = [line.decode("latin-1") for line in lines] or [""]
        number = next((line for line in headers if line.lower().startswith("cseq:")), "CSeq: 0")
        print(f"stream {first}", flush=True)
        self.wfile.write(f"RTSP/1.0 200 OK\r\n{number}\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n".encode())


def main() -> None:
    """Serve until the process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    for name in ("device", "media", "picture", "stream"):
        parser.add_argument(name, type=int)
    options = parser.parse_args()
    camera = Camera(**vars(options))
    stream = socketserver.ThreadingTCPServer((options.host, options.stream), Stream)
    threading.Thread(target=stream.serve_forever, daemon=True).start()
    picture = Answer(PICTURE, "image/jpeg")
    serve(options.host, {options.device: camera.soap, options.media: camera.soap, options.picture: lambda _: picture})


if __name__ == "__main__":
    main()
