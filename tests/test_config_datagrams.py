"""Routes of datagrams in the configuration: what they have, what they have not, and what is shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from alg_tftp import TftpConfig
from alg_udp import UdpPlugin

from alg import explain_settings
from alg.config import load
from alg.core.errors import ConfigError
from alg.core.model import TlsPolicy
from alg.mitm.settings import find_plugin
from alg.overrides import Overrides
from alg.plugin import Verdict
from alg.registry import Registry
from alg.settings import Settings, idle_of

ROUTE = '[routes.a]\nroute = "tftp://10.77.2.2@10.77.1.1:69"\n'


def loaded(tmp_path: Path, text: str, overrides: Overrides | None = None) -> Settings:
    """What a file with this text becomes."""
    path = tmp_path / "alg.toml"
    path.write_text(text)
    return load(path, Registry(), overrides or Overrides())


def test_a_route_of_datagrams(tmp_path: Path) -> None:
    """With its options, its time of silence, and its limits."""
    more = 'idle = 7.5\noptions = {read_only = true, rules = {"RRQ *.key" = "reject"}, dally = 1.0}\n'
    settings = loaded(tmp_path, ROUTE + more + "[limits]\ndatagram_flows = 9\ndatagram_flows_per_client = 3\n")
    (route,) = settings.routes
    assert str(route) == "tftp 10.77.1.1:69 -> 10.77.2.2:69"
    assert isinstance(route.config, TftpConfig)
    assert vars(route.config) == {"read_only": True, "rules": {"RRQ *.key": Verdict.REJECT}, "dally": 1.0}
    assert (idle_of(route), route.server_tls.policy, route.is_opaque) == (7.5, TlsPolicy.NEVER, False)
    assert (settings.limits.datagram_flows, settings.limits.datagram_flows_per_client) == (9, 3)
    assert settings.limits.leases.in_all == 4096
    lines = list(explain_settings.settings(settings))
    assert "  plugin tftp reads what clients and servers say" in lines
    assert "  datagrams: a flow ends after 7.5 s of silence" in lines
    assert "at most 9 flows of datagrams, 3 of one client; the oldest makes place" in lines
    assert not [line for line in lines if "TLS" in line]


def test_the_plugin_says_how_long_silence_lasts() -> None:
    """Unless the route does."""
    (route,) = load(None, Registry(), Overrides(routes=("udp://10.77.2.2:53@10.77.1.1:5353",))).routes
    assert idle_of(route) == UdpPlugin.idle
    assert route.is_opaque


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ROUTE + 'client = {tls = "mint"}\n', "a.tls: tftp is UDP, where there is no TLS"),
        (ROUTE + 'server = {tls = "require"}\n', "a.tls: tftp is UDP, where there is no TLS"),
        (ROUTE + 'server = {proxy_protocol = "v2"}\n', "a.server.proxy_protocol: tftp is UDP"),
        (ROUTE + "idle = 0\n", "a.idle"),
        ('[routes.b]\nroute = "tcp://h:1@1"\nidle = 1.0\n', "b.idle: is for routes of datagrams, and tcp is TCP"),
        (ROUTE + "[limits]\ndatagram_flows = 0\n", "limits.datagram_flows"),
        ('[routes.b]\nroute = "udp://10.77.2.2@53"\n', "udp has no well-known port"),
        ('[routes.b]\nroute = "udp://*@53"\n', "clients cannot choose their server with udp"),
        (ROUTE + '[routes.b]\nroute = "udp://10.77.2.2:53@10.77.1.1:69"\n', "listen at the same place"),
    ],
)
def test_what_datagrams_have_not_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    """It never goes without effect."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        *(Overrides(tls="mint"), Overrides(upstream_tls="never"), Overrides(upstream_insecure=True)),
        *(Overrides(upstream_ca=Path("ca.pem")), Overrides(proxy_protocol="v1")),
    ],
)
def test_the_command_line_cannot_have_it_either(tmp_path: Path, overrides: Overrides) -> None:
    """TLS and the PROXY protocol."""
    with pytest.raises(ConfigError, match="is UDP"):
        loaded(tmp_path, ROUTE, overrides)


def test_tcp_and_udp_may_listen_at_one_port(tmp_path: Path) -> None:
    """They are two places."""
    second = '[routes.b]\nroute = "tcp://10.77.2.2:69@10.77.1.1:69"\n'
    assert len(loaded(tmp_path, ROUTE + second).routes) == 2


def test_mitmproxy_has_none() -> None:
    """The error says what to do instead."""
    with pytest.raises(ConfigError, match=r"plugin tftp is for UDP, .*use alg run tftp://"):
        find_plugin("tftp", Registry())
    assert find_plugin("ftp", Registry()).name == "ftp"
