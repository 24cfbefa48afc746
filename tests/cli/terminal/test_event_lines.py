"""
`eventbus.cli.terminal.event_lines`: events as lines.
"""

from __future__ import annotations

import pytest

from eventbus.cli.terminal.event_lines import event_line, event_text
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelUsageEvent,
    Usage,
)
from eventbus.items import AssistantAudio, AssistantMessageItem, RealtimeToolCallItem

TOOL_CALL = RealtimeToolCallItem("item_1", "call_1", "look_up", '{"a": 1}')
MESSAGE = AssistantMessageItem("item_1", (AssistantAudio(None, "Good day"),))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            RealtimeModelAudioEvent(b"12345", "resp_1", "item_1", 0),
            "5 bytes  resp_1  item_1  content_index=0",
        ),
        (RealtimeModelTranscriptDeltaEvent("item_1", " ja, é", "resp_1"), '" ja, é"'),
        (RealtimeModelToolCallEvent("look_up", "call_1", "{}"), 'look_up  "{}"  call_1'),
        (RealtimeModelOtherEvent({"type": "ping"}), "ping"),
        (RealtimeModelOtherEvent(5), "data=5"),
        (RealtimeModelSessionUpdatedEvent({"model": "m"}, created=True), "created  m"),
        (RealtimeModelItemUpdatedEvent(TOOL_CALL), "function_call look_up in_progress  item_1"),
        (RealtimeModelItemUpdatedEvent(MESSAGE), 'assistant "Good day"  item_1'),
        (RealtimeModelUsageEvent(Usage(1, 2, 3, 5)), "requests=1, input_tokens=2"),
        (RealtimeModelErrorEvent(RealtimeError("no", code="x")), "error(message=no, code=x)"),
        (RealtimeModelErrorEvent({"a": 1}), "error=<1 fields>"),
        (RealtimeModelRateLimitsEvent([{}, {}]), "limits=<2>"),
        (RealtimeModelExceptionEvent(ValueError("x"), "decoding ping"), "decoding ping"),
    ],
)
def test_line_shows_what_an_event_says(event, text):
    """
    A line has the event's fields, those that say something; audio by its length.
    """
    assert text in event_text(event)


@pytest.mark.parametrize(
    ("width", "end"),
    [
        (80, '"Good day"  item_1  resp_1'),
        (52, '"Good day"  item_1'),
        (44, '"Good day"'),
        (36, '"Good day"'),
        (None, '"Good day"  item_1  resp_1'),
    ],
)
def test_ids_give_way_to_words(width, end):
    """
    In a narrow terminal an event loses its ids before its words.
    """
    line = event_line(1, RealtimeModelTranscriptDeltaEvent("item_1", "Good day", "resp_1"), width)

    assert line.plain.split(maxsplit=2)[2] == end


def test_wide_characters_take_two_columns():
    """
    Room is measured in columns, not in characters.
    """
    event = RealtimeModelTranscriptDeltaEvent("item_1", "こんにちは", "resp_1")

    assert event_text(event, 20) == '"こんにちは"  item_1'


def test_line_begins_with_its_number_and_type():
    """
    The line of the file and the event's type come before its content.
    """
    line = event_line(12, RealtimeModelOtherEvent({"type": "ping"}))

    assert line.plain.split() == ["12", "other", "ping"]


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "\x07", "\u202e", "\x9b2J"])
def test_control_characters_are_shown_not_obeyed(text):
    """
    Transcripts can't steer a terminal, and each event stays one line.
    """
    events = [
        RealtimeModelTranscriptDeltaEvent(text, text, text),
        RealtimeModelOtherEvent({"type": text}),
        RealtimeModelSessionUpdatedEvent({"model": text}, created=False),
        RealtimeModelErrorEvent(RealtimeError(text)),
    ]

    assert all(event_text(event).isprintable() for event in events)


def test_long_type_name_keeps_its_distance():
    """
    A type name that is longer than its column is still apart from the content.
    """
    event = RealtimeModelInputAudioTranscriptionCompletedEvent("item_1", "Yes")

    assert event_line(1, event).plain.split() == ["1", event.type, '"Yes"', "item_1"]
