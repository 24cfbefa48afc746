"""
``eventbus show``: one record of a journal, with its causes and effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.text import Text

from ...analysis._record_view import RecordView
from ...export._rows import plain_json, record_data
from ...journal._records import CallRecord, EventRecord, FrameRecord, Record, SentRecord
from ..terminal.console import Output
from ..terminal.escaping import printable
from ..terminal.exits import BadInput
from ..terminal.journals import JournalInput
from ..terminal.record_lines import RecordLines

SCHEMA: Final = "eventbus.show/1"

_MAX_EFFECTS: Final = 1_000
_WINDOW_NS: Final = 30_000_000_000  # a handler rarely gets an event later than that
_MAX_CAUSES: Final = 100
_MAX_TEXT: Final = 200


@click.pass_context
def command(ctx: click.Context, journal: Path, seq: int, *, is_all: bool, is_json: bool) -> None:
    """Run the command; see ``eventbus.cli.usage.show``."""
    source = JournalInput(journal)
    facts = source.find(seq)
    if facts is None:
        last = source.journal.last.seq if source.journal.last is not None else 0
        msg = f"{journal} has no record {seq}; its last one is {last}."
        raise BadInput(msg)
    causes = list(_causes(source, facts))[::-1]
    effects = list(_effects(source, facts, is_all=is_all))
    output = Output()
    if is_json:
        data = {
            "schema": SCHEMA,
            "record": record_data(facts),
            "causes": [record_data(cause) for cause in causes],
            "effects": [record_data(effect) for effect in effects],
        }
        output.json_line(plain_json(data))
    else:
        for text in _lines(facts, causes, effects, output.width):
            output.line(text, is_cut=False)
    output.flush()
    ctx.exit(source.exit_code)


def _causes(source: JournalInput, facts: RecordView) -> Iterator[RecordView]:
    """Yield the causes of a record, the nearest first."""
    seq = facts.record.cause
    for _ in range(_MAX_CAUSES):
        cause = source.find(seq) if seq else None
        if cause is None:
            return
        yield cause
        # A cause comes before its effect; a journal in which it doesn't isn't ours.
        seq = cause.record.cause if cause.record.cause < cause.seq else 0


def _effects(source: JournalInput, facts: RecordView, *, is_all: bool) -> Iterator[RecordView]:
    """Yield the effects of a record, direct or not, in the order of the journal."""
    known = {facts.seq, *_calls_of(facts.record)}
    running: set[int] = set()
    last_ns = facts.since_ns
    count = 0
    source.journal.seek(seq=facts.seq + 1)
    for each in source.facts():
        if not is_all and not running and each.since_ns - last_ns > _WINDOW_NS:
            return
        if each.record.cause not in known:
            continue
        known |= {each.seq, *_calls_of(each.record)}
        last_ns = each.since_ns
        if isinstance(each.record, CallRecord):  # its end has a record of its own
            (running.add if each.record.state == "started" else running.discard)(each.record.call)
        yield each
        count += 1
        if count == _MAX_EFFECTS:
            return


def _calls_of(record: Record) -> set[int]:
    """Return the number that the effects of a call have as their cause."""
    return {record.call} if isinstance(record, CallRecord) else set()


def _lines(
    facts: RecordView, causes: list[RecordView], effects: list[RecordView], width: int | None
) -> Iterator[Text]:
    lines = RecordLines(width)
    for cause in causes:
        yield lines.line(cause)
    yield Text.assemble((f"{lines.line(facts)}", "bold"))
    for line in _content(facts):
        yield Text(f"{'':>9}{line}")
    for effect in effects:
        yield lines.line(effect)


def _content(facts: RecordView) -> Iterator[str]:
    """Yield the content of a record, line by line."""
    match facts.record:
        case EventRecord() | FrameRecord() | SentRecord():
            encoded = plain_json(_shortened(dict(facts.data)))
            text = msgspec.json.format(encoded, indent=2)
            yield from (printable(line) for line in text.splitlines())
        case CallRecord(error=error) if error is not None:
            yield from (printable(line) for line in error.traceback_text.splitlines())
        case _:
            pass


def _shortened(value: Any) -> Any:
    """Return *value* with audio and other unreadable data replaced by its length."""
    match value:
        case dict():
            return {name: _shortened(each) for name, each in value.items()}
        case list():
            return [_shortened(each) for each in value]
        case bytes():
            return f"<{len(value)} bytes>"
        case str() if len(value) > _MAX_TEXT and " " not in value:
            return f"<{len(value)} characters>"
        case _:
            return value
