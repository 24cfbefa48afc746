"""
Files that commands write: private ones, whole ones, and no other file is lost by them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import click

from ...exceptions import JournalWriteError
from ...export._rows import plain_json
from ...journal._files import write_error
from ...journal._segments import segment_paths
from .console import Output
from .escaping import printable
from .exits import unwritable
from .journals import is_same_file

WRITTEN_SCHEMA: Final = "eventbus.written/1"
"""The schema of the object that ``--json`` writes about a file."""

# The names of unfinished files; what is between them is random.
_PREFIX: Final = ".eventbus-"
_SUFFIX: Final = ".part"

_HINT: Final = "'-o' / '--output'"  # as click names it


def prepare_output(path: Path, sources: Iterable[Path], *, is_forced: bool) -> None:
    """
    Refuse a journal to write, unless it can be written; nothing is deleted before it is there.

    Args:
        path: The journal.
        sources: The files that are being read.
        is_forced: Whether another journal may be replaced.

    Raises:
        click.BadParameter: There is a journal, it is being read, or it is a device or a pipe.
        click.ClickException: The folder can't be read.
    """
    with _reported(path):
        is_special = path.exists() and not path.is_file()
    if is_special:
        msg = f"{path} is not a file; a journal needs one. Name another path."
        raise click.BadParameter(printable(msg), param_hint=_HINT)
    _refuse(journals_at(path), sources, is_forced=is_forced)


def journals_at(path: Path) -> list[Path]:
    """
    Return the files of a journal to write that are there already.

    Raises:
        click.ClickException: The folder can't be read.
    """
    with _reported(path):
        return segment_paths(path)


def prepare_file(path: Path, sources: Iterable[Path], *, is_forced: bool) -> None:
    """Refuse a file to write, as `prepare_output` does; devices and pipes are never refused."""
    with _reported(path):
        there = [path] if path.is_file() else []
    _refuse(there, sources, is_forced=is_forced)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Let an error of the system end the command, and name the path to write."""
    try:
        yield
    except OSError as exc:
        raise unwritable(path, exc) from exc


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[IO[bytes]]:
    """
    Open a new file in the same folder, which takes the place of *path* at the end.

    Nobody else can read it or guess its name, and a link is never followed. If it fails or is
    interrupted, *path* stays as it was. A device or a pipe is opened itself.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    descriptor, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent)
    part = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # a descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):  # most likely it has taken its place
            part.unlink()


@contextlib.contextmanager
def journal_beside(path: Path) -> Iterator[Path]:
    """
    Give a path for a journal in a new folder beside *path*; at the end it takes its place.

    All files of the old journal go then. If it fails or is interrupted, *path* stays as it was.

    Raises:
        JournalWriteError: It can't be written; the error names *path*.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX, dir=path.parent))
    except OSError as exc:
        raise write_error(path, exc) from exc
    try:
        part = folder / path.name
        yield part
        first, *later = segment_paths(part)
        for new in (first, *later):
            _sync_file(new)
        old = {*segment_paths(path)} - {path}
        # The first segment decides which journal it is: it comes last, and at once.
        for new in later:
            new.replace(path.with_name(new.name))
        first.replace(path)
        for surplus in old - {path.with_name(new.name) for new in later}:
            surplus.unlink()
        _sync_folder(path.parent)
    except JournalWriteError as exc:
        text = str(exc).replace(exc.path, str(path))
        raise JournalWriteError(text, path=str(path)) from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # Not every file system can, and Windows can't at all.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
    """Write the name of a new file and its number of records to stdout."""
    output = Output()
    if is_json:
        data = {"schema": WRITTEN_SCHEMA, "path": str(path), "records": count, **more}
        output.json_line(plain_json(data))
    else:
        output.line(printable(f"{path}: {count} records"))
    output.flush()
