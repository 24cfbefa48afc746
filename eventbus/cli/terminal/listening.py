"""
The options of the commands that listen: ``--host``, ``--port``, and the clients that they accept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..._local_requests import read_origins

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
    """Return a decorator that adds *host*, *port*, *allow_origin* and *allow_host*."""

    def add(function: _F) -> _F:
        for option in (
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
