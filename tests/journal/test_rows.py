"""
Rows say the same of a journal as its records do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventbus import EventBus
from eventbus.analysis import RecordView
from eventbus.codec import to_plain
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelToolCallEvent,
)
from eventbus.exceptions import CodecError
from eventbus.journal import EventRecord, Recorder, open_journal
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import OpenAIRealtimeDecoder

DATA = Path(__file__).parents[1] / "data"


def frames_in(name):
    """Return the frames of a recorded session."""
    lines = (DATA / name).read_text("utf-8").splitlines()
    return [line for line in lines if json.loads(line).get("type")]


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A journal with every kind of record that a call has, of two sessions."""
    path = tmp_path_factory.mktemp("rows") / "call.journal"
    bus = EventBus()
    bus.subscribe(repr, RealtimeModelAudioEvent)

    @bus.on(RealtimeModelToolCallEvent)
    def fail(_):
        raise ValueError("no such tool")

    @bus.on(RealtimeModelExceptionEvent)
    def note(_):
        pass

    with Recorder(path) as recorder, recorder.attach(bus):
        bus.publish(RealtimeModelConnectionStatusEvent("connected"), sender="call-1")
        recorder.sent({"type": "response.create"}, sender="call-1")
        for sender, name in (
            ("call-1", "openai_ga_types.jsonl"),
            ("call-2", "openai_tool_call.jsonl"),
        ):
            decoder = OpenAIRealtimeDecoder()
            for frame in frames_in(name):
                decoder.publish_to(bus, frame, sender=sender)
        recorder.sent({"realtimeInput": {"activityStart": {}}}, sender="call-3")
        decoder = GeminiDecoder()
        for frame in (DATA / "gemini_barge_in.jsonl").read_text("utf-8").splitlines():
            decoder.publish_to(bus, frame, sender="call-3")
        bus.publish("plain text", sender="call-2")
        bus.publish({"type": ["no", "name"]})
    return open_journal(path)


def test_rows_are_the_records_in_short(journal):
    """
    A row has the numbers, names and ids of its record, and the failure that it tells of.
    """
    rows = list(journal.rows())

    assert {"frame", "event", "sent", "call", "status", "end"} <= {row.kind for row in rows}
    for record, row in zip(journal, rows, strict=True):
        view = RecordView(record)
        assert (row.seq, row.mono_ns, row.sender) == (record.seq, record.mono_ns, record.sender)
        assert (row.cause, row.kind, row.type) == (record.cause, view.kind, view.type)
        assert (row.handler, row.run_ns, row.queued_ns) == (
            view.handler, view.run_ns, view.queued_ns
        )  # fmt: skip
        assert {row.item_id} - {None} <= view.items
        assert bool(row.item_id) == bool(view.items), row
        assert {row.response_id} - {None} <= view.responses
        assert bool(row.response_id) == bool(view.responses), row
        assert (row.error, row.is_error) == (view.error, "error" in view.states)


def test_row_of_an_event_has_the_event(journal):
    """
    An event's row has it as `EventRecord.event` does, without plain data in between.
    """
    events = 0
    for record, row in zip(journal, journal.rows(), strict=True):
        if isinstance(record, EventRecord):
            try:
                event = record.event
            except CodecError:
                event = None
            assert type(row.event) is type(event)
            if not isinstance(event, RealtimeModelExceptionEvent):
                assert row.event == event
            events += 1
    assert events > 50


def test_rows_of_one_session_can_be_read_from_a_place_on(journal):
    """
    Rows begin where was sought, and of a sender are only those of it.
    """
    middle = journal.last.seq // 2

    rows = list(open_journal(journal.path).seek(seq=middle).rows(sender="call-2"))

    wanted = [row for row in journal.rows() if row.sender == "call-2" and row.seq >= middle]
    assert rows == wanted
    assert len(rows) > 10


def test_fields_of_a_derived_event_are_its_plain_data(journal):
    """
    The fields of a flat event, which are read from it directly, are those that the codec gives.
    """
    for record in journal.read(EventRecord):
        if record.is_derived and record.type_name != "exception":
            assert {"$v": 1, **record.fields} == to_plain(record.event)
