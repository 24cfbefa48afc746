"""
`eventbus.cli.terminal.captions`: the events that are shown, and their lines.
"""

from __future__ import annotations

import types

import pytest

from eventbus.cli.terminal.captions import Captions
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelErrorEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.realtime.events import (
    RealtimeEventInfo,
    RealtimeToolApprovalRequired,
    RealtimeToolEnd,
)

INFO = RealtimeEventInfo()
TOOL = types.SimpleNamespace(name="look_up")


class Screen:
    """
    Keeps the lines shown.
    """

    def __init__(self):
        self.lines = []
        self.grown = []

    def line(self, who, text):
        self.lines.append((who, text))

    def growing(self, who, text):
        self.grown.append((who, text))


@pytest.fixture
def screen():
    return Screen()


def show(screen, *events):
    captions = Captions(screen)
    for event in events:
        captions.show(event)


def test_what_is_said_grows_and_becomes_a_line(screen):
    """
    Deltas add up to the text so far, and the complete text is a line.
    """
    show(
        screen,
        RealtimeModelInputTranscriptDeltaEvent("u", "Hel", 0),
        RealtimeModelInputTranscriptDeltaEvent("u", "lo", 0),
        RealtimeModelInputAudioTranscriptionCompletedEvent("u", "Hello\n"),
        RealtimeModelTranscriptDeltaEvent("a", "Good ", "r"),
        RealtimeModelTranscriptDoneEvent("a", "Good day", "r"),
        RealtimeModelOutputTextDeltaEvent("b", "Or", "r"),
        RealtimeModelOutputTextDoneEvent("b", "Or night", "r"),
    )

    assert screen.grown == [
        ("caller", "Hel"),
        ("caller", "Hello"),
        ("agent", "Good "),
        ("agent", "Or"),
    ]
    assert screen.lines == [("caller", "Hello"), ("agent", "Good day"), ("agent", "Or night")]


def test_updated_transcript_replaces_the_text_so_far(screen):
    """
    A service that sends the whole transcript each time fills the same line.
    """
    show(
        screen,
        RealtimeModelInputTranscriptUpdatedEvent("u", "Is it"),
        RealtimeModelInputTranscriptUpdatedEvent("u", "Is it sunny"),
        RealtimeModelInputAudioTranscriptionCompletedEvent("u", "Is it sunny?"),
    )

    assert screen.grown == [("caller", "Is it"), ("caller", "Is it sunny")]
    assert screen.lines == [("caller", "Is it sunny?")]


def test_what_was_interrupted_is_shown_once(screen):
    """
    An interrupted answer is a line as far as it had come; the service's full text is not.
    """
    show(
        screen,
        RealtimeModelTranscriptDeltaEvent("a", "Once upon", "r"),
        RealtimeModelAudioInterruptedEvent("a", 0),
        RealtimeModelTranscriptDoneEvent("a", "Once upon a time", "r"),
    )

    assert screen.lines == [("agent", "Once upon …"), ("cut", "interrupted")]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (RealtimeModelToolCallEvent("look_up", "c", '{"a":1}'), ("tool", 'look_up({"a":1})')),
        (RealtimeToolEnd(None, TOOL, "{}", {"b": 2}, INFO), ("tool", 'look_up = {"b":2}')),
        (
            RealtimeToolApprovalRequired(None, TOOL, "c", "{}", INFO),
            ("tool", "look_up waits for approval"),
        ),
        (RealtimeModelErrorEvent(RealtimeError("No credit.")), ("error", "No credit.")),
        (RealtimeModelErrorEvent({"code": "no_credit"}), ("error", "no_credit")),
        (RealtimeModelErrorEvent("what?"), ("error", "what?")),
        (
            RealtimeModelInputAudioTranscriptionFailedEvent("u", RealtimeError("Too quiet.")),
            ("error", "no transcript: Too quiet."),
        ),
        (
            RealtimeModelTurnEndedEvent("r", "failed", RealtimeError("Overloaded.")),
            ("error", "the response is failed: Overloaded."),
        ),
        (RealtimeModelTurnEndedEvent("r", "incomplete"), ("error", "the response is incomplete")),
    ],
)
def test_tools_and_errors_are_lines(screen, event, line):
    """
    A tool's arguments and its output, and an error of the service, are a line each.
    """
    show(screen, event)

    assert screen.lines == [line]


@pytest.mark.parametrize("event", [RealtimeModelTurnEndedEvent("r", "completed"), object()])
def test_other_events_are_not_shown(screen, event):
    """
    Events without meaning for a reader are no line, and neither are unknown ones.
    """
    show(screen, event)

    assert screen.lines == screen.grown == []
