"""
Options that several commands have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["read_speed", "withholding_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


def read_speed(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """
    Return how fast to replay, for an option of a command: ``1x`` is 1.0, ``max`` is infinite.

    Raises:
        click.BadParameter: *text* is no speed.
    """
    if text == "max":
        return math.inf
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        msg = f"{text!r} is no speed; give a factor like 1x or 0.5x, or max."
        raise click.BadParameter(msg)
    return speed


def withholding_options(function: _F) -> _F:
    """Add the options for what a journal is to lack: *no_audio*, *no_content*, *fields*."""
    for option in (
        click.option(
            "--redact",
            "fields",
            metavar="FIELD",
            multiple=True,
            help="Leave a field out of the journal, by its name or the end of its path, like "
            "phone_number or session.instructions. Can be given several times.",
        ),
        click.option(
            "--no-content",
            is_flag=True,
            help="Leave out of the journal what was said and written, and audio; names and ids "
            "stay.",
        ),
        click.option("--no-audio", is_flag=True, help="Leave audio out of the journal."),
    ):
        function = option(function)
    return function
