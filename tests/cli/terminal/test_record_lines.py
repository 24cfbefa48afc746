"""
`eventbus.cli.terminal.record_lines`: a record, as a line.
"""

from __future__ import annotations

import pytest

from eventbus.analysis import RecordView
from eventbus.cli.terminal.record_lines import RecordLines
from eventbus.exceptions import RemoteException
from eventbus.journal import (
    CallRecord,
    DropRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    SentRecord,
    StatusRecord,
    UnknownRecord,
)
from tests.journal.stories import Story, spoken_turn

ERROR = RemoteException("builtins.ValueError", "no\x1b[31m")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (FrameRecord(data=b'{"type": "a.b"}'), "frame   a.b  15 bytes"),
        (FrameRecord(data=b"\xff", form="bytes"), "frame   <bytes>  1 bytes"),
        (SentRecord(data=b'{"type": "x y"}'), "sent    <json>  15 bytes"),
        (EventRecord(class_name="shop.Order", problem="why"), "event   shop.Order  (why)"),
        (CallRecord(handler="a.b", run_ns=1_500_000), "call    a.b  1.50 ms"),
        (
            CallRecord(handler="a.b", run_ns=10, queued_ns=2_000_000, state="crashed", error=ERROR),
            r"call    a.b  0 µs, queued 2.00 ms, crashed: builtins.ValueError: no\x1b[31m",
        ),
        (CallRecord(handler="a.b", state="started"), "call    a.b  has begun"),
        (DropRecord(handler="a.b", count=1), "drop    a.b did not get 1 event: full"),
        (StatusRecord(status="connected"), "status  connected"),
        (
            GapRecord(first_seq=3, last_seq=5, reason="full disk"),
            "gap     records 3 to 5 are missing: full disk",
        ),
        (HeaderRecord(creator="eventbus 1"), "header  segment 1, by eventbus 1"),
        (EndRecord(), "end     "),
        (UnknownRecord(number=99), "unknown  "),
    ],
)
def test_line_says_what_a_record_has(record, expected):
    """
    Each kind has its line, without control characters.
    """
    assert str(RecordLines().line(RecordView(record))).partition(" s  ")[2] == expected


def test_line_begins_with_number_time_and_session():
    """
    A line has the record's number, the seconds since the beginning, and the session.
    """
    record = FrameRecord(seq=7, mono_ns=1_500_000_000, sender="call-1")

    assert str(RecordLines().line(RecordView(record))).startswith(
        "   7     1.500 s  call-1  frame "
    )


def test_columns_are_as_wide_as_needed():
    """
    Without a session, its column takes no room; a longer name or number makes room for itself.
    """
    lines = RecordLines()
    records = [
        StatusRecord(seq=1, status="connected"),
        StatusRecord(seq=2, sender="call-1", status="connected"),
        StatusRecord(seq=123_456, status="connected"),
        StatusRecord(seq=3, sender="a name that is long", status="connected"),
    ]

    assert [str(lines.line(RecordView(record))) for record in records] == [
        "   1     0.000 s  status  connected",
        "   2     0.000 s  call-1  status  connected",
        "123456     0.000 s          status  connected",
        "     3     0.000 s  a name that…  status  connected",
    ]


def test_ids_give_way_to_words():
    """
    In a terminal of 60 columns there is room for the words, and none for the ids.
    """
    story = Story(sender=None)
    seq = story.frame(
        "response.output_audio_transcript.delta",
        response_id="resp_DO3lr5PC",
        item_id="item_DO3lrmcS",
        delta="Good morning!",
    )
    facts = RecordView(story.records[seq])

    assert str(RecordLines(60).line(facts)).endswith('event   transcript_delta  "Good morning!"')
    assert "item_DO3lrmcS" in str(RecordLines(80).line(facts))


def test_every_record_of_a_call_is_one_line():
    """
    Any record is one line.
    """
    lines = RecordLines()

    assert all("\n" not in str(lines.line(RecordView(record))) for record in spoken_turn().records)
