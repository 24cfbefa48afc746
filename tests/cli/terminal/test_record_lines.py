"""
`eventbus.cli.terminal.record_lines`: a record, as a line.
"""

from __future__ import annotations

import pytest

from eventbus.analysis._record_view import Facts
from eventbus.cli.terminal.record_lines import record_line
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
from tests.journal.stories import spoken_turn

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
    assert str(record_line(Facts(record))).partition("-             ")[2] == expected


def test_line_begins_with_number_time_and_session():
    """
    A line has the record's number, the seconds since the beginning, and the session.
    """
    line = str(record_line(Facts(FrameRecord(seq=7, mono_ns=1_500_000_000, sender="call-1"))))

    assert line.startswith("      7      1.500 s  call-1        frame ")


def test_every_record_of_a_call_is_one_line():
    """
    Whatever was said, a record is one line.
    """
    assert all("\n" not in str(record_line(Facts(record))) for record in spoken_turn().records)
