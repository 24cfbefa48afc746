"""
`eventbus.replay._pacing`: when frames are due.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.replay._pacing import Pacer, bytes_per_second

PCMU = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}


def audio(size):
    return [RealtimeModelAudioEvent(bytes(size), "resp", "item", 0)]


def speech(start_ms=None, *, stop_ms=None):
    if start_ms is not None:
        return [RealtimeModelInputSpeechStartedEvent("item", start_ms)]
    return [RealtimeModelInputSpeechStoppedEvent("item", stop_ms)]


def test_frames_without_duration_are_due_at_once():
    """
    A frame without audio or time is due with the one before it.
    """
    pacer = Pacer()

    assert [pacer.due([RealtimeModelTurnStartedEvent()]) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_speech_takes_as_long_as_it_sounds():
    """
    A frame after a second of audio is due a second later; the default is PCM at 24 kHz.
    """
    pacer = Pacer()

    assert [pacer.due(audio(48_000)), pacer.due(audio(24_000)), pacer.due([])] == [0.0, 1.0, 1.5]


def test_duration_depends_on_the_sessions_format():
    """
    The session's output format tells how long audio takes.
    """
    pacer = Pacer()
    pacer.due([RealtimeModelSessionUpdatedEvent(PCMU, created=True)])

    assert [pacer.due(audio(8_000)), pacer.due([])] == [0.0, 1.0]


def test_users_speech_takes_the_time_between_readings_of_the_input_clock():
    """
    Between the frames of start and stop passes the time that their readings differ by.
    """
    pacer = Pacer()

    assert pacer.due(speech(500)) == 0.5
    assert pacer.due(audio(48_000)) == 0.5
    assert pacer.due(speech(stop_ms=1_000)) == 1.5, "the audio took until then"
    assert pacer.due(speech(3_000)) == 3.5
    assert pacer.due([RealtimeModelInputAudioTimeoutTriggeredEvent("item", 0, 4_000)]) == 4.5


def test_times_of_the_lines_are_the_clock():
    """
    If lines have times, audio takes no time of its own; the first is at 0.
    """
    pacer = Pacer()

    assert [pacer.due(audio(48_000), 100.0), pacer.due([], 100.25), pacer.due([])] == [
        0,
        0.25,
        0.25,
    ]


@given(st.lists(st.tuples(st.integers(-(10**20), 10**20), st.none() | st.floats(-1e9, 1e9))))
def test_due_never_goes_back(steps):
    """
    With any readings, no frame is due before the one before it, nor before the start.
    """
    pacer = Pacer()

    due = [pacer.due(speech(reading), seconds) for reading, seconds in steps]

    assert due == sorted(due)
    assert all(each >= 0 for each in due)


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ({}, 48_000),
        (PCMU, 8_000),
        ({"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}}, 32_000),
        ({"output_audio_format": "g711_alaw"}, 8_000),
        ({"output_audio_format": "pcm16"}, 48_000),
        ({"audio": "none", "output_audio_format": 5}, 48_000),
        ({"audio": {"output": {"format": {"rate": -1}}}}, 48_000),
    ],
)
def test_bytes_per_second_reads_what_services_say(session, expected):
    """
    GA's and the beta's ways to name a format are known; anything else is pcm at 24 kHz.
    """
    assert bytes_per_second(session) == expected
