"""
`eventbus.export._wav`: a call, to listen to.
"""

from __future__ import annotations

import base64
import io
import wave
from array import array

import pytest

from eventbus.analysis import RecordView
from eventbus.exceptions import ExportError
from eventbus.export import write_wav
from tests.journal.stories import BEGINNING, Story, spoken_turn, voice


def exported(*stories):
    """
    Return the parameters of the WAV file, and its channels.
    """
    file = io.BytesIO()
    records = [record for story in stories for record in story.records]
    write_wav([RecordView(record, BEGINNING) for record in records], file)
    file.seek(0)
    with wave.open(file) as wav:
        samples = array("h", wav.readframes(wav.getnframes()))
        channels = [samples[number :: wav.getnchannels()] for number in range(wav.getnchannels())]
        return (wav.getframerate(), wav.getsampwidth()), channels


def heard(channel, rate=24_000):
    """
    Return from when to when there is sound, in milliseconds.
    """
    places = [index for index, sample in enumerate(channel) if sample]
    return places[0] * 1000 // rate, (places[-1] + 1) * 1000 // rate


def test_both_sides_are_where_they_were_heard():
    """
    The caller is on the left, from when it was recorded, the model on the right, from its arrival.
    """
    form, (left, right) = exported(spoken_turn())

    assert form == (24_000, 2)
    assert (heard(left), heard(right)) == ((0, 2_000), (2_500, 3_500))
    assert len(left) == len(right)


@pytest.mark.parametrize("rate", [1, 5_000_000, 9_999_999_999])
def test_impossible_rate_does_not_count(rate):
    """
    Audio to Gemini has 16 kHz if its message names a rate that no audio has.
    """
    story = Story()
    blob = {"mimeType": f"audio/pcm;rate={rate}", "data": base64.b64encode(voice(20)).decode()}
    story.at(100).send({"realtimeInput": {"audio": blob}}, audio_bytes=960)
    form, (left, _) = exported(story)

    assert form == (24_000, 2)
    assert heard(left) == (70, 100)


def test_model_alone_is_one_channel():
    """
    Without the caller's audio there is one channel.
    """
    story = Story()
    story.at(100).audio(50)
    _, channels = exported(story)

    assert [heard(channel) for channel in channels] == [(100, 150)]


def test_what_was_interrupted_is_not_heard():
    """
    Speech ends where it was interrupted, or where the session says that it did.
    """
    story = Story()
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(5_000)
    story.at(1_000).frame("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    assert heard(exported(story)[1][0]) == (0, 1_000)

    cut = {"type": "conversation.item.truncate", "item_id": "item_a", "content_index": 0}
    story.send({**cut, "audio_end_ms": 800})
    assert heard(exported(story)[1][0]) == (0, 800)


def test_g711_is_decoded():
    """
    G.711 becomes 16-bit samples at its own 8 kHz.
    """
    story = Story()
    output = {"format": {"type": "audio/pcmu"}}
    story.frame("session.created", session={"audio": {"output": output}})
    delta = {"response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0}
    story.frame("response.output_audio.delta", **delta, delta="gICA")
    form, (channel,) = exported(story)

    assert form == (8_000, 2)
    assert list(channel) == [32_124] * 3


def test_withheld_audio_is_silence_of_its_length():
    """
    Withheld audio takes its time.
    """
    story = Story()
    story.at(1_000)
    story.send({"type": "input_audio_buffer.append", "audio": ""}, audio_bytes=48_000)
    _, (left, right) = exported(story)

    assert list(left) == list(right) == [0] * 24_000


def test_journal_without_audio_is_refused():
    """
    Without audio, there is no WAV file.
    """
    with pytest.raises(ExportError, match="nothing to hear"):
        exported(Story())


def test_a_wav_file_has_one_call():
    """
    Of two calls with audio, one must be picked; one without is no matter.
    """
    other = Story("call-2")
    assert exported(spoken_turn(), other)

    other.audio(20)
    with pytest.raises(ExportError, match="sender:NAME"):
        exported(spoken_turn(), other)


def test_call_of_many_hours_is_refused():
    """
    A call that would fill the memory, or is too long for a WAV file, is refused.
    """
    story = Story()
    story.at(7 * 3_600_000).audio(20)

    with pytest.raises(ExportError, match="hours"):
        exported(story)
