"""The ways in, in the configuration: which plugin treats which port, who may ask, and what does not go together."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from alg.config import load
from alg.core.errors import ConfigError
from alg.core.model import PortRange, TlsPolicy
from alg.overrides import Overrides
from alg.registry import Registry
from alg.settings import PUBLIC, AllowedUpstream, Proxy, Route, Upstream, Way

SOCKS = Overrides(routes=("socks@1080",), allow_upstream=("*",))


def only(overrides: Overrides, path: Path | None = None) -> Route:
    """The one route."""
    (route,) = load(path, Registry(), overrides).routes
    return route


def file(folder: Path, text: str) -> Path:
    """A configuration file."""
    path = folder / "alg.toml"
    path.write_text(text, "utf-8")
    return path


def test_a_way_in_by_one_line() -> None:
    """What no rule covers is passed on unread; what is allowed must be said."""
    route = only(SOCKS)
    assert (route.way, route.name, route.plugin.name, route.upstream) == (Way.SOCKS, "socks", "tcp", None)
    assert route.allowed == (AllowedUpstream(PUBLIC),)
    assert str(route) == "socks 0.0.0.0:1080 -> as the client says"
    with pytest.raises(ConfigError, match="none is allowed; list those that are, by --allow-upstream"):
        only(Overrides(routes=("socks@1080",)))


def test_which_plugin_treats_which_port() -> None:
    """The first rule that covers the destination's port; options and TLS go to whom they are meant for."""
    route = only(
        Overrides(
            routes=("connect@8080",),
            allow_upstream=("10.0.0.0/8",),
            plugins=("21=ftp", "8000-8010=http"),
            tls="mint",
            upstream_insecure=True,
        )
    )
    assert [str(rule) for rule in route.rules] == ["21=ftp", "8000-8010=http"]
    ftp = route.treated_by(route.rule_for(21))
    assert (ftp.plugin.name, ftp.client_tls.policy) == ("ftp", TlsPolicy.CLIENT)
    http = route.treated_by(route.rule_for(8005))
    assert (http.plugin.name, http.client_tls.policy, http.client_tls.implicit) == ("http", TlsPolicy.NEVER, False)
    assert route.rule_for(22) is None
    assert route.treated_by(None) is route
    assert route.related_flows


def test_a_file_says_the_same(tmp_path: Path) -> None:
    """Tables for each plugin, users, clients, senders, and another proxy in front."""
    route = only(
        Overrides(),
        file(
            tmp_path,
            """
            [routes.inside]
            route = "socks@10.0.0.1:1080"
            upstreams = ["*", "192.0.2.0/24:21"]
            plugins = { 21 = "ftp", 990 = "ftps" }
            users = { alice = "secret" }
            clients = ["8.8.8.0/24"]
            options.ftp = { profiles = ["read-only"] }
            client = { proxy_protocol = ["10.0.0.0/8"], tls = "mint" }
            server = { via = "http://me:p%40ss@10.9.9.9:3128" }
            """,
        ),
    )
    assert route.users == {"alice": "secret"}
    assert route.clients == (ip_network("8.8.8.0/24"),)
    assert route.proxy_senders == (ip_network("10.0.0.0/8"),)
    assert route.via == Proxy("http", "10.9.9.9", 3128, "me", "p@ss")
    assert "p@ss" not in repr(route)
    assert "secret" not in repr(route)
    assert [(rule.ports, rule.client_tls.implicit) for rule in route.rules] == [
        (PortRange(21, 21), False),
        (PortRange(990, 990), True),
    ]
    assert "read-only" in str(route.rules[0].config)


