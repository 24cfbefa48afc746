"""
Messages about lines that can't be read, with the same message a few times at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from ...replay._frame_file import BadLine
from .escaping import printable

__all__ = ["BadLines"]

_MAX_ALIKE: Final = 3
"""Number of lines of a kind that are named; the rest are counted."""

# In each line the parser gives up elsewhere: that is the same problem all the same.
_PLACE = re.compile(r"\(byte \d+\)")


class BadLines:
    """
    The lines of one file that can't be read.

    Args:
        name: The name of the file in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # By kind: the first line of it, and how many there were.
        self._first: dict[str, int] = {}
        self._count: dict[str, int] = {}

    def report(self, line: BadLine) -> None:
        """Name *line* and its reason, at once, unless enough like it were named."""
        kind = _PLACE.sub("", line.reason)
        self._first.setdefault(kind, line.number)
        self._count[kind] = self._count.get(kind, 0) + 1
        if self._count[kind] <= _MAX_ALIKE:
            click.echo(printable(f"{self._name}:{line.number}: {line.reason}"), err=True)

    def report_rest(self) -> None:
        """Say how many lines were not named, for each kind."""
        for text in self._rest():
            click.echo(printable(text), err=True)

    def _rest(self) -> Iterator[str]:
        for kind, count in self._count.items():
            more = count - _MAX_ALIKE
            if more > 0:
                lines = "line" if more == 1 else "lines"
                yield f"{self._name}: and {more} more {lines} like line {self._first[kind]}"
