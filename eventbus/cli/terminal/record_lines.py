"""
A record of a journal as one line of text, for people.
"""

from __future__ import annotations

from typing import Final

from rich.text import Text

from ...analysis._record_view import Facts
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

__all__ = ["record_line"]

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

_SENDER_WIDTH: Final = 12


def record_line(facts: Facts) -> Text:
    """Return the line for a record: its number, time, session and kind, and what it says."""
    sender = facts.sender or "-"
    if len(sender) > _SENDER_WIDTH:
        sender = f"{sender[: _SENDER_WIDTH - 1]}…"
    style = "bold red" if "error" in facts.states else _STYLES.get(facts.kind, "dim")
    return Text.assemble(
        (f"{facts.seq:>7}  {facts.since_ns / 1e9:>9.3f} s  ", "dim"),
        (f"{printable(sender):<{_SENDER_WIDTH}}  ", "dim"),
        (f"{facts.kind:<6}  ", style),
        (printable(_says(facts)), style),
    )


def _says(facts: Facts) -> str:
    record = facts.record
    match record:
        case EventRecord():
            return _event(record)
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


def _event(record: EventRecord) -> str:
    name = record.type_name or record.class_name
    try:
        event = record.event
    except CodecError:
        return f"{name}  ({record.problem or 'this eventbus can not read it'})"
    if type(event).__qualname__ != record.class_name:  # a class that isn't known here
        return name
    return f"{name}  {event_text(event)}"


def _call(record: CallRecord) -> str:
    waited = f", queued {short_time(record.queued_ns / 1e6)}" if record.queued_ns else ""
    if record.run_ns is None:
        return f"{record.handler}  has begun{waited}"
    ran = f"{record.handler}  {short_time(record.run_ns / 1e6)}{waited}"
    return ran if record.error is None else f"{ran}, crashed: {record.error}"
