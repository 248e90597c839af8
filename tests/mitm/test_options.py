"""Options under `alg_`: what is wrong with one is said in a line, and what was set before stays."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mitmproxy.exceptions import OptionsError
from mitmproxy.proxy import layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import modes
from mitmproxy.test import taddons, tflow

from alg.core.model import Side, TlsPolicy
from alg.mitm.addon import Gateway
from alg.mitm.legs import RefusedLayer
from alg.mitm.options import OPTIONS
from alg.mitm.settings import MitmSettings, Policy
from tests.mitm.rig import REGISTRY
from tests.test_docs import README, block


@contextmanager
def loaded(gateway: Gateway) -> Iterator[taddons.context]:
    """mitmproxy's own stand for addons, which does not close its event loop."""
    with taddons.context(gateway) as context:
        try:
            yield context
        finally:
            context.master.event_loop.close()


def settings(**options: object) -> MitmSettings:
    """The settings that these options make."""
    gateway = Gateway(REGISTRY)
    with loaded(gateway) as context:
        gateway.running()
        context.configure(gateway, **{"alg_policy": "auto", **options})
        return gateway.services.settings


def refused(**options: object) -> str:
    """What is said of these options."""
    with pytest.raises(OptionsError) as error:
        settings(**options)
    return str(error.value)


def test_defaults() -> None:
    """Each plugin has its well-known port; the file is not needed."""
    made = settings()
    names = {port: treatment.name for port, treatment in made.by_port.items()}
    assert names == {21: "ftp", 80: "http", 443: "http", 990: "ftp"}
    assert [made.by_port[port].implicit for port in (21, 80, 443, 990)] == [False, False, True, True]
    assert made.any_port is None
    assert (made.policy, made.preview, made.lifetime) == (Policy.AUTO, 65536, None)
    assert str(made.ports) == "16384-32767"


def test_chosen_plugins_are_the_only_ones() -> None:
    """Whoever names some means these."""
    made = settings(alg_plugins=["2121=ftp", "*=alg_tcp:TcpPlugin"])
    assert made.treatment(2121) is made.by_port[2121]
    assert made.treatment(21) is made.any_port


def test_keep_all_data() -> None:
    """The preview has no end."""
    assert settings(alg_keep_data=True).preview is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"alg_plugins": ["ftp"]},
            "alg: alg_plugins: 'ftp' is not PORT=PLUGIN; write the port of the server, e.g. 2100=ftp, or *=module:Class",
        ),
        ({"alg_plugins": ["0=ftp"]}, "is not PORT=PLUGIN"),
        ({"alg_plugins": ["65536=ftp"]}, "is not PORT=PLUGIN"),
        (
            {"alg_plugins": ["21=sip"]},
            "there is no plugin 'sip'; installed are ftp, ftps, http, https, tcp, tftp, tls, udp, ws, wss",
        ),
        ({"alg_plugins": ["21=no.such:Plugin"]}, "no.such"),
        ({"alg_policy": "guess"}, "alg_policy: 'guess' is none of auto, rewrite, observe"),
        ({"alg_bind": "example.org"}, "alg_bind: not a literal IP address"),
        ({"alg_advertise_client": "010.0.0.1"}, "alg_advertise_client: not a literal IP address"),
        ({"alg_data_ports": "20000"}, "alg_data_ports: '20000' is no port range; write LOW-HIGH"),
        ({"alg_data_preview": -1}, "alg_data_preview: -1 is below 0"),
        (
            {"alg_config": "/no/such/file.toml"},
            "alg_config: /no/such/file.toml cannot be read: No such file or directory",
        ),
    ],
)
def test_what_is_wrong_is_said(options: dict[str, object], words: str) -> None:
    """In one line, with what would be right."""
    said = refused(**options)
    assert words in said
    assert "\n" not in said


def test_a_file_for_each_plugin(tmp_path: Path) -> None:
    """Options of the plugin, and both sides' rules."""
    path = tmp_path / "alg.toml"
    path.write_text(
        '[ftp.options]\nprofiles = ["read-only"]\n[ftp.client]\ntls = "require"\nadvertise = "198.51.100.7"\n'
        '[ftp.server]\nports = "20000-20999"\ntargets = ["10.0.0.0/8"]\n'
    )
    treatment = settings(alg_config=str(path), alg_advertise_client="203.0.113.1").by_port[21]
    assert treatment.tls == {Side.CLIENT: TlsPolicy.REQUIRE, Side.SERVER: TlsPolicy.CLIENT}
    assert str(treatment.realms[Side.CLIENT].advertise) == "198.51.100.7"
    assert str(treatment.realms[Side.SERVER].ports) == "20000-20999"
    assert str(treatment.targets[Side.SERVER].networks[0]) == "10.0.0.0/8"
    assert "read-only" in repr(treatment.config)


