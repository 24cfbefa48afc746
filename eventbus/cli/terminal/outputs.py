"""
Files that commands write: never over one that is there, unless that is asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from ...export._rows import plain_json
from ...journal._segments import segment_paths
from .console import Output
from .escaping import printable
from .journals import is_same_file

__all__ = [
    "WRITTEN_SCHEMA",
    "force_option",
    "journal_output",
    "prepare_file",
    "prepare_output",
    "refuse_source",
    "tell_written",
    "written_beside",
]

_F = TypeVar("_F", bound=Callable[..., Any])

WRITTEN_SCHEMA: Final = "eventbus.written/1"
"""What ``--json`` writes of a file that was written."""

_HINT: Final = "'-o' / '--output'"  # as click names it


def force_option(function: _F) -> _F:
    """Add the option ``--force``, as *is_forced*."""
    return click.option("--force", "is_forced", is_flag=True, help="Overwrite a file.")(function)


def journal_output(function: _F) -> _F:
    """Add the option that names the journal to write, as *to*."""
    return click.option(
        "-o",
        "--output",
        "to",
        type=click.Path(dir_okay=False, path_type=Path),
        required=True,
        metavar="JOURNAL",
        help="The journal to write.",
    )(function)


def prepare_output(path: Path, sources: Iterable[Path], *, is_forced: bool) -> None:
    """
    Make room for a journal: for all of its files.

    Args:
        path: Where it is to be.
        sources: The files that are being read.
        is_forced: Whether to delete what is there.

    Raises:
        click.BadParameter: It is there, or is being read, or it is a device or a pipe.
    """
    there = segment_paths(path)
    if path.exists() and not path.is_file():
        msg = f"{path} is no file; a journal needs one. Name another path."
        raise click.BadParameter(printable(msg), param_hint=_HINT)
    _refuse(there, sources, is_forced=is_forced)
    for old in there:
        old.unlink()


def prepare_file(path: Path, sources: Iterable[Path], *, is_forced: bool) -> None:
    """
    Refuse what `prepare_output` refuses, for one file; what is there stays until `written_beside`.

    A device or a pipe is never refused.
    """
    _refuse([path] if path.is_file() else [], sources, is_forced=is_forced)


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """
    Give a path to write to, in the same folder; at the end that file takes the place of *path*.

    If it fails or is interrupted, *path* is what it was. A device or a pipe is given as it is.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(f".eventbus-{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # most likely it has taken its place
            part.unlink()


def refuse_source(path: Path, sources: Iterable[Path], param_hint: str = _HINT) -> None:
    """
    Do nothing, unless *path* is one of the files that are being read.

    Raises:
        click.BadParameter: It is one of them.
    """
    if any(is_same_file(path, source) for source in sources):
        msg = f"{path} is what is being read; name another file."
        raise click.BadParameter(printable(msg), param_hint=param_hint)


def _refuse(there: list[Path], sources: Iterable[Path], *, is_forced: bool) -> None:
    read = tuple(sources)
    for old in there:
        refuse_source(old, read)
    if there and not is_forced:
        msg = f"{there[0]} is there already; name another file, or add --force."
        raise click.BadParameter(printable(msg), param_hint=_HINT)


def tell_written(path: Path, count: int, *, is_json: bool, **more: object) -> None:
    """Say what was written, on stdout."""
    output = Output()
    if is_json:
        data = {"schema": WRITTEN_SCHEMA, "path": str(path), "records": count, **more}
        output.json_line(plain_json(data))
    else:
        output.line(printable(f"{path}: {count} records"))
    output.flush()
