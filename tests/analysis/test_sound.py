"""
`eventbus.analysis._sound`: the sound of one call.
"""

from __future__ import annotations

import pytest

from eventbus.analysis import RecordView
from eventbus.analysis._sound import sound_of
from eventbus.events import (
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
)
from eventbus.exceptions import ExportError
from tests.journal.stories import BEGINNING, Story, spoken_turn


def sound(*stories, keeps_audio=True):
    records = [record for story in stories for record in story.records]
    facts = [RecordView(record, BEGINNING) for record in records]
    return sound_of(facts, "a file", keeps_audio=keeps_audio)


def test_audio_of_both_sides_is_kept():
    """
    The audio of both sides is there, as bytes.
    """
    call = sound(spoken_turn())

    assert sum(len(piece.data) for piece in call.pieces) == 2_000 * 48
    assert sum(len(piece) for piece in call.playback.stretches[0].pieces) == 1_000 * 48


def test_audio_need_not_be_kept():
    """
    If only times are needed, no audio is kept.
    """
    call = sound(spoken_turn(), keeps_audio=False)

    assert {piece.data for piece in call.pieces} == {b""}
    assert call.playback.stretches[0].pieces == []
    assert not call.is_silent


def test_caller_never_says_two_things_at_once():
    """
    Audio that was sent faster than it was recorded follows the audio before.
    """
    story = Story()
    for _ in range(3):
        story.send({"type": "input_audio_buffer.append", "audio": ""}, audio_bytes=4_800)
    starts = [piece.start_ns // 1_000_000 for piece in sound(story).pieces]

    assert starts == [0, 100, 200]


def hear(*events):
    story = Story()
    for event in events:
        story.event(event)
    return [line.text for line in sound(story).caller.values()]


def test_callers_words_come_in_pieces_or_as_a_whole():
    """
    Deltas are appended, updates replace the text so far, and the completed transcript is final.
    """
    delta, updated = (
        RealtimeModelInputTranscriptDeltaEvent,
        RealtimeModelInputTranscriptUpdatedEvent,
    )
    completed = RealtimeModelInputAudioTranscriptionCompletedEvent("i", "Is it sunny?")

    assert hear(delta("i", "Is it", 0), delta("i", " sunny", 0)) == ["Is it sunny"]
    assert hear(updated("i", "Is it"), updated("i", "Is it sunny")) == ["Is it sunny"]
    assert hear(updated("i", "Is it sun"), completed) == ["Is it sunny?"]
    assert hear(delta("i", "Is it", 0), completed, updated("i", "Is")) == ["Is it sunny?"]


def test_calls_without_sound_are_passed_over():
    """
    Only calls with audio or words count; two of them are refused by name.
    """
    silent = Story("call-2")
    silent.frame("response.created", response={"id": "r"})
    assert not sound(spoken_turn(), silent).is_silent

    silent.audio(20)
    with pytest.raises(ExportError, match="call-1, call-2"):
        sound(spoken_turn(), silent)
