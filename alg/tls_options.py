"""From what a person says about TLS to the values of a route: short forms, command line above file, what cannot be."""

from __future__ import annotations

from pathlib import Path

from alg import certificates
from alg.core.errors import ConfigError
from alg.core.model import Side, TlsPolicy
from alg.settings import ClientTls, Route, ServerTls
from alg.tables import ClientTlsTable, ServerTlsTable, client_tls_table

MINT = "mint"


def client_tls(route: Route, table: ClientTlsTable, option: str | None, folder: Path) -> ClientTls:
    """TLS toward clients; `option` is that of the command line, files of the table are named as seen from `folder`.

    Raises:
        ConfigError: it cannot be, or a file cannot be used; the message begins with the key.
    """
    if option is not None:
        said = _as_dict(client_tls_table(option))
        if "certificate" in said:  # it comes with its own key, and with the wish to use it
            kept = None if table.policy in ("never", "pass") else table.policy
            said, folder = {**said, "key": None, "policy": kept}, Path()
        table = table.model_copy(update=said)
    certificate = table.certificate
    offers = table.policy in (None, "client", "require")
    implicit = table.implicit
    if implicit is None:
        implicit = Side.CLIENT in route.implicit_tls or bool(certificate and not route.plugin.starts_tls)
    if table.policy in ("never", "pass"):
        implicit = False
    if table.policy == "pass" and Side.SERVER in route.implicit_tls:
        raise ConfigError("client.tls: TLS from the first byte cannot be passed on and read; use tcp:// to pass it on")
    if certificate is None and (table.policy in ("client", "require") or implicit):
        raise ConfigError(
            'client.tls: TLS toward clients needs a certificate: "mint", or a PEM file (on the command line --tls); '
            "--tls never means none"
        )
    if certificate is None or not offers:
        return ClientTls(policy=TlsPolicy(table.policy or "never"))
    policy = TlsPolicy(table.policy or ("require" if implicit else "client"))
    common = {"policy": policy, "implicit": implicit, "names": table.names, "resumption": table.resumption}
    if certificate == MINT:
        return ClientTls(mint=True, **common)  # type: ignore[arg-type]
    path = folder / certificate
    key = folder / table.key if table.key else None
    try:
        certificates.inspect(path, key)
    except ConfigError as error:
        raise ConfigError(f"client.tls: {error}") from None
    return ClientTls(certificate=path, key=key, **common)  # type: ignore[arg-type]


def server_tls(
    route: Route, table: ServerTlsTable, *, policy: str | None, ca: Path | None, insecure: bool, folder: Path
) -> ServerTls:
    """TLS toward the server; the arguments by name are those of the command line.

    Raises:
        ConfigError: it cannot be, or a file cannot be used; the message begins with the key.
    """
    said = policy or table.policy or "client"
    implicit = table.implicit
    if implicit is None:
        implicit = Side.SERVER in route.implicit_tls or (said == "require" and not route.plugin.starts_tls)
    if said == "never" and table.implicit:
        raise ConfigError("server.tls: implicit, and yet never; take one of them out")
    if table.key and not table.certificate:
        raise ConfigError("server.tls: there is a key, but no certificate")
    verify = False if insecure else table.verify is not False
    file = ca or (folder / table.ca if table.ca else None)
    certificate, key = (folder / each if each else None for each in (table.certificate, table.key))
    if certificate is not None:
        try:
            certificates.inspect(certificate, key)
        except ConfigError as error:
            raise ConfigError(f"server.tls: {error}") from None
    if file is not None and not file.is_file():
        raise ConfigError(f"server.tls: {file}: there is no such file of CA certificates")
    return ServerTls(
        policy=TlsPolicy(said),
        implicit=implicit and said != "never",
        verify=verify,
        ca=file,
        pins=table.pin,
        name=table.name,
        resume=table.resume,
        certificate=certificate,
        key=key,
    )


def _as_dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
