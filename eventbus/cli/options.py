"""
What several commands read from their command line.
"""

from __future__ import annotations

import math

import click

__all__ = ["read_speed"]


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
