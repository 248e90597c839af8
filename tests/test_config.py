"""The configuration file as a user writes it: what it becomes, and each way to get it wrong, by its exact line."""

from __future__ import annotations

from dataclasses import asdict
from ipaddress import ip_network
from pathlib import Path

import pytest
from alg_ftp import FtpConfig, FtpPlugin
from alg_ftp.config import Profile
from alg_http import HttpConfig
from alg_http.profiles import Profile as HttpProfile

from alg.config import load
from alg.core.addresses import parse_address
from alg.core.errors import ConfigError
from alg.core.model import DEFAULT_PORTS, PortRange, Side
from alg.core.plugin import StreamPlugin
from alg.overrides import Overrides
from alg.plugin_config import plugin_config
from alg.registry import Registry
from alg.settings import Settings

HTTP = "[routes.a]\nroute = 'http://127.0.0.1:8080@127.0.0.1:1'\n[routes.a.options]\n"
ROUTE = '[routes.a]\nroute = "ftp://10.0.0.1:21@127.0.0.1:2121"\n'


def loaded(tmp_path: Path, text: str, overrides: Overrides | None = None) -> Settings:
    """What becomes of a file."""
    path = tmp_path / "alg.toml"
    path.write_text(text, "utf-8")
    return load(path, Registry(), overrides or Overrides())


