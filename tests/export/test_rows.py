"""
`eventbus.export._rows`: records as plain data.
"""

from __future__ import annotations

import json
import math

import pytest

from eventbus.analysis import RecordView
from eventbus.codec import loads
from eventbus.events import RealtimeModelAudioEvent
from eventbus.export._rows import (
    COLUMNS,
    plain_json,
    record_data,
    record_json,
    record_row,
    wall_time,
)
from eventbus.journal import (
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    SentRecord,
    StatusRecord,
)
from tests.journal.stories import Story, spoken_turn


def test_event_in_json_can_be_loaded_by_the_codec():
    """
    The value of "event" is the codec's document.
    """
    story = Story()
    event = RealtimeModelAudioEvent(b"\x00\x01", "resp_1", "item_1", 0)
    story.event(event)
    data = json.loads(record_json(RecordView(story.records[-1])))

    assert loads(json.dumps(data["event"])) == event


@pytest.mark.parametrize(
    ("record", "name", "expected"),
    [
        (FrameRecord(data=b'{"type": "x"}'), "frame", {"type": "x"}),
        (FrameRecord(data=b"hello", form="str"), "frame", "hello"),
        (FrameRecord(data=b"{"), "frame", "{"),
        (SentRecord(data=b"\x00\xff", form="bytes"), "message", {"$bytes": "AP8="}),
        (EventRecord(class_name="shop.Order", problem="why"), "problem", "why"),
        (StatusRecord(status="connected"), "status", "connected"),
        (GapRecord(first_seq=3, last_seq=5), "last_seq", 5),
        (HeaderRecord(journal_id="abc"), "journal_id", "abc"),
    ],
)
def test_each_kind_has_its_data(record, name, expected):
    """
    A record's own data is under a name for it.
    """
    assert json.loads(record_json(RecordView(record)))[name] == expected


def test_call_has_its_times_and_its_error():
    """
    Of a call the times are in milliseconds, and an error has its class, message and traceback.
    """
    story = Story()
    story.at(5).call("app.play", 1, queued_ms=2, run_ms=3, error="no")
    data = record_data(RecordView(story.records[-1]))

    assert (data["handler"], data["state"], data["queued_ms"], data["run_ms"]) == (
        "app.play",
        "crashed",
        2.0,
        3.0,
    )
    assert data["error"] == {"type": "builtins.ValueError", "message": "no", "traceback": ""}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, '{"$float":"nan"}'),
        (-math.inf, '{"$float":"-inf"}'),
        ((1, b"\x00"), '[1,{"$bytes":"AA=="}]'),
        ("\ud800", '"?"'),
        ("Zürich", '"Zürich"'),
    ],
)
def test_what_json_lacks_is_tagged(value, expected):
    """
    Bytes and floats that are no numbers have the codec's tags; half a character is none.
    """
    assert plain_json(value) == expected


def test_row_has_a_value_for_each_column():
    """
    Rows of any record are as long as the header.
    """
    rows = [record_row(RecordView(record)) for record in spoken_turn().records]

    assert {len(row) for row in rows} == {len(COLUMNS)}


def test_time_of_day_is_utc():
    """
    A time is ISO 8601 with microseconds; one that no calendar has is empty.
    """
    assert wall_time(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"
    assert wall_time(2**62) == "2116-02-20T23:53:38.427387Z"
    assert wall_time(10**30) == ""
