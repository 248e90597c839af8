"""Every length, count and time of FTP's settings: at the limit it passes, one above it does not."""

from __future__ import annotations

import dataclasses

import pytest
from alg_ftp import FtpConfig, FtpPlugin

from alg.plugin import ConfigError, PolicyError, Side
from alg.plugin_config import plugin_config
from alg.testing import Playbook
from tests.plugins.test_conversations import CONVERSATIONS


def talking(**settings: float) -> Playbook:
    """A session that has been greeted."""
    talk = Playbook(FtpPlugin, dataclasses.replace(FtpConfig(), **settings))  # type: ignore[arg-type]
    talk.server(b"220 ready\r\n")
    return talk


def command_line(above: bool) -> bool:
    talk = talking(max_command_line=20)
    talk.client(b"RETR " + b"x" * (13 + above) + b"\r\n")
    return talk.reasons == (["line_too_long"] if above else [])


def reply_line(above: bool) -> bool:
    talk = talking(max_reply_line=20)
    talk.client(b"NOOP\r\n")
    talk.server(b"200 " + b"x" * (14 + above) + b"\r\n")
    return talk.reasons == (["line_too_long"] if above else [])


def reply_lines(above: bool) -> bool:
    talk = talking(max_reply_lines=4)
    talk.client(b"FEAT\r\n")
    talk.server(b"211-\r\n" + b" X\r\n" * (2 + above) + b"211 end\r\n")
    return talk.reasons == (["reply_too_long"] if above else [])


def user(above: bool) -> bool:
    talk = talking(max_user=8)
    talk.client(b"USER " + b"x" * (8 + above) + b"\r\n")
    return talk.reasons == (["user_too_long"] if above else [])


def outstanding(above: bool) -> bool:
    talk = talking(max_outstanding=3)
    talk.client(b"NOOP\r\n" * (3 + above))
    return talk.reasons == (["too_many_commands"] if above else [])


def command_rate(above: bool) -> bool:
    talk = talking(command_rate=5)
    for _ in range(10 + above):
        talk.client(b"NOOP\r\n")
        talk.server(b"200 ok\r\n")
    return talk.reasons == (["command_rate"] if above else [])


def data_lifetime(above: bool) -> bool:
    talk = talking(data_lifetime=7.5)
    talk.client(b"EPSV\r\n")
    talk.server(b"229 (|||40112|)\r\n")
    (lease,) = talk.leases
    try:
        lease.admit(Side.CLIENT, talk.legs[Side.CLIENT].peer.address, 7.5 if above else 7.4)
    except PolicyError as error:
        return above and "after the lease had ended" in str(error)
    return not above


LIMITS = {
    "max_command_line": command_line,
    "max_reply_line": reply_line,
    "max_reply_lines": reply_lines,
    "max_user": user,
    "max_outstanding": outstanding,
    "command_rate": command_rate,
    "data_lifetime": data_lifetime,
}


@pytest.mark.parametrize("above", [False, True], ids=["at", "above"])
@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_holds(limit: str, above: bool) -> None:
    """Not one byte, line, command or moment more."""
    assert LIMITS[limit](above)


def test_every_limit_is_tested() -> None:
    """A new number among the settings needs a place in the table."""
    numbers = {
        each.name for each in dataclasses.fields(FtpConfig) if type(getattr(FtpConfig(), each.name)) in (int, float)
    }
    assert numbers == set(LIMITS)


def test_every_option_is_shown() -> None:
    """What an operator may set has its limit here, or a conversation that shows what it does."""
    shown = {option for each in CONVERSATIONS if each.protocol == "ftp" for option in each.config}
    assert {each.name for each in dataclasses.fields(FtpConfig)} == shown | set(LIMITS)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("number", [0, -1])
def test_a_limit_is_above_nothing(limit: str, number: int) -> None:
    """Refused when the settings are made."""
    with pytest.raises(ConfigError, match=limit):
        FtpConfig(**{limit: number})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limit", "number", "within", "above", "reason"),
    [
        ("max_command_line", 20, b"OPEN " + b"x" * 13 + b"\r\n", b"OPEN " + b"x" * 14 + b"\r\n", "line_too_long"),
        ("command_rate", 2, b"NOOP\r\n" * 4, b"NOOP\r\n" * 5, "command_rate"),
        ("max_user", 3, b"USER abc@ftp.example.org\r\n", b"USER abcd@ftp.example.org\r\n", "user_too_long"),
    ],
)
def test_limits_hold_before_there_is_a_server(
    limit: str, number: int, within: bytes, above: bytes, reason: str
) -> None:
    """Who has not logged in has no more rights than who has."""
    for said, reasons in ((within, []), (above, [reason])):
        config = dataclasses.replace(FtpConfig(), **{limit: number})  # type: ignore[arg-type]
        talk = Playbook(FtpPlugin, config, server=None)
        talk.client(said)
        assert [each for each in talk.reasons if each == reason] == reasons


def test_the_rate_recovers_with_time() -> None:
    """Bursts of twice the rate, then so many a second."""
    talk = talking(command_rate=5)
    for second in range(1, 20):
        talk.now = float(second)
        for _ in range(5):
            talk.client(b"NOOP\r\n")
            talk.server(b"200 ok\r\n")
    assert not talk.closed


@pytest.mark.parametrize("feature", ["", " ", "caf\u00e9", "MLST\r\n227 x", "A\nB", "A\0"])
def test_a_feature_to_add_is_checked_when_the_settings_are_made(feature: str) -> None:
    """T28: not in the middle of a session, and never on the wire."""
    with pytest.raises(ConfigError, match="add_features"):
        FtpConfig(add_features=(feature,))
    with pytest.raises(ConfigError, match="add_features"):
        plugin_config(FtpPlugin, {"add_features": [feature]})
