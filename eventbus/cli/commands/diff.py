"""
``eventbus diff``: the differences between two journals.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from ...analysis._record_view import RecordView
from ...export._rows import plain_json
from ...replay._diff import MAX_ALIGNED, Difference, differences
from ..inspecting import serve_journals
from ..terminal.console import Output
from ..terminal.exits import ExitCode
from ..terminal.journals import (
    JournalInput,
    read_filter,
)
from ..terminal.record_lines import RecordLines

SCHEMA: Final = "eventbus.diff/1"

_REMOVED: Final = "- "
_ADDED: Final = "+ "


@click.pass_context
def command(
    ctx: click.Context,
    a: Path,
    b: Path,
    terms: tuple[str, ...],
    *,
    calls: bool,
    ids: bool,
    max_count: int,
    is_inspected: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.diff``."""
    if is_inspected:
        serve_journals((a, b), "eventbus diff --inspect", view="call=0&beside=1&tab=diff")
    where = read_filter(terms)
    left, right = JournalInput(a), JournalInput(b)
    found = differences(left.facts(where), right.facts(where), ids=ids, calls=calls)
    output = Output()
    lines = RecordLines(None if output.width is None else output.width - len(_REMOVED))
    count = 0
    for difference in itertools.islice(found, max_count + 1):
        count += 1
        if count > max_count:
            click.echo(f"there are more than {max_count} differences; -n writes more", err=True)
            break
        if is_json:
            output.json_line(plain_json(_data(difference)))
        else:
            for text in _lines(difference, lines):
                output.line(text)
        if difference.is_last:
            click.echo(
                f"more than {MAX_ALIGNED} events are different; a filter may show more", err=True
            )
    output.flush()
    bad = left.exit_code or right.exit_code
    ctx.exit(bad or (ExitCode.NO if count else ExitCode.OK))


def _data(difference: Difference) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": difference.kind,
        "left": _side(difference.left),
        "right": _side(difference.right),
        "field": difference.field or None,
        "values": list(difference.detail) if difference.field else None,
    }


def _side(facts: RecordView | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    return {"seq": facts.seq, "t_ms": facts.since_ns / 1e6, "type": facts.type or facts.kind}


def _lines(difference: Difference, lines: RecordLines) -> Iterator[Text]:
    if difference.left is not None:
        yield Text.assemble((_REMOVED, "red"), lines.line(difference.left))
    if difference.right is not None:
        yield Text.assemble((_ADDED, "green"), lines.line(difference.right))
    if difference.field:
        before, after = difference.detail
        yield Text(f"    {difference.field}: {before}, then {after}", "bold")
