"""
The detector tells when speech starts and stops, from the audio alone.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.audio import AudioFormat
from eventbus.exceptions import ScenarioError
from eventbus.simulator._vad import (
    ServerVad,
    SpeechStarted,
    SpeechStopped,
    VadSettings,
)
from eventbus.simulator.speech import silence, speak

HELLO = speak("Hello there")  # 704 ms
CALL = silence(1_000) + HELLO + silence(700) + speak("Who is it?") + silence(900)
HEARD = [SpeechStarted(700), SpeechStopped(2_220), SpeechStarted(2_220), SpeechStopped(3_480)]


def test_speech_is_found_where_it_is():
    """
    The start has the padding before it, the end the silence after it, rounded up to 20 ms.
    """
    heard = ServerVad().feed(silence(1_000) + HELLO + silence(700))

    assert heard == [SpeechStarted(700), SpeechStopped(2_220)]


@settings(max_examples=15)
@given(st.lists(st.integers(1, 40_000), max_size=12))
def test_result_does_not_depend_on_the_pieces(sizes):
    """
    However the audio is cut, in half a sample too, the same is heard in it, at the same place.
    """
    vad, rest, heard = ServerVad(), CALL, []
    for size in sizes:
        heard += vad.feed(rest[:size])
        rest = rest[size:]
    heard += vad.feed(rest)

    assert heard == HEARD
    assert vad.position_ms == len(CALL) // 48


def test_start_does_not_reach_into_the_turn_before():
    """
    Padding ends where the last turn has ended, so no audio belongs to two turns.
    """
    heard = ServerVad(VadSettings(prefix_padding_ms=2_000)).feed(CALL)

    first, second = (event for event in heard if isinstance(event, SpeechStarted))
    [end, _] = (event.audio_end_ms for event in heard if isinstance(event, SpeechStopped))
    assert (first.audio_start_ms, second.audio_start_ms) == (0, end)


def test_a_pause_shorter_than_the_silence_is_within_the_turn():
    """
    With a longer silence_duration_ms, the same audio is one turn.
    """
    heard = ServerVad(VadSettings(silence_duration_ms=800)).feed(CALL)

    assert [type(event) for event in heard] == [SpeechStarted, SpeechStopped]


def test_a_click_is_no_speech():
    """
    One loud window between quiet ones starts nothing.
    """
    click = b"\xff\x3f" * 240

    assert ServerVad().feed(silence(100) + click + silence(800)) == []


def test_threshold_decides_what_is_loud():
    """
    Speech that is quiet passes a low threshold, and not a high one.
    """
    quiet = b"\x00\x01" * 24_000  # -42 dBFS

    assert ServerVad(VadSettings(threshold=0.3)).feed(quiet) == [SpeechStarted(0)]
    assert ServerVad(VadSettings(threshold=0.7)).feed(quiet) == []


def test_reset_ends_the_speech_without_an_event():
    """
    After it the detector waits for speech again, and padding stops at the place of the reset.
    """
    vad = ServerVad()
    vad.feed(HELLO)
    assert vad.is_speech

    vad.reset()

    assert not vad.is_speech
    assert vad.feed(HELLO) == [SpeechStarted(704)]


def test_settings_can_change():
    """
    New settings are for the audio that follows.
    """
    vad = ServerVad()
    vad.feed(HELLO)
    vad.settings = VadSettings(silence_duration_ms=100)

    assert vad.feed(silence(200)) == [SpeechStopped(820)]


def test_other_rates():
    """
    At 8 kHz the same is heard at the same times.
    """
    form = AudioFormat(rate=8_000)
    audio = speak("Hello there", audio_format=form) + silence(700, audio_format=form)

    assert ServerVad(rate=8_000).feed(audio) == [SpeechStarted(0), SpeechStopped(1_220)]


@pytest.mark.parametrize(
    ("turn_detection", "settings"),
    [
        ({"type": "server_vad"}, VadSettings()),
        ({"type": "server_vad", "threshold": 0.9}, VadSettings(threshold=0.9)),
        ({"type": "server_vad", "silence_duration_ms": None}, VadSettings()),
        (
            {"type": "server_vad", "prefix_padding_ms": 0, "silence_duration_ms": 200},
            VadSettings(prefix_padding_ms=0, silence_duration_ms=200),
        ),
        ({"type": "semantic_vad", "eagerness": "high"}, VadSettings(silence_duration_ms=300)),
        ({"type": "semantic_vad"}, VadSettings(silence_duration_ms=700)),
    ],
)
def test_settings_of_a_session(turn_detection, settings):
    """
    Fields of the session's turn_detection are taken, and missing ones have their defaults.
    """
    assert VadSettings.from_turn_detection(turn_detection) == settings


def test_wrong_settings_are_refused():
    """
    A threshold is between 0 and 1.
    """
    with pytest.raises(ScenarioError, match="threshold is a number from 0 to 1, not 2"):
        VadSettings(threshold=2)
