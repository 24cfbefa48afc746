"""
A journal's records as lines of text.
"""

from __future__ import annotations

from typing import Final

from rich.cells import cell_len
from rich.text import Text

from ...analysis._record_view import RecordView
from ...exceptions import CodecError
from ...journal._records import (
    CallRecord,
    DropRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    SentRecord,
    StatusRecord,
)
from .escaping import printable
from .event_lines import event_text
from .summary import short_time

_STYLES: Final = {
    "call": "cyan",
    "drop": "bold red",
    "end": "dim",
    "event": "",
    "frame": "dim",
    "gap": "bold red",
    "header": "dim",
    "sent": "magenta",
    "status": "yellow",
}

_MAX_SENDER: Final = 12
_MIN_SEQ: Final = 4


class RecordLines:
    """
    Records as lines: number, time, session, kind, and content.

    Columns are as wide as the records so far need, and the session has none before there is one;
    the rest of the width is for the content.

    Args:
        width: Width of the terminal; None for no limit.
    """

    def __init__(self, width: int | None = None) -> None:
        self._width = width
        self._seq = _MIN_SEQ
        self._sender = 0

    def line(self, facts: RecordView) -> Text:
        """Return the line for a record."""
        sender = printable(facts.sender or "")
        if len(sender) > _MAX_SENDER:
            sender = f"{sender[: _MAX_SENDER - 1]}…"
        self._sender = max(self._sender, len(sender))
        self._seq = max(self._seq, len(str(facts.seq)))
        head = f"{facts.seq:>{self._seq}}  {facts.since_ns / 1e9:>8.3f} s  "
        if self._sender:
            head += f"{sender:<{self._sender}}  "
        style = "bold red" if "error" in facts.states else _STYLES.get(facts.kind, "dim")
        kind = f"{facts.kind:<6}  "
        room = None if self._width is None else self._width - cell_len(head) - len(kind)
        return Text.assemble(
            (head, "dim"), (kind, style), (printable(_content(facts, room)), style)
        )


def _content(facts: RecordView, room: int | None) -> str:
    record = facts.record
    match record:
        case EventRecord():
            return _event(record, room)
        case FrameRecord() | SentRecord():
            name = facts.type or f"<{record.form}>"
            return f"{name}  {len(record.data)} bytes"
        case CallRecord():
            return _call(record)
        case DropRecord():
            events = "1 event" if record.count == 1 else f"{record.count} events"
            return f"{record.handler} did not get {events}: {record.reason}"
        case StatusRecord():
            return record.status
        case GapRecord():
            return f"records {record.first_seq} to {record.last_seq} are missing: {record.reason}"
        case HeaderRecord():
            return f"segment {record.segment}, by {record.creator}"
        case _:
            return ""


def _event(record: EventRecord, room: int | None) -> str:
    name = record.type_name or record.class_name
    try:
        event = record.event
    except CodecError:
        return f"{name}  ({record.problem or 'this eventbus can not read it'})"
    if type(event).__qualname__ != record.class_name:  # a class that isn't known here
        return name
    left = None if room is None else room - len(name) - 2
    return f"{name}  {event_text(event, left)}"


def _call(record: CallRecord) -> str:
    waited = f", queued {short_time(record.queued_ns / 1e6)}" if record.queued_ns else ""
    if record.run_ns is None:
        return f"{record.handler}  has begun{waited}"
    ran = f"{record.handler}  {short_time(record.run_ns / 1e6)}{waited}"
    return ran if record.error is None else f"{ran}, crashed: {record.error}"
