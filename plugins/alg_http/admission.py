"""Who may ask for what: hosts, paths and web pages that an operator allows. Everything is compared in one canonical form;
what cannot be brought into it is refused where a list says what may pass.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from alg.plugin import Leg, PolicyError, ProtocolError
from alg_http.config import HttpConfig
from alg_http.heads import Request
from alg_http.origins import Origin

_ODD = re.compile(r"//|/\.{1,2}(?:/|\Z)|\\|[\x00-\x1f\x7f]")
_ENCODED_SLASH = re.compile(rb"%2[fF]|%5[cC]|%00")


def is_known(config: HttpConfig, outside: Origin, client: Leg) -> bool:
    """Whether what a client calls us is ours. A web page of somebody else's can have its own name resolved to us (DNS
    rebinding), and no address of ours, no name that our certificate was shown for, none that the operator has listed.
    """
    shown_for = client.tls is not None and client.tls.server_name == outside.host
    return outside.is_address or outside.host == "localhost" or shown_for or _is_listed(config.allowed_hosts, outside)


def admit(config: HttpConfig, request: Request, outside: Origin, *, known: bool) -> None:
    """Let a request pass, or refuse it; `known`: what the client calls us is ours.

    Raises:
        PolicyError: `foreign_host`, `path_refused` or `method_refused`.
    """
    if config.allowed_hosts and not _is_listed(config.allowed_hosts, outside):
        raise PolicyError(f"{outside.host_and_port.decode('ascii')} is none of `allowed_hosts`", reason="foreign_host")
    if config.names_address and not known:
        # By the name alone the server would see that it is not meant; since it hears its own address, we must.
        words = f"{outside.host_and_port.decode('ascii')} is a name, which the server does not take"
        raise PolicyError(f"{words}; `allowed_hosts` can name it", reason="foreign_host")
    if request.method == b"CONNECT" and not config.connect:
        raise PolicyError("CONNECT is refused; `connect` can allow it", reason="method_refused")
    if config.allowed_paths and request.method != b"CONNECT":
        path = request.path
        # One server goes up at `..`, another at `%2e%2e`, a third not at all: where paths are judged, neither passes.
        odd = _ODD.search(path) or _ENCODED_SLASH.search(request.target.partition(b"?")[0])
        if odd or not any(fnmatchcase(path, pattern) for pattern in config.allowed_paths):
            raise PolicyError("the path is none of `allowed_paths`", reason="path_refused")


def admit_page(config: HttpConfig, request: Request) -> None:
    """Let a WebSocket handshake pass, or refuse it: any web page may have a browser open one, with its user's cookies.

    Raises:
        PolicyError: `origin_refused`.
    """
    if not config.allowed_origins:
        return
    origins = [value.decode("latin-1") for value in request.values(b"origin")]
    if len(origins) != 1 or origins[0] not in config.allowed_origins:  # exactly: RFC 6454 section 4 leaves one spelling
        named = repr(origins[0][:80]) if origins else "nobody"
        raise PolicyError(f"{named} may not open a WebSocket here, see `allowed_origins`", reason="origin_refused")


def _is_listed(hosts: tuple[str, ...], outside: Origin) -> bool:
    names = (outside.host, outside.host_and_port.decode("ascii"), outside.authority.decode("ascii"))
    return any(host.lower() in names for host in hosts)


def check_target(request: Request) -> None:
    """Refuse a target that is in none of the forms of RFC 9112 section 3.2 that its method may have.

    Raises:
        ProtocolError: `bad_target`.
    """
    target, method = request.target, request.method
    fits = target.startswith(b"/") or (target == b"*" and method == b"OPTIONS")
    if method == b"CONNECT":
        fits = re.fullmatch(rb"[A-Za-z0-9._:\[\]-]{1,260}:[0-9]{1,5}", target) is not None
    if not fits or b"#" in target:
        raise ProtocolError("the client sent a target that is none for its method", reason="bad_target")
