"""The options that say what a configuration file says, and the kinds of values that they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from alg.core.addresses import Address, Network, parse_address
from alg.core.errors import ProtocolError
from alg.core.model import PortRange
from alg.routes import parse_ports

if TYPE_CHECKING:
    _PortsType = click.ParamType[PortRange]
    _AddressType = click.ParamType[Address]
    _NetworkType = click.ParamType[Network]
    _SecondsType = click.ParamType[float]
    _NumberType = click.ParamType[int]
else:  # before click 8.4 it takes no parameter
    _PortsType = _AddressType = _NetworkType = _SecondsType = _NumberType = click.ParamType

F = TypeVar("F", bound=Callable[..., object])


class _Ports(_PortsType):
    name = "LOW-HIGH"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> PortRange:
        try:
            return parse_ports(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Address(_AddressType):
    name = "ADDR"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return parse_address(value)
        except ProtocolError as error:
            self.fail(str(error), param, ctx)


class _Network(_NetworkType):
    name = "NETWORK"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Network:
        try:
            return ip_network(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Seconds(_SecondsType):
    name = "SECONDS"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not (seconds > 0 and math.isfinite(seconds)):
            self.fail(f"{value!r} is no number of seconds above 0", param, ctx)
        return seconds


class Number(_NumberType):
    """A whole number, decimal or with its prefix."""

    name = "NUMBER"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else int(value, 0)
        except ValueError:
            self.fail(f"{value!r} is no number; write e.g. 4147 or 0x1033", param, ctx)


def settings_options(command: F) -> F:
    """The options that say what a configuration file says."""
    options = (
        click.argument("routes", metavar="[ROUTE]...", nargs=-1),
        click.option(
            "-c", "--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file with routes."
        ),
        click.option("--ports", type=_Ports(), help="Where data channels listen, on both sides."),
        click.option("--advertise-client", type=_Address(), help="The address to write into what clients get."),
        click.option("--advertise-server", type=_Address(), help="The address to write into what servers get."),
        click.option(
            "--drain",
            type=_Seconds(),
            metavar="SECONDS",
            help="Time for sessions to finish after SIGTERM (default 30).",
        ),
        click.option(
            "--tls",
            metavar="mint|CERT.pem|pass|never",
            help="TLS toward clients: by certificates of a local CA (see: alg ca), by this certificate with its key, "
            "passed on untouched, or none (the default).",
        ),
        click.option(
            "--upstream-tls",
            type=click.Choice(["client", "require", "never"]),
            help="TLS toward the server: as the client does (the default), always, or never.",
        ),
        click.option(
            "--upstream-ca",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Verify the server against these CA certificates, and not the system's.",
        ),
        click.option("--upstream-insecure", is_flag=True, help="Do not verify the server's certificate."),
        click.option(
            "--allow-upstream",
            multiple=True,
            metavar="HOST[:PORT]|NETWORK",
            help="A server that clients may choose where the route says * (may be given several times).",
        ),
        click.option(
            "--plugin",
            "plugins",
            multiple=True,
            metavar="PORT=SCHEME",
            help="What treats connections or datagrams to a port, on transparent, socks and connect routes, e.g. 21=ftp (several times).",
        ),
        click.option(
            "--proxy-auth",
            metavar="USER:PASSWORD|@FILE",
            help="Who may ask a socks or connect route; a file has a line for each.",
        ),
        click.option(
            "--allow-client",
            type=_Network(),
            multiple=True,
            metavar="NETWORK",
            help="Who may ask a socks or connect route without a password, besides those who are not of the public Internet.",
        ),
        click.option(
            "--keep-client-address",
            is_flag=True,
            help="Have servers see their client's own address (transparent routes; servers must answer through us).",
        ),
        click.option(
            "--via",
            metavar="SCHEME://HOST:PORT",
            help="Reach the servers through another proxy: socks5, socks4 or http, with USER:PASSWORD@ if it asks.",
        ),
        click.option(
            "--accept-proxy-protocol",
            type=_Network(),
            multiple=True,
            metavar="NETWORK",
            help="Who says by the PROXY protocol for whom he comes; nobody else may (several times).",
        ),
        click.option(
            "--profile",
            "profiles",
            multiple=True,
            metavar="NAME",
            help="A ready profile of the plugin, e.g. cdp for http, read-only for ftp (may be given several times).",
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="KEY=VALUE",
            help="An option of the plugin, as in its table of a configuration file, e.g. frames=read (several times).",
        ),
        click.option(
            "--targets-server",
            type=_Network(),
            multiple=True,
            metavar="NETWORK",
            help="Hosts that the server may name besides itself (may be given several times).",
        ),
        click.option(
            "--proxy-protocol",
            type=click.Choice(["v1", "v2"]),
            help="Tell the server who its client is, by this header.",
        ),
        click.option(
            "--xferlog",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Add a line to this file for each transfer.",
        ),
        click.option("--log-format", type=click.Choice(["text", "json"]), help="Default: text."),
        click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Default: info."),
    )
    for option in reversed(options):  # the help shows first what was added last
        command = option(command)
    return command
