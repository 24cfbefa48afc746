"""
``eventbus trim``: a part of a journal, as a journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import click

from ..journal.copying import write_copy
from ..journal.records import HeaderRecord, Record
from .journals import (
    JournalInput,
    epilog,
    filter_argument,
    journal_argument,
    json_option,
    read_filter,
)
from .outputs import force_option, journal_output, prepare_output, tell_written

__all__ = ["command"]


@click.command("trim", epilog=epilog(), short_help="Write a part of a journal.")
@journal_argument()
@filter_argument
@journal_output
@force_option
@json_option("Write what was written as a JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    terms: tuple[str, ...],
    *,
    to: Path,
    is_forced: bool,
    is_json: bool,
) -> None:
    """
    Write the records of JOURNAL that match FILTER, like t:3s..5s, to a journal of their own.

    Records keep their numbers and times of day; the new journal begins with the first of them.
    """
    where = read_filter(terms)
    source = JournalInput(journal)
    prepare_output(to, source.journal.paths, is_forced=is_forced)
    records = source.records(where)
    first = next(records, None)
    header = _beginning_at(first, source.journal.header)
    kept = () if first is None else _chained(first, records)
    count = write_copy(kept, to, header=header)
    tell_written(to, count, is_json=is_json)
    ctx.exit(source.exit_code)


def _beginning_at(first: Record | None, header: HeaderRecord) -> HeaderRecord:
    if first is None:
        return header
    return attrs.evolve(header, mono_ns=first.mono_ns, wall_ns=first.wall_ns)


def _chained(first: Record, rest: Iterable[Record]) -> Iterator[Record]:
    yield first
    yield from rest
