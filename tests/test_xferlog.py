"""The transfer log: lines as the manual page has them, read back by a parser written after that; nothing forges one."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alg.xferlog import AccessMode, Direction, Transfer, TransferType, format_line

UPLOAD = Transfer(
    moment=datetime(2026, 11, 20, 21, 33, 25, tzinfo=UTC),
    seconds=12.9,
    remote_host="10.77.1.2",
    size=1048576,
    path="/pub/file.bin",
    transfer_type=TransferType.BINARY,
    direction=Direction.INCOMING,
    access_mode=AccessMode.REAL,
    user="alice",
    completed=True,
)

# The manual page, field by field.
LINE = re.compile(
    r"(?P<current_time>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r" [ 123][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4})"
    r" (?P<transfer_time>[1-9][0-9]*) (?P<remote_host>\S+) (?P<file_size>[0-9]+) (?P<filename>\S+)"
    r" (?P<transfer_type>[ab]) (?P<special_action_flag>_) (?P<direction>[oid]) (?P<access_mode>[arg])"
    r" (?P<username>\S+) (?P<service_name>\S+) (?P<authentication_method>[01]) (?P<authenticated_user_id>\S+)"
    r" (?P<completion_status>[ci])"
)


def read(transfer: Transfer) -> dict[str, str]:
    """The fields of its line, by the names of the manual page."""
    match = LINE.fullmatch(format_line(transfer))
    assert match is not None, format_line(transfer)
    return match.groupdict()


def test_an_upload() -> None:
    """The whole line."""
    line = "Fri Nov 20 21:33:25 2026 12 10.77.1.2 1048576 /pub/file.bin b _ i r alice ftp 0 * c"
    assert format_line(UPLOAD) == line


def test_an_anonymous_download_that_broke_off() -> None:
    """Everything the other way."""
    download = Transfer(
        moment=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        seconds=0,
        remote_host="2001:db8::5",
        size=0,
        path="/a b",
        transfer_type=TransferType.ASCII,
        direction=Direction.OUTGOING,
        access_mode=AccessMode.ANONYMOUS,
        user="me@example.org",
        completed=False,
        service="ftps",
        authenticated_user="bob",
    )
    line = "Fri Jan  2 03:04:05 2026 1 2001:db8::5 0 /a_b a _ o a me@example.org ftps 1 bob i"
    assert format_line(download) == line


def test_a_guest_deletes() -> None:
    """The values that are left."""
    fields = read(replace(UPLOAD, direction=Direction.DELETED, access_mode=AccessMode.GUEST))
    assert (fields["direction"], fields["access_mode"]) == ("d", "g")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "1"), (0.01, "1"), (0.99, "1"), (1, "1"), (1.99, "1"), (2, "2"), (86400.5, "86400"), (-3, "1")],
)
def test_a_transfer_takes_a_second_at_least(seconds: float, written: str) -> None:
    """Even where a clock was set back: a reader divides by it."""
    assert read(replace(UPLOAD, seconds=seconds))["transfer_time"] == written


def test_the_time_is_that_of_the_value() -> None:
    """Its zone is the caller's choice; the microseconds are left out."""
    there = timezone(timedelta(hours=-5))
    moment = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=there)
    assert read(replace(UPLOAD, moment=moment))["current_time"] == "Thu Dec 31 23:59:59 2026"
    assert read(replace(UPLOAD, moment=moment.replace(tzinfo=None)))["current_time"] == "Thu Dec 31 23:59:59 2026"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *(("/plain", "/plain"), ("/a b  c", "/a_b__c"), (" ", "_"), ("/tab\there", "/tab_here"), ("", "?")),
        *(
            ("/nl\nx", "/nl_x"),
            ("/cr\r\nx", "/cr__x"),
            ("/nul\0", "/nul_"),
            ("/del\x7f", "/del_"),
            ("/\x1b[1m", "/_[1m"),
        ),
        *(("/größe", "/größe"), ("/文件", "/文件"), ("/😀", "/😀"), ("/nbsp\xa0x", "/nbsp_x"), ("/\u3000x", "/_x")),
        *(
            ("/ls\u2028x\u2029", "/ls_x_"),
            ("/nel\x85x", "/nel_x"),
            ("/bidi\u202ex", "/bidi_x"),
            ("/vt\x0b\x0c\x1c", "/vt___"),
        ),
        (b"/caf\xe9".decode("utf-8", "surrogateescape"), "/caf_"),
    ],
)
def test_a_name_is_one_word(name: str, written: str) -> None:
    """Of the file, of the user, of the host and of who was authenticated."""
    fields = read(replace(UPLOAD, path=name, user=name, remote_host=name, service=name, authenticated_user=name))
    keys = ("filename", "username", "remote_host", "service_name", "authenticated_user_id")
    assert [fields[key] for key in keys] == [written] * 5
    assert fields["authentication_method"] == "1"


def test_a_line_cannot_be_forged() -> None:
    """A name that holds a whole line makes no second one."""
    forged = "/x b _ i r alice ftp 0 * c\n" + format_line(replace(UPLOAD, user="mallory"))
    line = format_line(replace(UPLOAD, path=forged))
    assert len(line.split(" ")) == 18
    assert LINE.fullmatch(line)


def test_the_least_size_and_one_byte_less() -> None:
    """A caller's mistake."""
    assert read(replace(UPLOAD, size=0))["file_size"] == "0"
    with pytest.raises(ValueError, match="-1 bytes"):
        replace(UPLOAD, size=-1)


transfers = st.builds(
    Transfer,
    moment=st.datetimes(min_value=datetime(1970, 1, 1)),  # noqa: DTZ001 - hypothesis asks for it
    seconds=st.floats(0, 1e9),
    remote_host=st.text(),
    size=st.integers(0, 1 << 63),
    path=st.text(st.characters()),
    transfer_type=st.sampled_from(TransferType),
    direction=st.sampled_from(Direction),
    access_mode=st.sampled_from(AccessMode),
    user=st.text(),
    completed=st.booleans(),
    service=st.text(),
    authenticated_user=st.none() | st.text(),
)


@given(transfers)
def test_any_transfer_is_one_line_of_printable_words(transfer: Transfer) -> None:
    """It reads back, splits at spaces alone, encodes, and keeps what may be kept."""
    line = format_line(transfer)
    assert line.splitlines() == [line]
    assert line.isprintable()
    assert line.encode("utf-8").decode("utf-8") == line
    assert len(line.split()) == 18
    fields = read(transfer)
    moment = datetime.strptime(fields["current_time"], "%a %b %d %H:%M:%S %Y")  # noqa: DTZ007 - the format has no zone
    assert moment == transfer.moment.replace(microsecond=0)
    assert (int(fields["file_size"]), fields["completion_status"]) == (transfer.size, "ic"[transfer.completed])
    assert fields["direction"] == transfer.direction.value
    assert (fields["authentication_method"] == "1") is (transfer.authenticated_user is not None)
    for text, written in ((transfer.path, fields["filename"]), (transfer.user, fields["username"])):
        assert len(written) == max(1, len(text))
        assert all(char in (kept, "_") or not text for char, kept in zip(written, text or "?", strict=True))
