"""
Synthetic speech lasts as long as its text, is marked, and contains its words.
"""

from __future__ import annotations

import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.audio import G711_ALAW, G711_ULAW, PCM16, AudioFormat
from eventbus.simulator.speech import (
    is_synthetic,
    silence,
    speak,
    spoken_text,
    synthesize,
)

FORMATS = st.sampled_from([PCM16, AudioFormat(rate=16_000), AudioFormat(rate=8_000), G711_ULAW])
TEXTS = st.text(max_size=40).filter(str.strip)


@settings(max_examples=25)
@given(TEXTS, FORMATS)
def test_words_are_the_text_and_their_times_are_those_of_the_sound(text, audio_format):
    """
    Joined, the words are the text; one begins where the one before ends, the last with the sound.
    """
    speech = synthesize(text, audio_format=audio_format)

    assert "".join(word.text for word in speech.words) == text
    starts = [word.start_ms for word in speech.words]
    ends = [word.end_ms for word in speech.words]
    assert starts == [0, *ends[:-1]]
    assert audio_format.duration_ms(len(speech.audio)) == speech.duration_ms == ends[-1]


@settings(max_examples=25)
@given(TEXTS, FORMATS)
def test_speech_tells_its_text(text, audio_format):
    """
    The mark gives the text back, for any text and format.
    """
    audio = speak(text, audio_format=audio_format)

    assert spoken_text(audio, audio_format=audio_format) == text.strip()


@settings(max_examples=25)
@given(st.integers(0, 5_000))
def test_small_pieces_are_known_as_synthetic(start):
    """
    A piece of 175 samples has the mark, wherever it is cut out.
    """
    piece = speak("It is a nice day.")[start * 2 : (start + 175) * 2]

    assert is_synthetic(piece)


def test_text_survives_what_is_around_it():
    """
    Silence and other sounds before, between and after several speeches don't hide their texts.
    """
    noise = bytes(range(256)) * 5
    audio = noise + speak("Hello!") + silence(300) + speak("What is this?") + noise

    assert spoken_text(audio) == "Hello! What is this?"


def test_same_words_after_a_gap_are_said_twice():
    """
    A text that is repeated by the mark is one text; one that is spoken twice is two.
    """
    assert spoken_text(speak("Yes, yes.") + silence(100) + speak("Yes, yes.")) == (
        "Yes, yes. Yes, yes."
    )


def test_part_of_a_speech_tells_the_text_if_the_mark_fits():
    """
    The mark is repeated, so the first word's sound has the text of the whole.
    """
    assert spoken_text(speak("I was going to say")[10_000:-10_000]) == "I was going to say"
    assert spoken_text(speak("I was going to say")[:512]) is None


@pytest.mark.parametrize("audio", [b"", silence(500), bytes(range(256)) * 40])
def test_other_sounds_are_not_synthetic(audio):
    """
    Nothing, silence and somebody else's samples have no mark.
    """
    assert not is_synthetic(audio)
    assert spoken_text(audio) is None


def test_changed_text_is_not_told():
    """
    A text with changed bits fails its checksum, and gives no words rather than wrong ones.
    """
    samples = array.array("h", speak("Yes"))
    for index in range(len(samples)):
        if index % 128 == 70:  # a bit of the text, and of its length
            samples[index] ^= 1

    assert spoken_text(samples.tobytes()) is None


def test_seed_chooses_the_voice():
    """
    Same seed, same bytes; another seed, other bytes, of the same length.
    """
    assert speak("Good evening", seed=1) == speak("Good evening", seed=1)
    assert speak("Good evening", seed=1) != speak("Good evening", seed=2)
    assert len(speak("Good evening", seed=1)) == len(speak("Good evening", seed=2))


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_to_say_has_no_sound(text):
    """
    A text without words has neither words nor audio.
    """
    speech = synthesize(text)

    assert (speech.words, speech.audio, speech.duration_ms) == ((), b"", 0)


@pytest.mark.parametrize("audio_format", [PCM16, G711_ULAW, G711_ALAW])
def test_silence_is_silent_in_each_format(audio_format):
    """
    It has the length that was asked for, and its samples are as near to 0 as the format can say.
    """
    audio = silence(125, audio_format=audio_format)

    assert audio_format.duration_ms(len(audio)) == 125
    assert max(map(abs, array.array("h", audio_format.to_pcm16(audio)))) <= 8


def test_audio_is_not_in_the_repr():
    """
    A speech in a log is a line, not a megabyte.
    """
    assert "audio=<6144 bytes>" in repr(synthesize("Hi"))
