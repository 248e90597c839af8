"""The command line: arguments, exit codes, and errors as one line each. What the commands do lives elsewhere.

Exit codes: 0 fine; 1 failure (also: sessions were cut off at the end of the drain time); 2 usage; 71 a listener cannot
be opened; 78 bad configuration.
"""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

import click

from alg import __version__, conversation, daemon, explain, explain_settings, interception, nft, transfer_log
from alg.authority import Authority, default_directory
from alg.certificates import show_time
from alg.cli_options import Number, settings_options
from alg.config import load
from alg.core.errors import AlgError, BindError, ConfigError
from alg.mitm import wrappers
from alg.overrides import Overrides
from alg.registry import Registry
from alg.relay import records
from alg.routes import EXAMPLE, GRAMMAR, WAYS
from alg.settings import Settings

EXIT_CANNOT_LISTEN = 71
EXIT_BAD_CONFIG = 78


def _versions() -> str:
    parts = [f"alg {__version__}", f"Python {platform.python_version()}", f"{platform.system()} {platform.release()}"]
    for name in ("pydantic", "click", "uvloop", "cryptography", "mitmproxy"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"{name} not installed")
    return ", ".join(parts)


def _fail(error: AlgError) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(f"alg: {line}", err=True)
    codes = {ConfigError: EXIT_BAD_CONFIG, BindError: EXIT_CANNOT_LISTEN}
    sys.exit(codes.get(type(error), 1))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=_versions())
def main() -> None:
    """An application-layer gateway: relays FTP and other protocols that carry network addresses in their payload,
    rewrites these addresses, and opens the data channels that they promise."""


def _load(config: Path | None, registry: Registry, options: dict[str, object]) -> Settings:
    try:
        return load(config, registry, Overrides(**options))  # type: ignore[arg-type]
    except AlgError as error:
        _fail(error)


@main.command(epilog=f"ROUTE is {GRAMMAR}, e.g. {EXAMPLE}, or {WAYS}")
@settings_options
def run(config: Path | None, **options: object) -> None:
    """Relay the routes until SIGTERM; a second SIGTERM stops at once."""
    registry = Registry()
    settings = _load(config, registry, options)
    try:
        further = transfer_log.open_log(settings.xferlog) if settings.xferlog else None
        records.set_up(style=settings.log_format, level=settings.log_level, further=further)
        drained = daemon.run(settings, registry)
    except AlgError as error:
        _fail(error)
    sys.exit(0 if drained else 1)


@main.command(name="nft", epilog=f"ROUTE is {WAYS}, with --plugin for each port to intercept")
@click.option(
    "--intercept", type=click.Choice([each.value for each in nft.Intercept]), default="tproxy", help="Default: tproxy."
)
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="NAME",
    help="Intercept only what comes in by it (several times).",
)
@click.option("--table", default=nft.TABLE, metavar="NAME", help=f"The table of the rules (default {nft.TABLE}).")
@click.option(
    "--mark", type=Number(), default=nft.MARK, help=f"What packets for us are marked with (default {nft.MARK:#x})."
)
@click.option(
    "--route-table",
    type=Number(),
    default=nft.ROUTE_TABLE,
    help=f"The routing table for these (default {nft.ROUTE_TABLE}).",
)
@click.option("--apply", is_flag=True, help="Install them, in place of those installed before. All or nothing.")
@click.option(
    "--remove", is_flag=True, help="Take out what --apply installed, by the name of its table; no ROUTE is needed."
)
@settings_options
def intercept_rules(
    config: Path | None,
    *,
    intercept: str,
    interfaces: tuple[str, ...],
    table: str,
    mark: int,
    route_table: int,
    apply: bool,
    remove: bool,
    **options: object,
) -> None:
    """Print the kernel's rules (nftables, ip) that lead connections to the transparent routes, for a person or `nft -f -`."""
    if apply and remove:
        raise click.UsageError("--apply or --remove, not both")
    try:
        if remove:
            if not interception.remove(table):
                click.echo(f"alg: there is no table inet {table}, nothing to remove", err=True)
            return
        found = nft.interceptions(_load(config, Registry(), options).routes)
        plan = nft.Plan(found, nft.Intercept(intercept), interfaces, table, nft.Numbers(mark, route_table))
        if apply:
            interception.apply(plan)
        else:
            click.echo(nft.page(plan), nl=False)
    except AlgError as error:
        _fail(error)


@main.command()
@click.argument("config", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def check(config: Path) -> None:
    """Validate a configuration FILE and show what it would do."""
    settings = _load(config, Registry(), {})
    for line in explain_settings.settings(settings):
        click.echo(line)


@main.command()
def plugins() -> None:
    """List the installed plugins and where they come from."""
    registry = Registry()
    failed = False
    for name in registry.names():
        try:
            plugin = registry.find(name)
        except ConfigError as error:
            click.echo(f"{name}  cannot be used: {error}")
            failed = True
        else:
            summary = (plugin.__doc__ or "").strip().partition("\n")[0]
            click.echo(f"{name}  {summary}  ({registry.origin(name)})")
    sys.exit(1 if failed else 0)


@main.command(name="explain", epilog="\b\n" + conversation.FORMAT.replace("\n\n", "\n\n\b\n"))
@click.argument("path", metavar="CONVERSATION", type=click.Path(path_type=Path, dir_okay=False))
def explain_conversation(path: Path) -> None:
    """Play a CONVERSATION to its plugin without a network, and show what would be rewritten and opened, and why.

    If the file says what must come of it, that is compared; the exit code is 1 where something differs.
    """
    as_expected = True
    try:
        for line, good in explain.conversation(conversation.load(path), Registry()):
            click.echo(line)
            as_expected &= good
    except AlgError as error:
        _fail(error)
    sys.exit(0 if as_expected else 1)


@main.command(name="mitm-path")
def mitm_path() -> None:
    """Print the file for `mitmdump -s`, which loads the gateway into mitmproxy."""
    click.echo(wrappers.script_path())


@main.group()
def ca() -> None:
    """The local CA, which signs certificates for where you have none. It is made when it is first needed."""


def _open_authority() -> Authority:
    try:
        authority = Authority.open(default_directory())
    except AlgError as error:
        _fail(error)
    if authority.is_new:
        click.echo(f"alg: made a new local CA: {authority.path}", err=True)
    return authority


@ca.command(name="show")
def show_authority() -> None:
    """Show where the local CA is, whose it is, its fingerprint and how long it is valid."""
    authority = _open_authority()
    click.echo(f"path         {authority.path}")
    click.echo(f"subject      {authority.subject}")
    click.echo(f"SHA-256      {authority.fingerprint}")
    click.echo(f"valid until  {show_time(authority.not_after)}")


@ca.command(name="export")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of standard output.")
def export_authority(out: Path | None) -> None:
    """Write the local CA's certificate (PEM), for clients to trust. Its key stays where it is."""
    authority = _open_authority()
    if out is None:
        click.echo(authority.certificate_pem, nl=False)
        return
    if out.resolve().parent == authority.path.resolve().parent:  # a slip there costs the key
        _fail(AlgError(f"{out}: is in the local CA's own directory; name a file elsewhere"))
    try:
        out.write_bytes(authority.certificate_pem)
    except OSError as error:
        _fail(AlgError(f"{out}: cannot be written: {error.strerror or error}; name another file"))
