"""
`eventbus.analysis.RecordView`: one view of every kind of record.
"""

from __future__ import annotations

import pytest

from eventbus.analysis import RecordView, views
from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelOtherEvent
from eventbus.journal import (
    CallRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    Record,
    SentRecord,
    StatusRecord,
    UnknownRecord,
)
from tests.journal.stories import Story

ANYTHING = [
    HeaderRecord(),
    FrameRecord(data=b"{"),
    FrameRecord(data=b"[1]"),
    FrameRecord(data=b"\xff", form="bytes"),
    FrameRecord(data=b"hello", form="str"),
    FrameRecord(data=b'{"type": ["no"], "item": 3, "response": null}'),
    SentRecord(data=b"null"),
    EventRecord(class_name="shop.Order", problem="can't be written"),
    EventRecord(class_name="X", type_name="audio", document=b"\xc1"),
    EventRecord(class_name="X", type_name="exception", document=b"\x80"),
    CallRecord(state="crashed"),
    StatusRecord(),
    GapRecord(),
    EndRecord(),
    UnknownRecord(number=99),
]


@pytest.mark.parametrize("record", ANYTHING, ids=lambda record: type(record).__name__)
def test_everything_can_be_asked_of_anything(record):
    """
    No record is so strange that a question about it fails.
    """
    facts = RecordView(record)

    for name in ("types", "type", "items", "responses", "handler", "run_ns", "queued_ns", "states"):
        getattr(facts, name)
    assert facts.error is None or isinstance(facts.error, str)
    assert all(isinstance(text, str) for text in facts.texts())
    assert facts.kind in facts.states


def test_every_kind_has_a_name():
    """
    Each class of records has a name of its own.
    """
    classes = [cls for cls in Record.__subclasses__() if cls is not UnknownRecord]

    assert len({RecordView(cls()).kind for cls in classes}) == len(classes)
    assert RecordView(UnknownRecord()).kind == "unknown"


def test_time_counts_from_the_beginning():
    """
    since_ns is the time since the journal's beginning, sender a text.
    """
    facts = RecordView(EndRecord(mono_ns=1_500, sender=7), 1_000)

    assert (facts.since_ns, facts.sender) == (500, "7")


def test_class_with_a_module_is_found_by_its_own_name():
    """
    An event that isn't the vocabulary's has its class as a type, with the module and without.
    """
    assert RecordView(EventRecord(class_name="shop.events.Order")).types == (
        "shop.events.Order",
        "Order",
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'{"type":"response.created","setup":1}', "response.created"),
        (
            b'{"usageMetadata":{},"serverContent":{"turnComplete":true}}',
            "serverContent.turnComplete",
        ),
        (b'{"serverContent":{"interrupted":false,"modelTurn":{}}}', "serverContent.modelTurn"),
        (b'{"server_content":{"output_transcription":{}}}', "serverContent.outputTranscription"),
        (b'{"serverContent":{}}', "serverContent"),
        (b'{"serverContent":7}', "serverContent"),
        (b'{"goAway":{}}', "goAway"),
        (b'{"realtime_input":{"audio":{}}}', "realtimeInput.audio"),
        (b'{"setup":{}}', "setup"),
        (b'{"somebody said":1}', None),
    ],
)
def test_frame_has_the_name_that_its_protocol_gives_it(data, name):
    """
    Gemini's have no type: the field that tells most is their name, in every spelling.
    """
    for facts in (RecordView(FrameRecord(data=data)), RecordView(SentRecord(data=data))):
        assert facts.type == name
        assert (name in facts.types) == (name is not None)


def test_base64_is_no_text():
    """
    Any short word is somewhere in it, so it isn't searched.
    """
    frame = (
        b'{"serverContent":{"modelTurn":{"parts":[{"text":"hi"},'
        b'{"inlineData":{"mimeType":"audio/pcm","data":"QUJD"}}]}}}'
    )

    texts = list(RecordView(FrameRecord(data=frame)).texts())

    assert "hi" in texts
    assert "QUJD" not in texts


def test_ids_are_found_wherever_services_put_them():
    """
    Items and responses are named directly, or in an object of their own; a call is an item.
    """
    story = Story()
    story.frame("x", item={"id": "item_1"}, response={"id": "resp_1"})
    story.send({"type": "x", "item_id": "item_2"})
    story.send({"type": "x", "call_id": "c", "id": "item_3"})

    sent = [RecordView(record) for record in story.records if isinstance(record, SentRecord)]
    assert [facts.items for facts in sent] == [{"item_2"}, {"item_3"}]
    assert RecordView(story.records[1]).items == {"item_1"}
    assert RecordView(story.records[1]).responses == {"resp_1"}


def test_error_says_what_was_raised():
    """
    An exception's error is its class and message.
    """
    story = Story()
    story.event(RealtimeModelExceptionEvent(ValueError("no")))
    story.event(RealtimeModelExceptionEvent(ValueError()))
    story.event(RealtimeModelOtherEvent("fine"))

    assert [RecordView(record).error for record in story.records[1:]] == [
        "ValueError: no",
        "ValueError",
        None,
    ]


def test_views_count_from_the_beginning():
    """
    The first record is the beginning; views among the records are kept as they are.
    """
    first, second = StatusRecord(mono_ns=5_000), StatusRecord(mono_ns=7_000)
    kept = RecordView(second)

    assert [view.since_ns for view in views([first, second, kept])] == [0, 2_000, 7_000]
    assert [*views([kept])] == [kept]
