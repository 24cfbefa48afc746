"""
`eventbus.analysis._voice`: the voice in the caller's audio.
"""

from __future__ import annotations

import base64
import json
import random
from array import array

import pytest

from eventbus.analysis._voice import MAX_KEPT_S, CallerVoice
from eventbus.audio import PCM16, AudioFormat
from eventbus.journal import SentRecord

MS = 1_000_000
RNG = random.Random(4)


def noise(ms, amplitude, *, offset=0):
    return array("h", (offset + RNG.randint(-amplitude, amplitude) for _ in range(24 * ms)))


def heard(*parts, piece_ms=20, form=PCM16, is_kept=True, is_escaped=False):
    """
    Return the detector with samples at 24 kHz, and their length.
    """
    voice, place = CallerVoice(), 0
    pcm = b"".join(part.tobytes() for part in parts)
    for start in range(0, len(pcm), 48 * piece_ms):
        data = form.from_pcm16(pcm[start : start + 48 * piece_ms])
        text = base64.b64encode(data).decode() if is_kept else ""
        message = {"audio": text, "type": "input_audio_buffer.append"}
        written = json.dumps(message)
        if is_escaped:
            written = written.replace("/", "\\/").replace("+", "\\u002B")
        record = SentRecord(data=written.encode(), audio_bytes=len(data))
        end = place + piece_ms * MS
        voice.append(record, place, end, form)
        place = end
    return voice, place


@pytest.mark.parametrize("floor", [0, 30, 300])
@pytest.mark.parametrize("piece_ms", [20, 10, 50])
def test_voice_is_found_in_silence_and_in_noise(floor, piece_ms):
    """
    Its first and its last sample are found to 10 ms, however the audio was cut into messages.
    """
    voice, end = heard(noise(300, floor), noise(500, 6_000), noise(700, floor), piece_ms=piece_ms)

    assert voice.first_ns(0, end) == 300 * MS
    assert voice.last_ns(0, end, end) == 800 * MS


def test_voice_is_found_in_audio_with_escapes():
    """
    JSON may have a slash and a plus sign in another form.
    """
    voice, end = heard(noise(300, 0), noise(500, 6_000), noise(700, 0), is_escaped=True)

    assert voice.last_ns(0, end, end) == 800 * MS


def test_voice_without_a_pause_lasts_to_its_end():
    """
    In audio that is all voice, its quieter parts are voice, too.
    """
    voice, end = heard(noise(200, 6_000), noise(200, 3_000))

    assert voice.last_ns(0, end, end) == 400 * MS


@pytest.mark.parametrize("audio", [noise(500, 0), noise(500, 20), noise(500, 3, offset=9_000)])
def test_silence_has_no_voice(audio):
    """
    Nor has an offset, however large it is.
    """
    voice, end = heard(audio)

    assert (voice.first_ns(0, end), voice.last_ns(0, end, end)) == (None, None)


def test_click_is_no_voice():
    """
    A single loud window is passed over.
    """
    voice, end = heard(noise(100, 6_000), noise(200, 0), noise(10, 9_000), noise(200, 0))

    assert voice.last_ns(0, end, end) == 100 * MS


def test_voice_behind_the_latest_place_does_not_count():
    """
    The caller may have gone on when the service has ended the turn.
    """
    voice, end = heard(noise(100, 6_000), noise(300, 0), noise(100, 6_000))

    assert voice.last_ns(0, end, 400 * MS) == 100 * MS


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_understood(name):
    """
    The format is that of the session.
    """
    form = AudioFormat(name, 24_000)
    voice, end = heard(noise(100, 0), noise(300, 6_000), noise(300, 0), form=form)

    assert voice.last_ns(0, end, end) == 400 * MS


def test_audio_that_was_withheld_says_nothing():
    """
    Without the samples, nothing is known; neither is it if some of them are missing.
    """
    voice, end = heard(noise(300, 6_000), is_kept=False)

    assert voice.last_ns(0, end, end) is None


def test_only_the_latest_audio_is_kept():
    """
    An hour of speech doesn't fill the memory.
    """
    voice, end = heard(noise(200, 6_000), array("h", bytes(48_000 * (MAX_KEPT_S + 1))))

    assert voice.last_ns(0, end, end) is None
    assert len(voice._pieces) <= MAX_KEPT_S * 50 + 1
