"""
The options of the commands that listen: the address, TLS, and the clients that they accept.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ..._local_requests import read_origins
from .exits import BadInput

_F = TypeVar("_F", bound=Callable[..., Any])


def _read_origins(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    try:
        read_origins(texts)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    return texts


def listening_options(default_port: int) -> Callable[[_F], _F]:
    """Return a decorator that adds *host*, *port*, *allow_origin*, *allow_host* and *tls*."""

    def add(function: _F) -> _F:
        for option in (
            click.option(
                "--tls-certificate",
                "certificate",
                nargs=2,
                metavar="CERTIFICATE KEY",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Speak TLS with this certificate and its key, two files in PEM.",
            ),
            click.option(
                "--tls",
                "is_tls",
                is_flag=True,
                help="Speak TLS, with a certificate that is made at start; the file of its "
                "authority is printed, for clients to trust.",
            ),
            click.option(
                "--allow-host",
                multiple=True,
                metavar="NAME",
                help="Another name by which clients may call this server, beside localhost and "
                "its address. Can be given several times.",
            ),
            click.option(
                "--allow-origin",
                multiple=True,
                metavar="ORIGIN",
                callback=_read_origins,
                help="Let web pages of this origin connect, like http://localhost:3000; others are "
                "refused. Can be given several times.",
            ),
            click.option(
                "--port",
                default=default_port,
                show_default=True,
                type=click.IntRange(0, 65535),
                help="The port to listen at; 0 takes one that is free.",
            ),
            click.option(
                "--host",
                default="127.0.0.1",
                show_default=True,
                help="The address to listen at; another one than loopback's may let others in.",
            ),
        ):
            function = option(function)
        return function

    return add


def tls_of(certificate: tuple[Path, Path] | None, *, is_tls: bool) -> bool | ssl.SSLContext:
    """
    Return the *tls* of a server for these options.

    Raises:
        BadInput: The certificate can't be used.
    """
    if not certificate:
        return is_tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(*certificate, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl's own is an OSError
        names = " and ".join(map(str, certificate))
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        msg = f"{names} can't be used as a certificate and its key: {reason}."
        raise BadInput(msg) from exc
    return context


def _no_password() -> str:
    msg = "the key is encrypted; give one that isn't"
    raise ValueError(msg)