def test_a_table_for_a_plugin_that_is_not_installed(tmp_path: Path) -> None:
    """It stands under the plugin's own name."""
    path = tmp_path / "alg.toml"
    path.write_text("[call.client]\nmin_port = 500\n")
    plugin = "*=tests.mitm.test_plugins:CallPlugin"
    treatment = settings(alg_config=str(path), alg_plugins=[plugin]).any_port
    assert treatment is not None
    assert treatment.targets[Side.CLIENT].min_port == 500
    path.write_text('["tests.mitm.test_plugins:CallPlugin".client]\nmin_port = 500\n')
    assert "known are call, ftp, http, tcp, ws" in refused(alg_config=str(path), alg_plugins=[plugin])


def test_the_file_of_the_readme(tmp_path: Path) -> None:
    """Every key in it exists, and every option is in its table."""
    path = tmp_path / "alg.toml"
    path.write_text(block("toml", "[ftp.options]"))
    assert settings(alg_config=str(path)).by_port[21].tls[Side.CLIENT] is TlsPolicy.REQUIRE
    assert [each.name for each in OPTIONS if f"`{each.name}`" not in README] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[ftp.options\n", "is no TOML"),
        ("[ftp.option]\nprofiles = []\n", "ftp.option: unknown key; did you mean options?"),
        ("[ftp.client]\nadvertize = '10.0.0.1'\n", "ftp.client.advertize: unknown key; did you mean advertise?"),
        ("[ftp.options]\nprofile = []\n", "alg_config: ftp.options.profile: unknown key; did you mean profiles?"),
        ("[sip.options]\n", "there is no plugin 'sip'; known are ftp, http, tcp, ws"),
        ("[ftps.options]\n", "ftps is ftp under TLS; write [ftp.options]"),
        ("[ftp.options]\nccc = true\n", "plugin ftp needs what cannot be done in mitmproxy: stop_tls"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(tmp_path: Path, text: str, words: str) -> None:
    """As for the daemon's. What this host cannot do is refused when it is loaded, and not in the middle of a session."""
    path = tmp_path / "alg.toml"
    path.write_text(text)
    assert words in refused(alg_config=str(path))


def test_a_bad_change_changes_nothing() -> None:
    """mitmproxy takes it back, and so do we."""
    gateway = Gateway(REGISTRY)
    with loaded(gateway) as context:
        gateway.running()
        context.configure(gateway, alg_plugins=["2121=ftp"])
        with pytest.raises(OptionsError):
            context.configure(gateway, alg_plugins=["2121=sip"])
        assert list(gateway.services.settings.by_port) == [2121]


def test_rewriting_for_clients_of_a_proxy_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """They would reach our listeners through us."""
    gateway = Gateway(REGISTRY)
    with caplog.at_level(logging.WARNING), loaded(gateway) as context:
        context.configure(gateway, mode=["reverse:tcp://127.0.0.1:21"], alg_policy="rewrite")
        assert caplog.text == ""
        context.configure(gateway, mode=["socks5@1080"], alg_policy="rewrite")
        assert "set alg_policy=auto" in caplog.text


def test_an_option_that_nobody_knows(caplog: pytest.LogCaptureFixture) -> None:
    """mitmproxy would wait for somebody to declare it: a misspelt policy would be none."""
    gateway = Gateway(REGISTRY)
    with caplog.at_level(logging.ERROR), loaded(gateway) as context:
        context.options.set("alg_confg=x", defer=True)
        gateway.running()
    assert "there is no option alg_confg; did you mean alg_config?" in caplog.text


def test_nothing_passes_where_the_options_are_wrong() -> None:
    """A script that is loaded again with wrong options does not end mitmproxy."""
    gateway = Gateway(REGISTRY)
    with loaded(gateway) as context:
        context.configure(gateway, alg_plugins=["21=sip"])
        nextlayer = layer.NextLayer(Context(tflow.tclient_conn(), context.options))
        nextlayer.context.server = tflow.tserver_conn()
        modes.TransparentProxy(nextlayer.context)
        gateway.next_layer(nextlayer)
        assert isinstance(nextlayer.layer, RefusedLayer)


def test_lazy_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """It is not an error: other connections may be meant."""
    gateway = Gateway(REGISTRY)
    with caplog.at_level(logging.WARNING), loaded(gateway) as context:
        context.options.add_option("connection_strategy", str, "eager", "")
        context.configure(gateway, connection_strategy="lazy")
    assert "set connection_strategy=eager" in caplog.text
