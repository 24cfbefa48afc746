"""
``eventbus tail``: the end of a journal, and new records as they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click

from ...analysis._filters import Filter
from ...analysis._record_view import RecordView
from ...exceptions import JournalError
from ...export._rows import record_json
from ..terminal.console import Output
from ..terminal.exits import BadInput
from ..terminal.journals import (
    JournalInput,
    read_filter,
)
from ..terminal.record_lines import RecordLines


@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    terms: tuple[str, ...],
    *,
    count: int,
    is_over: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.tail``."""
    where = read_filter(terms)
    output = Output()
    source = JournalInput(journal, is_live=not is_over)

    lines = RecordLines(output.width)

    def write(facts: RecordView) -> None:
        if is_json:
            output.json_line(record_json(facts))
        else:
            output.line(lines.line(facts))

    last = source.journal.last
    end = 0 if last is None else last.seq
    for facts in _last(source, where, count, end):
        write(facts)
    output.flush()
    if not is_over and not source.journal.is_closed:
        for facts in _new(source, where, end):
            write(facts)
            output.flush()
    ctx.exit(source.exit_code)


def _last(source: JournalInput, where: Filter, count: int, end: int) -> list[RecordView]:
    """Return the last *count* matching records up to number *end*."""
    if not count:
        return []
    if not where.text:  # then only a few need reading
        source.journal.seek(seq=max(1, end - count + 1))
    found = deque(source.facts(where), maxlen=count)
    return [facts for facts in found if facts.seq <= end]


def _new(source: JournalInput, where: Filter, end: int) -> Iterator[RecordView]:
    """Yield the matching records after number *end*, as they come."""
    origin_ns = source.journal.header.mono_ns
    try:
        for record in source.journal.seek(seq=end + 1).follow():
            facts = RecordView(record, origin_ns)
            if facts.kind != "header" and where.matches(facts):
                yield facts
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
