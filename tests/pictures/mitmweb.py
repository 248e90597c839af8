"""mitmweb with the gateway's addon as its user sees it: `python -m tests.pictures.mitmweb --out FILE.png`.

An FTP client logs in through it, lists a folder, fetches and stores a file in passive mode and fetches one in active
mode; the picture shows the control channel beside its data channels, and what was rewritten in it. Needs root
(network namespaces), the extra mitmproxy, chromium, and pngquant to make the file small.
"""

from __future__ import annotations

import argparse
import ftplib
import io
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.peers.gateway import GATEWAY_PORT
from tests.peers.mitm_big import both_ways
from tests.peers.mitmdump import AUTHORITY, CONFIGURATION, program, reverse
from tests.peers.namespaces import GATEWAY_INSIDE, Lab
from tests.peers.processes import LabError, Process
from tests.peers.rig import built_lab, guarded
from tests.peers.servers import PASSWORD, SAMPLE, UPLOADS, USER, Site
from tests.peers.tls.certificates import make_certificates
from tests.peers.tls.ftplib_client import ResumingFTP

from .browser import Browser, BrowserError

WIDTH, HEIGHT, LIST_WIDTH = 1280, 720, 620
SETTLED = 3  # seconds, until the page has drawn what it was told last, and its greeting has faded
WEB_PORT = 8081
WEB_PASSWORD = "picture"
COLUMNS = ("icon", "path", "size", "time", "comment")
SMALL = 250_000
FILE = Path(__file__).with_name("mitmweb.png")


def fill(site: Site) -> None:
    """Files with names and contents that a reader understands."""
    (site.root / SAMPLE).unlink()
    (site.root / "readme.txt").write_text("Measurements of the north station, hourly.\n")
    lines = ["hour,celsius,millibar"] + [f"{hour:02}:00,{11 + hour % 7},{1009 + hour % 5}" for hour in range(24)]
    (site.root / "north.csv").write_text("\n".join(lines) + "\n")
    (site.root / "north.jpg").write_bytes(b"\xff\xd8" + bytes(2_400_000))


def converse(ftp: ftplib.FTP, *, passive: Sequence[str], active: Sequence[str]) -> None:
    """Log in and list the folder; fetch or store each file, first in passive mode, then in active mode."""
    ftp.connect(GATEWAY_INSIDE[4], GATEWAY_PORT)
    ftp.login(USER, PASSWORD)
    if isinstance(ftp, ftplib.FTP_TLS):
        ftp.prot_p()
    ftp.retrlines("LIST", lambda _: None)
    for by, commands in ((True, passive), (False, active)):
        ftp.set_pasv(by)
        for command in commands:
            if command.startswith("STOR"):
                ftp.storbinary(command, io.BytesIO(b"hour,celsius,millibar\n" * 20))
            else:
                ftp.retrbinary(command, lambda _: None)
    ftp.quit()


def be_client(lab: Lab, authority: Path) -> int:
    """Three conversations, the second under TLS that ends at mitmproxy; return how many flows that makes."""
    context = ssl.create_default_context(cafile=authority)
    store = f"STOR {UPLOADS}/south.csv"
    with lab.client.entered():
        converse(
            ftplib.FTP(timeout=10), passive=["RETR north.csv", "RETR north.jpg", store], active=["RETR readme.txt"]
        )
        secure = ResumingFTP(context=context, timeout=10)
        converse(secure, passive=["RETR north.csv", store], active=["RETR readme.txt"])
        converse(ftplib.FTP(timeout=10), passive=["RETR readme.txt"], active=["RETR north.jpg", store])
    return 16


def look(lab: Lab, profile: Path, flows: int) -> bytes:
    """Open the page, choose the first control channel, go to where its first address was rewritten."""
    with Browser(lab.gateway.command(), profile, WIDTH, HEIGHT) as browser:
        browser.open(f"http://127.0.0.1:{WEB_PORT}/?token={WEB_PASSWORD}")
        browser.wait_until(f"document.querySelectorAll('.flow-table td.col-path').length >= {flows}")
        browser.evaluate("document.querySelector('.flow-table td.col-path').click()")
        browser.wait_until("document.querySelectorAll('.flow-detail pre').length > 10")
        browser.drag(".splitter", LIST_WIDTH - WIDTH // 2)
        messages = "[...document.querySelectorAll('.flow-detail pre')]"
        browser.evaluate(f"{messages}.find(each => each.innerText.includes('PASV')).parentElement.scrollIntoView()")
        time.sleep(SETTLED)
        return browser.picture()


def small(picture: bytes) -> bytes:
    """The same with a palette: the page has few colours."""
    try:
        done = subprocess.run(
            ["pngquant", "--quality=70-100", "--speed=1", "-"], input=picture, capture_output=True, check=True
        )
    except FileNotFoundError as error:
        raise LabError("pngquant is not there: apt-get install pngquant") from error
    return done.stdout


def make(out: Path) -> int:
    """Build the lab, let the client work, write the picture."""
    with built_lab(False, 1) as (lab, site, scratch):
        certificates = make_certificates(scratch / "certificates")
        fill(site)
        home = scratch / CONFIGURATION
        options = [f"confdir={home}", f"ssl_verify_upstream_trusted_ca={certificates.authority}"]
        options += ["web_open_browser=false", f"web_port={WEB_PORT}", f"web_password={WEB_PASSWORD}"]
        options += [f"web_columns={column}" for column in COLUMNS]
        command = [
            program("alg-mitmweb"),
            "--mode",
            reverse(4),
            *(word for each in options for word in ("--set", each)),
        ]
        with (
            both_ways(certificates).start(lab, site, scratch),
            Process(lab.gateway.command(*command), "alg-mitmweb") as mitmweb,
        ):
            mitmweb.wait_for_lines(r"\blistening at ", 2, 20)
            flows = be_client(lab, home / AUTHORITY)
            try:
                picture = small(look(lab, scratch / "profile", flows))
            except BrowserError as error:
                raise LabError(f"{error}; mitmweb: {mitmweb.tail()}") from error
    out.write_bytes(picture)
    print(f"{out}: {len(picture):,} bytes")
    if len(picture) > SMALL:
        raise LabError(f"the picture has more than {SMALL:,} bytes")
    return 0


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures.mitmweb", description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE, metavar="FILE")
    options = parser.parse_args()
    return guarded(lambda: make(options.out))


if __name__ == "__main__":
    sys.exit(main())
