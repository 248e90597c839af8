"""The error tree: each kind has a reason of its own, and can be given a better one."""

from __future__ import annotations

import re

import pytest

from alg.core import errors

KINDS = {
    errors.ProtocolError: "protocol_error",
    errors.PolicyError: "refused",
    errors.BindError: "no_port",
    errors.ConnectError: "connect_failed",
    errors.TlsError: "tls_failed",
    errors.ConfigError: "bad_config",
    errors.PluginError: "plugin_failed",
}


@pytest.mark.parametrize(("kind", "reason"), KINDS.items())
def test_an_error_has_a_message_and_a_reason(kind: type[errors.AlgError], reason: str) -> None:
    """The message is for a person, the reason for the record."""
    assert reason == kind("what happened").reason
    assert str(kind("what happened")) == "what happened"
    assert kind("what happened", reason="better").reason == "better"
    assert issubclass(kind, errors.AlgError)


def test_the_kinds_are_all_there_are() -> None:
    """A new kind needs a place in this table."""
    assert set(KINDS) == set(errors.AlgError.__subclasses__())


def test_anything_else_is_a_plugins_defect_and_says_where() -> None:
    """One of ours stays itself; what a plugin raised by mistake is named with its place."""
    ours = errors.PolicyError("not here")
    assert errors.as_error(ours) is ours
    defect: errors.AlgError | None = None
    try:
        int("no number")
    except ValueError as problem:
        defect = errors.as_error(problem)
    assert isinstance(defect, errors.PluginError)
    assert re.fullmatch(r"ValueError at test_errors\.py:\d+: invalid literal .*", str(defect))
