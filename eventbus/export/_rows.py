"""
Records as plain data: for JSON lines, tables, and other programs.

``docs/reference/journal-json.md`` describes the result of `record_data`; the version in its
``schema`` changes when a reader would misunderstand it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ..analysis._record_view import RecordView
from ..codec import FORMAT_VERSION
from ..journal._records import (
    CallRecord,
    DropRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    SentRecord,
    StatusRecord,
)

RECORD_SCHEMA: Final = "eventbus.record/1"
"""The schema of `record_data`."""

COLUMNS: Final = (
    "seq",
    "t_ms",
    "wall",
    "kind",
    "sender",
    "cause",
    "type",
    "item_id",
    "response_id",
    "handler",
    "state",
    "queued_ms",
    "run_ms",
    "count",
    "bytes",
    "error",
)
"""The columns of `record_row`."""

_NS_PER_MS: Final = 1_000_000


def wall_time(wall_ns: int) -> str:
    """Return a time in UTC as ISO 8601, to the microsecond; empty if it has none."""
    seconds, ns = divmod(wall_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # a clock that was never set
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000:06}Z"


def record_data(facts: RecordView) -> dict[str, Any]:
    """
    Return a record as JSON data, in which only bytes need a tag.

    An event is in the form of `eventbus.codec`, a frame or a message as it was sent.
    """
    record = facts.record
    data: dict[str, Any] = {
        "schema": RECORD_SCHEMA,
        "kind": facts.kind,
        "seq": record.seq,
        "t_ms": facts.since_ns / _NS_PER_MS,
        "wall": wall_time(record.wall_ns),
        "sender": record.sender,
        "cause": record.cause or None,
    }
    match record:
        case EventRecord():
            data |= {"class": record.class_name, "type": record.type_name}
            document = {"$v": FORMAT_VERSION, **facts.data} if facts.data else None
            data |= {"event": document, "problem": record.problem}
        case FrameRecord() | SentRecord():
            name = "frame" if isinstance(record, FrameRecord) else "message"
            data |= {name: _as_it_came(record, facts), "problem": record.problem}
        case CallRecord():
            data |= _call_data(record)
        case DropRecord():
            data |= {
                "handler": record.handler,
                "reason": record.reason,
                "count": record.count,
                "events": list(record.events),
            }
        case StatusRecord():
            data["status"] = record.status
        case GapRecord():
            data |= {
                "first_seq": record.first_seq,
                "last_seq": record.last_seq,
                "reason": record.reason,
            }
        case HeaderRecord():
            data |= {
                "journal_id": record.journal_id,
                "creator": record.creator,
                "has_audio": record.has_audio,
                "has_content": record.has_content,
                "redacted": list(record.redacted),
            }
        case _:
            pass
    return data


def record_json(facts: RecordView) -> str:
    """Return `record_data` as one line of JSON."""
    return plain_json(record_data(facts))


def plain_json(data: object) -> str:
    """
    Return plain data as one line of JSON.

    Other values are tagged as in `eventbus.codec`: bytes are ``{"$bytes": <base64>}``.
    """
    encoded: bytes = _encode(_tagged(data))
    return encoded.decode()


def record_row(facts: RecordView) -> list[object]:
    """Return the values of `COLUMNS`, without content; None for those that a record lacks."""
    record = facts.record
    row: dict[str, object] = {
        "seq": record.seq,
        "t_ms": facts.since_ns / _NS_PER_MS,
        "wall": wall_time(record.wall_ns),
        "kind": facts.kind,
        "sender": record.sender,
        "cause": record.cause or None,
        "type": facts.type,
        "item_id": ",".join(sorted(facts.items)) or None,
        "response_id": ",".join(sorted(facts.responses)) or None,
        "handler": facts.handler,
    }
    match record:
        case CallRecord():
            row |= {"state": record.state, "queued_ms": record.queued_ns / _NS_PER_MS}
            row["run_ms"] = None if record.run_ns is None else record.run_ns / _NS_PER_MS
            row["error"] = None if record.error is None else record.error.type_name
        case DropRecord():
            row |= {"state": record.reason, "count": record.count}
        case StatusRecord():
            row["state"] = record.status
        case GapRecord():
            row |= {"count": record.last_seq - record.first_seq + 1, "error": record.reason}
        case EventRecord(audio_bytes=audio_bytes):
            row["bytes"] = audio_bytes
        case FrameRecord(data=data) | SentRecord(data=data):
            row["bytes"] = len(data)
        case _:
            pass
    return [row.get(column) for column in COLUMNS]


def _call_data(record: CallRecord) -> dict[str, Any]:
    error = record.error
    return {
        "call": record.call,
        "handler": record.handler,
        "state": record.state,
        "queued_ms": record.queued_ns / _NS_PER_MS,
        "run_ms": None if record.run_ns is None else record.run_ns / _NS_PER_MS,
        "error": None
        if error is None
        else {
            "type": error.type_name,
            "message": error.message,
            "traceback": error.traceback_text,
        },
    }


def _as_it_came(record: FrameRecord | SentRecord, facts: RecordView) -> object:
    """Return a frame or a message: an object, text, or bytes."""
    if record.form == "json" and facts.data:
        return dict(facts.data)
    return record.data if record.form == "bytes" else record.data.decode(errors="replace")


_encode: Final = msgspec.json.Encoder().encode


def _tagged(value: Any) -> Any:
    """Return *value* with tags for the values that JSON lacks, as in `eventbus.codec`."""
    match value:
        case Mapping():
            return {name: _tagged(each) for name, each in value.items()}
        case list() | tuple():
            return [_tagged(each) for each in value]
        case bytes():
            return {"$bytes": value}  # which the encoder makes base64
        case float() if value - value != 0:  # NaN or infinite
            return {"$float": repr(value)}
        case str() if not value.isascii():
            return value.encode("utf-8", "replace").decode()
        case _:
            return value
