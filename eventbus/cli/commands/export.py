"""
``eventbus export``: a journal in another format.
"""

from __future__ import annotations

import io
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import click

from ...analysis._record_view import RecordView
from ...exceptions import ExportError
from ...export._formats import FORMATS, Format
from ...inspector import write_html
from ...journal import Journal, Record
from ..terminal.escaping import printable, printable_json
from ..terminal.exits import BadInput, unwritable
from ..terminal.journals import (
    JournalInput,
    read_filter,
)
from ..terminal.outputs import prepare_file, tell_written, written_beside

_PAGE: Final = "html"
_KEPT: Final = re.compile(r"(\r?\n|\t)")


@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    terms: tuple[str, ...],
    *,
    format_name: str,
    path: Path | None,
    is_forced: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.export``."""
    where = read_filter(terms)
    source = JournalInput(journal)
    to = _page_format(source.journal) if format_name == _PAGE else FORMATS[format_name]
    target = journal.with_suffix(to.suffix) if path is None else path
    is_stdout = str(target) == "-"
    if is_stdout and to.is_binary and sys.stdout.isatty():
        msg = "A WAV file can't be shown on a terminal; name a file, or write to a pipe."
        raise click.BadParameter(msg, param_hint="'-o' / '--output'")
    if not is_stdout:
        prepare_file(target, source.journal.paths, is_forced=is_forced)
    facts = source.facts(where)
    first = next(facts, None)
    if first is None and terms:
        ctx.exit(source.tell_no_match())
    counted = _Counted(facts if first is None else itertools.chain([first], facts))
    try:
        if is_stdout:
            _write(counted, to)
        else:
            with written_beside(target) as file:
                _write_file(counted, to, file)
    except ExportError as exc:
        msg = f"{source.name}: {exc}"
        raise BadInput(msg) from exc
    except OSError as exc:
        if is_stdout:
            raise
        raise unwritable(target, exc) from exc
    if not is_stdout:
        tell_written(target, counted.count, is_json=is_json, format=to.name)
    ctx.exit(source.exit_code)


def _page_format(journal: Journal) -> Format:
    header = RecordView(journal.header, journal.header.mono_ns)  # which filters leave out

    def write(records: Iterable[Record | RecordView], file: IO[str]) -> None:
        write_html(itertools.chain([header], records), file, name=journal.path.name)

    return Format(_PAGE, ".html", write)


class _Counted(Iterator[RecordView]):
    """An iterator that counts its items."""

    def __init__(self, facts: Iterator[RecordView]) -> None:
        self.count = 0
        self._facts = facts

    def __next__(self) -> RecordView:
        facts = next(self._facts)
        self.count += 1
        return facts


class _Escaping:
    """
    A text file on a terminal: control characters are escaped, as each format can do it.

    Args:
        file: The terminal.
        to: The format.
    """

    def __init__(self, file: IO[str], to: Format) -> None:
        self._file = file
        self._escape = printable_json if "json" in to.suffix else printable

    def write(self, text: str) -> int:
        """Write *text*, whose line ends and tabs stay."""
        parts = _KEPT.split(text)
        parts[::2] = map(self._escape, parts[::2])
        return self._file.write("".join(parts))


def _write(facts: Iterator[RecordView], to: Format) -> None:
    """Write to stdout."""
    if to.is_binary:
        to.write(facts, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    # As in a file: UTF-8, and lines end as the format says.
    text = io.TextIOWrapper(
        sys.stdout.buffer, "utf-8", "backslashreplace", newline="", write_through=True
    )
    to.write(facts, _Escaping(text, to) if sys.stdout.isatty() else text)
    text.detach()


def _write_file(facts: Iterator[RecordView], to: Format, file: IO[bytes]) -> None:
    if to.is_binary:
        to.write(facts, file)
        return
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="")
    to.write(facts, text)
    text.detach()