def test_users_of_a_file(tmp_path: Path) -> None:
    """A line for each; no password is shown when one is wrong."""
    users = tmp_path / "users"
    users.write_text("# who may\nalice:se:cret\n\nbob:hush\n", "utf-8")
    route = only(Overrides(routes=("socks@1",), allow_upstream=("*",), proxy_auth=f"@{users}"))
    assert route.users == {"alice": "se:cret", "bob": "hush"}
    users.write_text("# nobody is left\n\n", "utf-8")
    with pytest.raises(ConfigError, match="there are none, so nobody could come"):
        only(Overrides(routes=("socks@1",), allow_upstream=("*",), proxy_auth=f"@{users}"))
    users.write_text("alice:secret\nbobhush\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        only(Overrides(routes=("socks@1",), allow_upstream=("*",), proxy_auth=f"@{users}"))
    assert "entry 2 is not USER:PASSWORD" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"plugins": ("21",)}, "'21' is not PORT=SCHEME"),
        ({"plugins": ("x=ftp",)}, "'x' is no port and no range"),
        ({"plugins": ("0=ftp",)}, "'0' is no port and no range"),
        ({"plugins": ("30-20=ftp",)}, "'30-20' is no port and no range"),
        ({"plugins": ("20-30=ftp", "25=http")}, "25=http overlaps 20-30=ftp"),
        ({"plugins": ("21=gopher",)}, "there is no plugin 'gopher'"),
        ({"plugins": ("990=ftps",)}, "TLS toward clients needs a certificate"),
        ({"proxy_auth": "alice"}, "entry 1 is not USER:PASSWORD"),
        ({"proxy_auth": "a:" + 256 * "x"}, "entry 1 is not USER:PASSWORD"),
        ({"proxy_auth": "@/no/such/file"}, "/no/such/file: cannot be read"),
        ({"via": "gopher://h:1"}, "is no proxy; write SCHEME"),
        ({"via": "socks5://me:hush@h"}, "'socks5://…@h' is no proxy"),
        ({"via": "socks5://h:1", "plugins": ("53=udp",)}, "datagrams cannot go through socks5://h:1"),
        (
            {"routes": ("udp://h:1@1",), "allow_upstream": (), "via": "socks5://h:1"},
            "server.via: udp is UDP, and datagrams cannot go",
        ),
        ({"via": "socks5://h:1", "proxy_protocol": "v2"}, "behind socks5://h:1 no server sees its client"),
        ({"keep_client_address": True}, "only a transparent route can keep it"),
        ({"routes": ("sock@1",)}, "there is no way in called 'sock'; there are transparent, socks, connect"),
        ({"routes": ("socks@name:1",)}, "to listen at 'name', write it as an address"),
        ({"routes": ("transparent@1",), "proxy_auth": "a:b"}, "only clients of socks and connect can say who they are"),
        (
            {"routes": ("transparent@1",), "allow_client": (ip_network("8.0.0.0/8"),)},
            "only socks and connect routes ask",
        ),
        ({"routes": ("transparent@1",), "accept_proxy_protocol": (ip_network("8.0.0.0/8"),)}, "does not know of us"),
        (
            {"routes": ("tcp://h:1@1",), "allow_upstream": (), "plugins": ("21=ftp",)},
            "has the plugin tcp; ports choose",
        ),
    ],
)
def test_what_does_not_go_together(more: dict[str, object], words: str) -> None:
    """One line, with the cause and the mend."""
    said = {"routes": ("socks@1080",), "allow_upstream": ("*",), **more}
    with pytest.raises(ConfigError) as caught:
        load(None, Registry(), Overrides(**said))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_options_of_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    """Options stand under the plugin that they are for."""
    text = '[routes.a]\nroute = "socks@1"\nupstreams = ["*"]\nplugins = { 21 = "ftp" }\n'
    with pytest.raises(ConfigError, match=r"options\.http: no port of this route has that plugin"):
        only(Overrides(), file(tmp_path, text + "options.http = {}"))
    with pytest.raises(ConfigError, match=r"options\.ftp: must be a table"):
        only(Overrides(), file(tmp_path, text + "options.ftp = 1"))


def test_the_upstream_of_a_session() -> None:
    """What is said for a port stays with the route of its sessions."""
    route = only(SOCKS)
    assert str(Upstream("h", 1)) == "h:1"
    assert route.treated_by(route.rule_for(1)) == route
