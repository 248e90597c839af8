"""The transfer log (`--xferlog FILE`): a line for each file, in the grammar of xferlog(5), which a real reader takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.peers.namespaces import CLIENT
from tests.peers.servers import SAMPLE, UPLOADS, USER

from . import servers
from .install import program
from .stage import SAMPLE_URL, URL, Bench, Daemon, Scene, Stage, check, until
from .tiny import LOGIN, lftp_login, secure_orders

FILE = "xferlog"
# Time, seconds, host, bytes, name, type, action, direction, access, user, service, authentication, its user, status.
GRAMMAR = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123]\d "
    r"\d\d:\d\d:\d\d \d{4} "
    r"(?P<seconds>\d+) (?P<host>\S+) (?P<size>\d+) (?P<path>\S+) (?P<type>[ab]) (?P<action>[CUT_]) "
    r"(?P<direction>[oid]) (?P<access>[agr]) (?P<user>\S+) (?P<service>\S+) (?P<method>[01]) \S+ (?P<status>[ci])"
)


def orders(bench: Bench) -> tuple[str, ...]:
    """A gateway that writes a transfer log."""
    return secure_orders(bench, "--xferlog", str(bench.scratch / FILE))


def new_lines(stage: Stage, count: int) -> list[re.Match[str]]:
    """The last lines of the log, each in the manual page's grammar, once there are that many more than before."""
    file = log_file(stage)
    until(lambda: len(file.read_text().splitlines()) >= count, f"there should be {count} lines in the log")
    stage.note(file.read_text())
    found = [GRAMMAR.fullmatch(line) for line in file.read_text().splitlines()]
    check(len(found) == count, f"there should be {count} lines in the log")
    matches = [match for match in found if match]
    check(len(matches) == count, "a line is not as xferlog(5) says")
    return matches


def log_file(stage: Stage) -> Path:
    """The log."""
    return stage.bench.scratch / FILE


def emptied(stage: Stage) -> None:
    """The log begins anew; the gateway goes on writing to the same file."""
    log_file(stage).write_text("")


def up_and_down(stage: Stage) -> None:
    """Down and up with curl and lftp, a listing, a missing file: four lines, one of them for what failed."""
    emptied(stage)
    source, size = stage.bench.site.root / SAMPLE, (stage.bench.site.root / SAMPLE).stat().st_size
    stage.curl("--ssl-reqd", *LOGIN, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
    stage.curl(*LOGIN, "--ssl-reqd", "--list-only", f"{URL}/").succeeded()
    stage.curl("--ssl-reqd", *LOGIN, "--upload-file", str(source), f"{URL}/{UPLOADS}/up.bin").succeeded()
    stage.lftp(f"{lftp_login(True, '1.3')} get missing.bin -o {stage.folder}/x").failed()
    stage.lftp(f"{lftp_login(True, '1.3')} get {SAMPLE} -o {stage.folder}/{SAMPLE}").succeeded()
    said = [(line["path"], line["size"], line["direction"], line["status"]) for line in new_lines(stage, 4)]
    root = str(stage.bench.site.root)
    wanted = [
        (f"{root}/{SAMPLE}", str(size), "o", "c"),
        (f"{root}/{UPLOADS}/up.bin", str(size), "i", "c"),
        (f"{root}/missing.bin", "0", "o", "i"),
        (f"{root}/{SAMPLE}", str(size), "o", "c"),
    ]
    check(said == wanted, f"the log says {said}, not {wanted}")
    about = {
        (line["host"], line["user"], line["access"], line["service"], line["type"]) for line in new_lines(stage, 4)
    }
    check(about == {(CLIENT[4], USER, "r", "ftp", "b")}, f"the log says {about}")


def odd_names(stage: Stage) -> None:
    """Spaces and letters of other scripts in a name: one word all the same, and in the log as UTF-8."""
    emptied(stage)
    name = "två filer.txt"
    source = stage.bench.scratch / name
    source.write_text("hello")
    stage.lftp(f'{lftp_login(True, "1.3")} put "{source}" -o "{UPLOADS}/{name}"').succeeded()
    stage.has_uploaded(name, source)
    (line,) = new_lines(stage, 1)
    check(line["path"].endswith("/två_filer.txt"), f"the log names {line['path']}")


def moved_away(stage: Stage) -> None:
    """logrotate's way: the file is moved away, the next line makes it anew."""
    emptied(stage)
    log_file(stage).rename(stage.bench.scratch / "xferlog.1")
    stage.curl("--ssl-reqd", *LOGIN, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
    until(log_file(stage).is_file, "the log was not made anew")
    new_lines(stage, 1)


def webalizer(stage: Stage) -> None:
    """webalizer -F ftp counts what it takes for a log of wu-ftpd."""
    emptied(stage)
    for _ in range(3):
        stage.curl("--ssl-reqd", *LOGIN, "--output", f"{stage.folder}/{SAMPLE}", SAMPLE_URL).succeeded()
    new_lines(stage, 3)
    out = stage.bench.scratch / "webalizer"
    out.mkdir(exist_ok=True)
    options = ("-F", "ftp", "-o", str(out), "-n", "lab", "-T", "-p")
    ran = stage.run(str(program("webalizer")), *options, str(log_file(stage))).succeeded()
    ran.shows("3 records")
    check("Bad record" not in ran.said and " bad" not in ran.said.replace("0 bad", ""), "webalizer refuses a line")
    reports = "".join(file.read_text("latin-1") for file in out.glob("usage_*.html"))
    check(CLIENT[4] in reports and SAMPLE in reports, "the report shows neither the client nor the file")


def scenes() -> Iterator[Scene]:
    """One gateway with a log before vsftpd."""
    rows = {
        "files, a listing, a missing file": up_and_down,
        "spaces and other scripts in a name": odd_names,
        "the file is moved away": moved_away,
        "webalizer -F ftp reads it": webalizer,
    }
    yield Scene("xferlog", orders, _servers, rows)


def _servers(bench: Bench) -> list[Daemon]:
    return [servers.secure(bench, "vsftpd", "1.3")]
