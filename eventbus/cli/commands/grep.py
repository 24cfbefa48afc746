"""
``eventbus grep``: the records of a journal that match a filter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ...export._rows import plain_json, record_json
from ..terminal.console import Output
from ..terminal.exits import ExitCode
from ..terminal.journals import (
    JournalInput,
    read_filter,
)
from ..terminal.record_lines import RecordLines

COUNT_SCHEMA: Final = "eventbus.count/1"


@click.pass_context
def command(
    ctx: click.Context, journal: Path, terms: tuple[str, ...], *, is_count: bool, is_json: bool
) -> None:
    """Run the command; see ``eventbus.cli.usage.grep``."""
    where = read_filter(terms)
    output = Output()
    source = JournalInput(journal, label=None if output.is_terminal and not is_count else "reading")
    lines = RecordLines(output.width)
    count = 0
    for facts in source.facts(where):
        count += 1
        if is_json and not is_count:
            output.json_line(record_json(facts))
        elif not is_count:
            output.line(lines.line(facts))
    if is_count:
        data = {"schema": COUNT_SCHEMA, "records": count}
        output.line(plain_json(data) if is_json else str(count))
    output.flush()
    ctx.exit(source.exit_code or (ExitCode.OK if count else ExitCode.NO))
