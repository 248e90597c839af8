"""A second proxy behind the gateway: it alone has a way to the target, whose name the gateway looks up."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.peers.servers import PASSWORD, SAMPLE, UPLOADS, USER
from tests.peers.ways.places import DEEP, DEEP_NAME, VIA_HTTP, VIA_SOCKS
from tests.peers.ways.stage import Case, Stage

from .refusals import refused5
from .web import by_curl, proxy_option


def ftp(stage: Stage, mode: tuple[str, ...]) -> None:
    """The data connection goes the same way."""
    shared = (*proxy_option(stage, "--socks5"), "--user", f"{USER}:{PASSWORD}", *mode)
    stage.curl(*shared, "--output", f"{stage.folder}/{SAMPLE}", f"ftp://{DEEP}/{SAMPLE}").succeeded()
    stage.is_sample(SAMPLE)
    stage.curl(*shared, "--upload-file", str(stage.sample), f"ftp://{DEEP}/{UPLOADS}/up.bin").succeeded()
    stage.has_uploaded("up.bin")


def cases() -> Iterator[Case]:
    """Both kinds of second proxy."""
    for way in (VIA_SOCKS, VIA_HTTP):
        yield Case("web, address", way, partial(by_curl, option="--socks5", host=DEEP))
        yield Case("web, name", way, partial(by_curl, option="--socks5-hostname", host=DEEP_NAME))
        yield Case("ftp, PASV", way, partial(ftp, mode=("--disable-epsv",)))
        yield Case("ftp, EPSV", way, partial(ftp, mode=()))
        yield Case("refusal, loopback of the second proxy", way, partial(refused5, host="127.0.0.1", port=80))
        yield Case("refusal, a closed port", way, partial(refused5, host=DEEP, port=9, codes=(1, 4, 5)))
