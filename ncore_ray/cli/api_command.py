"""`ncore api`: the REST API, in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ncore_ray.cli.output import print_json, print_line
from ncore_ray.errors import NcoreError

if TYPE_CHECKING:
    from ssl import SSLContext


def register(root: typer.Typer) -> None:
    """Add this command to `ncore`."""
    root.command()(api)


def api(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535)] = 8480,
    certificate: Annotated[Path | None, typer.Option("--tls-certificate", metavar="FILE", help="PEM: HTTPS.")] = None,
    key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="PEM; by default in CERTIFICATE.")
    ] = None,
    describe: Annotated[bool, typer.Option("--openapi", help="Only print the OpenAPI description.")] = False,
) -> None:
    """Serve the REST API for all appliances of the Ray that runs here, until Ctrl-C.

    Requests carry a token: NCORE_API_TOKEN, else that in the file api-token of the state folder, which is made when
    there is none.

        curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8480/v1/appliances
    """
    if describe:
        from ncore_ray.api.openapi import description

        print_json(description())
        return
    from ncore_ray.api.running import read_token, token_file
    from ncore_ray.appliance import session

    context = _tls(certificate, key)
    session.connect()
    token = read_token()
    scheme = "https" if context else "http"
    print_line(f"{scheme}://{host}:{port}/v1/appliances, the token is that of NCORE_API_TOKEN or {token_file()}")
    _serve(host, port, token, context)


def _tls(certificate: Path | None, key: Path | None) -> SSLContext | None:
    """Return what HTTPS needs. Raises NcoreError."""
    import ssl

    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise NcoreError(f"the certificate {certificate} cannot be used: {error}") from None
    return context


def _serve(host: str, port: int, token: str, context: SSLContext | None) -> None:
    from aiohttp import web

    from ncore_ray.api.running import RunningAppliances
    from ncore_ray.api.server import application

    try:
        web.run_app(application(RunningAppliances(), token), host=host, port=port, ssl_context=context, print=None)
    except OSError as error:
        raise NcoreError(f"nobody can listen on {host}:{port}: {error.strerror}") from None
