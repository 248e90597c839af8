"""The error tree: its type tells whose fault it is, its `reason` is the word for the log.

Every error that may end up in front of a person is an `AlgError`: one line, cause and mend, no traceback.
Anything else that leaves a plugin is a defect of that plugin and becomes a `PluginError`.
"""

from __future__ import annotations


class AlgError(Exception):
    """Something went wrong that we can name.

    `reason` is a short machine-readable word (`third_party_address`, `line_too_long`, …) that ends up in the record.
    """

    default_reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason


class ProtocolError(AlgError):
    """The peer's fault: it broke its protocol. The session ends; nothing is resynchronised."""

    default_reason = "protocol_error"


class PolicyError(AlgError):
    """Refused by a rule: ours or the operator's. The session may go on."""

    default_reason = "refused"


class BindError(AlgError):
    """The host could not listen: no free port, no permission, no descriptor left. Nobody's fault on the wire."""

    default_reason = "no_port"


class ConnectError(AlgError):
    """The other side could not be reached: refused, unreachable, or too slow."""

    default_reason = "connect_failed"


class TlsError(AlgError):
    """A TLS handshake failed, or the host has no TLS to offer."""

    default_reason = "tls_failed"


class ConfigError(AlgError):
    """The configuration is wrong: the message names file, table and key, and what would be right."""

    default_reason = "bad_config"


class PluginError(AlgError):
    """The plugin's fault: it raised something unexpected or awaited what this machine cannot answer."""

    default_reason = "plugin_failed"


def describe(problem: Exception) -> str:
    """An exception in one line, with the place where it was raised."""
    place, trace = "", problem.__traceback__
    while trace:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(problem).__name__} at {place}: {problem}"


def as_error(problem: Exception) -> AlgError:
    """The exception itself where it is one of ours; anything else is a plugin's defect."""
    return problem if isinstance(problem, AlgError) else PluginError(describe(problem))