def errors(tmp_path: Path, text: str) -> list[str]:
    """What is wrong with a file, each line without the file's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return [line.removeprefix(f"{tmp_path / 'alg.toml'}: ") for line in str(caught.value).splitlines()]


def test_smallest_file(tmp_path: Path) -> None:
    """A route is enough; all else has the documented default."""
    settings = loaded(tmp_path, ROUTE)
    (route,) = settings.routes
    assert route.plugin is FtpPlugin
    assert isinstance(route.config, FtpConfig)
    assert asdict(route.config) == asdict(FtpConfig())
    assert str(route) == "ftp 127.0.0.1:2121 -> 10.0.0.1:21"
    assert (settings.times.connect, settings.times.idle, settings.times.drain) == (10.0, 900.0, 30.0)
    assert route.realms[Side.CLIENT].ports == DEFAULT_PORTS
    assert (settings.log_format, settings.log_level) == ("text", "info")


def test_every_key(tmp_path: Path) -> None:
    """Each key that there is ends up where it belongs."""
    settings = loaded(
        tmp_path,
        """
        ports = "20000-20999"
        advertise_client = "203.0.113.1"
        advertise_server = "203.0.113.2"
        drain = 5
        log_format = "json"
        log_level = "warning"
        times = { connect = 3.5, idle = 60, resolve = 7 }
        [limits]
        sessions = 7
        sessions_per_client = 6
        leases = 5
        leases_per_client = 4
        leases_per_session = 3
        shared_listeners = 6
        [routes.a]
        route = "ftp://[fd00::1]@[::1]:2121"
        client = { bind = "::1", advertise = "fd00::9", ports = "30000-30001" }
        server = { targets = ["10.0.0.0/8"], min_port = 20 }
        options = { profiles = ["read-only"], rules = { SITE = "abort" }, max_user = 5 }
        """,
    )
    (route,) = settings.routes
    client, server = route.realms[Side.CLIENT], route.realms[Side.SERVER]
    assert (client.bind, client.advertise) == (parse_address("::1"), parse_address("fd00::9"))
    assert (client.ports, server.ports) == (PortRange(30000, 30001), PortRange(20000, 20999))
    assert (server.bind, server.advertise) == (None, parse_address("203.0.113.2"))
    assert route.targets[Side.SERVER].networks == (ip_network("10.0.0.0/8"),)
    assert (route.targets[Side.SERVER].min_port, route.targets[Side.CLIENT].min_port) == (20, 1024)
    assert isinstance(route.config, FtpConfig)
    assert (route.config.profiles, route.config.max_user) == ((Profile.READ_ONLY,), 5)
    limits = settings.limits
    assert (limits.sessions, limits.sessions_per_client) == (7, 6)
    assert (limits.leases.in_all, limits.leases.per_client, limits.leases.per_session) == (5, 4, 3)
    assert limits.leases.shared == 6
    times = settings.times
    assert (times.connect, times.idle, times.drain, times.resolve) == (3.5, 60, 5, 7)
    assert (settings.log_format, settings.log_level) == ("json", "warning")


def test_lists_within_tls(tmp_path: Path) -> None:
    """Names and pins are lists in the file; what is no list is refused."""
    pin = "ab" * 32
    (route,) = loaded(tmp_path, f'{ROUTE}[routes.a.server.tls]\npin = ["{pin}"]\n').routes
    assert route.server_tls.pins == (pin,)
    assert errors(tmp_path, f'{ROUTE}[routes.a.server.tls]\npin = "{pin}"\n') == [
        f"routes.a.server.tls.pin: must be a list, not '{pin}'"
    ]
    text = f'{ROUTE}[routes.a.client.tls]\ncertificate = "mint"\nnames = ["ftp.example.org", "*.example.org"]\n'
    (route,) = loaded(tmp_path, text).routes
    assert route.client_tls.names == ("ftp.example.org", "*.example.org")


def test_command_line_stands_above_the_file(tmp_path: Path) -> None:
    """What the command line says holds, also against a route's own table."""
    address = parse_address("198.51.100.1")
    overrides = Overrides(
        ("tcp://10.0.0.2:1@127.0.0.1:1",), PortRange(5000, 5001), address, address, 1.0, "json", "error"
    )
    text = 'drain = 9\nlog_level = "debug"\n' + ROUTE + 'client = { ports = "1-2", advertise = "192.0.2.1" }\n'
    settings = loaded(tmp_path, text, overrides)
    assert [route.plugin.name for route in settings.routes] == ["tcp", "ftp"]
    for route in settings.routes:
        for realm in route.realms.values():
            assert (realm.ports, realm.advertise) == (PortRange(5000, 5001), address)
    assert (settings.times.drain, settings.log_format, settings.log_level) == (1.0, "json", "error")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("prots = '1-2'\n" + ROUTE, "prots: unknown key; did you mean ports?"),
        ("drain = 'x'\n" + ROUTE, "drain: must be a number, not 'x'"),
        ("drain = 0\n" + ROUTE, "drain: must be greater than 0, not 0"),
        ("log_level = 'loud'\n" + ROUTE, "log_level: must be 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("times = { idle = inf }\n" + ROUTE, "times.idle: must be a finite number, not inf"),
        ("times = { connect = nan }\n" + ROUTE, "times.connect: must be a finite number, not nan"),
        ("times = { conect = 1 }\n" + ROUTE, "times.conect: unknown key; did you mean connect?"),
        ("limits = { sessions = 0 }\n" + ROUTE, "limits.sessions: must be greater than or equal to 1, not 0"),
        ("limits = { sessions = true }\n" + ROUTE, "limits.sessions: must be an integer, not True"),
        ("limits = { sessions = 1.5 }\n" + ROUTE, "limits.sessions: must be an integer, not 1.5"),
        ("ports = 5\n" + ROUTE, "ports: must be text, not int"),
        ("ports = '9-1'\n" + ROUTE, "ports: a port range is LOW-HIGH with 1 <= LOW <= HIGH <= 65535, not 9-1"),
        ("ports = '1'\n" + ROUTE, "ports: '1' is no port range; write LOW-HIGH, e.g. 20000-20999"),
        ("advertise_client = '010.0.0.1'\n" + ROUTE, "advertise_client: not a literal IP address: '010.0.0.1'"),
        (ROUTE + "x = 1\n", "routes.a.x: unknown key; known are client, clients, idle, keep_client_address"),
        (ROUTE + "client = { prots = 1 }\n", "routes.a.client.prots: unknown key; did you mean ports?"),
        (HTTP + "rules = [{ jsn = ['a'] }]\n", "routes.a.options.rules.0.jsn: unknown key; did you mean json?"),
        (HTTP + "rules = [{ json = 'a' }]\n", "routes.a.options.rules.0.json: must be a list, not 'a'"),
        (HTTP + "profile = ['cdp']\n", "routes.a.options.profile: unknown key; did you mean profiles?"),
        (HTTP + "profiles = ['cpd']\n", "routes.a.options.profiles.0: must be 'cdp', 'selenium-bidi', 'onvif',"),
        (ROUTE + "client = { min_port = 65536 }\n", "routes.a.client.min_port: must be less than or equal to 65535"),
        (ROUTE + "client = { targets = ['10.0.0.1/8'] }\n", "routes.a.client.targets.0: 10.0.0.1/8 has host bits set"),
        (
            "[routes.times]\nroute = 'x'\nfoo = 1\n",
            "routes.times.foo: unknown key; known are client, clients, idle, keep_client_address",
        ),
        ("[routes.a]\n", "routes.a.route: is missing"),
        ("[routes.a]\nroute = 'x'\n", "routes.a.route: 'x' is no route; a route is SCHEME://"),
        (ROUTE + "options = { max_usr = 1 }\n", "routes.a.options.max_usr: unknown key; did you mean max_user?"),
        (ROUTE + "options = { max_user = 'x' }\n", "routes.a.options.max_user: must be an integer, not 'x'"),
        (ROUTE + "options = { max_user = 0 }\n", "routes.a.options.max_user: must be above 0, not 0"),
        (ROUTE + "options = { data_lifetime = nan }\n", "routes.a.options.data_lifetime: must be a finite number"),
        (
            ROUTE + "options = { profiles = ['x'] }\n",
            "routes.a.options.profiles.0: must be 'read-only', 'anonymous-only'",
        ),
        (ROUTE + "options = { add_features = ['ä'] }\n", "routes.a.options.add_features: '\\xe4' is not one line of"),
        (
            ROUTE + "when = 2024-01-01\n",
            "routes.a.when: unknown key; known are client, clients, idle, keep_client_address",
        ),
        (
            "[routes.a]\nroute = 'tcp://h:1@1'\noptions = { x = 1 }\n",
            "routes.a.options: plugin tcp has none, but x is set",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, line: str) -> None:
    """One line: path of the key, what is wrong, what would be right."""
    (found,) = errors(tmp_path, text)
    assert found.startswith(line), found


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    """A wrong number in one table does not hide a wrong route in another."""
    text = "drain = 0\n[routes.a]\nroute = 'x'\n[routes.b]\nroute = 'gopher://h:1@1'\n[routes.c]\nfoo = 1\n"
    found = errors(tmp_path, text)
    assert [line.partition(":")[0] for line in found] == [
        *("drain", "routes.c.route", "routes.c.foo", "routes.a.route", "routes.b.route")
    ]


def test_a_table_where_a_value_belongs(tmp_path: Path) -> None:
    """Routes that are no table are told, and nothing else breaks."""
    assert len(errors(tmp_path, "routes = 5\n")) == 1


def test_no_route_is_an_error(tmp_path: Path) -> None:
    """A file without a route would do nothing."""
    assert errors(tmp_path, "drain = 1\n") == ["there is no route; name one on the command line or in the file"]


def test_routes_that_clash(tmp_path: Path) -> None:
    """Two routes at one place are told by name; two that leave the port to the system do not clash."""
    both = "[routes.a]\nroute = 'tcp://h:1@{0}'\n[routes.b]\nroute = 'tcp://i:2@{0}'\n"
    assert errors(tmp_path, both.format(99)) == [
        "routes tcp 0.0.0.0:99 -> h:1 and tcp 0.0.0.0:99 -> i:2 listen at the same place; change one of the ports"
    ]
    assert len(loaded(tmp_path, both.format(0)).routes) == 2


def test_unreadable_files(tmp_path: Path) -> None:
    """Not there, a folder, not UTF-8, not TOML: one line each, without a traceback's words."""
    for name, content, words in (
        ("none", None, "cannot be read: No such file or directory"),
        ("bytes", b"\xff", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
        ("text", b"x = [", "is no TOML: "),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / name, Registry(), Overrides())
        assert str(caught.value).startswith(f"{tmp_path / name}: {words}")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, Registry(), Overrides())


def test_plugin_with_a_wrong_config_type() -> None:
    """A plugin whose settings are no dataclass is at fault itself, and the message says so."""

    class WrongPlugin(StreamPlugin[dict[str, object]]):
        name = "wrong"
        config_type = dict

    with pytest.raises(ConfigError, match="plugin wrong is at fault: its config_type is no dataclass"):
        plugin_config(WrongPlugin, {})


def test_profiles_and_targets_of_the_command_line(tmp_path: Path) -> None:
    """They stand above those of the file; a plugin without profiles says so."""
    file = HTTP + "profiles = ['onvif']\n[routes.a.server]\ntargets = ['10.1.0.0/16']\n"
    overrides = Overrides(profiles=("cdp", "webhdfs"), targets_server=(ip_network("10.2.0.0/16"),))
    (made,) = loaded(tmp_path, file, overrides).routes
    assert isinstance(made.config, HttpConfig)
    assert made.config.profiles == (HttpProfile.CDP, HttpProfile.WEBHDFS)
    assert made.targets[Side.SERVER].networks == (ip_network("10.2.0.0/16"),)
    with pytest.raises(ConfigError, match="plugin tcp has no profiles, but cdp is asked for"):
        loaded(tmp_path, "[routes.a]\nroute = 'tcp://127.0.0.1:8080@1'\n", Overrides(profiles=("cdp",)))


def test_options_of_the_command_line(tmp_path: Path) -> None:
    """As in TOML, or plain text; they stand above those of the file."""
    file = HTTP + "keep_alive = 5.0\nmax_head = 100\n"
    overrides = Overrides(options=("max_head=200", "frames=read", 'allowed_hosts=["a", "b"]', "forwarded = 'set'"))
    config = loaded(tmp_path, file, overrides).routes[0].config
    assert isinstance(config, HttpConfig)
    assert (config.max_head, config.keep_alive, config.allowed_hosts) == (200, 5.0, ("a", "b"))
    assert (config.frames.value, config.forwarded.value) == ("read", "set")
    for text, line in (
        ("frames", "options: 'frames' is not KEY=VALUE"),
        ("=1", "options: '=1' is not KEY=VALUE"),
        ("frame=read", "options.frame: unknown key; did you mean frames?"),
        ("max_head=x", "options.max_head: must be an integer, not 'x'"),
    ):
        with pytest.raises(ConfigError, match=line):
            loaded(tmp_path, file, Overrides(options=(text,)))
