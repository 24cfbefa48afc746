"""
The input audio buffer: its content, and its place in the session.
"""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.audio import G711_ULAW, PCM16
from eventbus.simulator._service import input_audio
from eventbus.simulator._service.checks import RequestError
from eventbus.simulator._service.input_audio import InputAudio, decode_audio
from eventbus.simulator._vad import SpeechStarted, SpeechStopped
from tests.simulator.talk import silence, tone

VAD = {"type": "server_vad", "prefix_padding_ms": 100, "silence_duration_ms": 200}


def test_commit_empties_the_buffer():
    """
    Committed audio is the audio that was appended, and is gone then.
    """
    audio = InputAudio(PCM16, None)
    audio.append(tone(100))
    audio.append(tone(50))

    assert audio.commit() == tone(100) + tone(50)
    assert (audio.start_ms, audio.position_ms) == (150, 150)


@pytest.mark.parametrize("duration_ms", [0, 1, 99])
def test_too_little_is_no_turn(duration_ms):
    """
    Less than 100 ms can't be committed; it stays, and may become enough.
    """
    audio = InputAudio(PCM16, None)
    audio.append(silence(duration_ms))

    with pytest.raises(RequestError, match=f"only has {duration_ms}.00ms") as raised:
        audio.commit()

    assert raised.value.code == "input_audio_buffer_commit_empty"
    audio.append(silence(100))
    assert len(audio.commit()) == (duration_ms + 100) * 48


def test_positions_are_of_the_session():
    """
    Neither a commit nor a clear turns the positions of speech back.
    """
    audio = InputAudio(PCM16, VAD)
    audio.append(silence(1_000))
    audio.commit()
    audio.append(silence(1_000))
    audio.clear()

    [started] = audio.append(silence(500) + tone(300))

    assert 2_400 <= audio.to_session_ms(started.audio_start_ms) <= 2_500


def test_detector_that_is_turned_on_later_knows_the_time():
    """
    Positions count from the session's first sample, also without anybody listening.
    """
    audio = InputAudio(PCM16, None)
    assert audio.append(tone(1_000)) == []
    audio.clear()
    audio.configure(PCM16, VAD)

    [started] = audio.append(silence(500) + tone(300))

    assert 1_400 <= audio.to_session_ms(started.audio_start_ms) <= 1_500


def test_turn_is_what_lies_between_its_ends():
    """
    Audio before the speech isn't part of the turn, and audio after it stays in the buffer.
    """
    audio = InputAudio(PCM16, VAD)
    heard = audio.append(silence(500) + tone(500) + silence(600))
    start, end = heard
    assert isinstance(start, SpeechStarted)
    assert isinstance(end, SpeechStopped)

    taken = audio.take(start.audio_start_ms, end.audio_end_ms)

    assert len(taken) == (end.audio_end_ms - start.audio_start_ms) * 48
    assert taken.count(tone(500)) == 1
    assert (audio.start_ms, audio.position_ms) == (end.audio_end_ms, 1_600)


def test_other_format_begins_anew():
    """
    Audio of the old format is gone; the time goes on.
    """
    audio = InputAudio(PCM16, VAD)
    audio.append(silence(500))

    audio.configure(G711_ULAW, VAD)
    assert (audio.start_ms, audio.position_ms) == (500, 500)

    loud = G711_ULAW.from_pcm16(tone(400, rate=8_000))
    [started] = audio.append(loud)
    assert audio.position_ms == 900
    assert audio.to_session_ms(started.audio_start_ms) == 500


def test_silence_takes_no_memory(monkeypatch):
    """
    A client may send silence for ever; with detection, the last of it is kept.
    """
    monkeypatch.setattr(input_audio, "_KEPT_SILENCE_MS", 1_000)
    audio = InputAudio(PCM16, VAD)

    for _ in range(50):
        audio.append(silence(100))

    assert (audio.start_ms, audio.position_ms) == (4_000, 5_000)


def test_full_buffer_takes_no_more(monkeypatch):
    """
    Without detection, a client that never commits is refused before memory is gone.
    """
    monkeypatch.setattr(input_audio, "_MAX_BUFFER_MS", 1_000)
    audio = InputAudio(PCM16, None)
    audio.append(silence(1_000))

    with pytest.raises(RequestError) as raised:
        audio.append(silence(1))

    assert raised.value.code == "input_audio_buffer_full"
    assert audio.position_ms == 1_000


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4_000), max_size=10), st.data())
def test_nothing_is_lost_or_twice(sizes, data):
    """
    The pieces of a buffer that is cut up in any way are the appended audio, in order.
    """
    audio = InputAudio(G711_ULAW, None)
    sent = b"".join(bytes([number % 256]) * size for number, size in enumerate(sizes))
    for number, size in enumerate(sizes):
        audio.append(bytes([number % 256]) * size)

    cut = data.draw(st.integers(0, audio.position_ms))
    taken = audio.take(0, cut)

    assert len(taken) == cut * 8
    assert taken + audio.take(cut, audio.position_ms + 1) == sent


@pytest.mark.parametrize("data", ["A", "AAA", "A=A=", "AA AA", "Ää==", "AAAA\n"])
def test_what_is_no_base64(data):
    """
    Audio that can't be decoded is refused, with the field's name and without its content.
    """
    with pytest.raises(RequestError, match="base64") as raised:
        decode_audio(data, PCM16, "audio")

    assert (raised.value.code, raised.value.param) == ("invalid_value", "audio")


def test_half_a_sample_is_refused():
    """
    PCM16 has an even number of bytes; a byte of G.711 is a sample.
    """
    three = base64.b64encode(b"abc").decode()

    assert decode_audio(three, G711_ULAW, "audio") == b"abc"
    with pytest.raises(RequestError, match="3 bytes"):
        decode_audio(three, PCM16, "audio")


def test_too_much_at_once():
    """
    More than 15 MiB in an event is refused before it is decoded.
    """
    with pytest.raises(RequestError, match="15 MiB"):
        decode_audio("A" * 21_000_000, PCM16, "audio")
