"""
`eventbus.export.write_srt`: captions.
"""

from __future__ import annotations

import io
import re

import pytest

from eventbus.analysis import RecordView
from eventbus.export import write_srt
from tests.journal.stories import BEGINNING, Story, spoken_turn

WORDS = "one two three four five six seven eight nine ten"


def captions(story):
    """
    Return the captions: number, times, and text.
    """
    file = io.StringIO()
    write_srt([RecordView(record, BEGINNING) for record in story.records], file)
    blocks = file.getvalue().removesuffix("\n\n").split("\n\n") if file.getvalue() else []
    return [block.split("\n", 2) for block in blocks]


def spoken(text, *, ms=5_000):
    """
    Return a call in which the model says something.
    """
    story = Story()
    story.frame("response.created", response={"id": "resp_1"})
    story.audio(ms)
    done = {"item_id": "item_a", "response_id": "resp_1", "content_index": 0}
    story.frame("response.output_audio_transcript.done", **done, transcript=text)
    return story


def test_both_sides_have_captions():
    """
    Each transcript is there with its speaker, at the time at which it was heard.
    """
    story = spoken_turn()
    done = {"item_id": "item_a", "response_id": "resp_1", "content_index": 0}
    story.frame("response.output_audio_transcript.done", **done, transcript="Good morning")

    assert captions(story) == [
        ["1", "00:00:00,600 --> 00:00:02,150", "Caller: Hello there"],
        ["2", "00:00:02,500 --> 00:00:03,500", "Model: Good morning"],
    ]


def test_long_speech_is_several_captions():
    """
    A caption has two lines of 42 characters at most; each gets its share of the time.
    """
    found = captions(spoken(" ".join([WORDS] * 6), ms=30_000))

    assert len(found) == 4
    assert found[0][1].startswith("00:00:00,000")
    assert found[-1][1].endswith("00:00:30,000")
    lines = [line for _, _, text in found for line in text.split("\n")]
    assert max(map(len, lines)) <= 42
    assert [len(text.split("\n")) for _, _, text in found] == [2, 2, 2, 2]


def test_interrupted_speech_has_the_words_that_were_heard():
    """
    The caption of speech that was cut off ends with its last whole word, by its share of the time.
    """
    story = spoken(WORDS)
    story.at(2_500).frame("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    ((_, times, text),) = captions(story)

    assert times == "00:00:00,000 --> 00:00:02,500"
    assert text == "Model: one two three four five…"


def test_transcript_without_an_end_is_made_of_its_pieces():
    """
    A transcript that was never completed consists of its deltas.
    """
    story = Story()
    story.audio(1_000)
    delta = {"item_id": "item_a", "response_id": "resp_1", "content_index": 0}
    for piece in ("Good ", "morning"):
        story.frame("response.output_audio_transcript.delta", **delta, delta=piece)

    assert [text for _, _, text in captions(story)] == ["Model: Good morning"]


def test_what_nobody_heard_has_no_caption():
    """
    Without words, or without audio, there is no caption.
    """
    assert captions(Story()) == []
    assert captions(spoken("")) == []


def test_times_are_in_the_format_of_subrip():
    """
    Hours, minutes and seconds have two digits, milliseconds three, after a comma.
    """
    story = spoken("Hello")
    ((_, times, _),) = captions(story)

    assert re.fullmatch(r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}", times)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Good\x1b[2J \x9bmorning\x00\x7f", "Good[2J morning"),
        ("pay \u202e001\u202c \u2066now\u2069", "pay 001 now"),
        (
            "<font color=red>Hi</font> {\\an8} 1 < 2",
            "\u2039font color=red>Hi\u2039/font> (\\an8} 1 < 2",
        ),
        ("क्\u200dष", "क्\u200dष"),
    ],
)
def test_caption_has_nothing_that_a_player_or_a_terminal_obeys(said, shown):
    """
    Control characters are left out, those for the direction of writing included, and tags of
    SubRip are none any more; joiners, which are part of words, stay.
    """
    ((_, _, text),) = captions(spoken(said))

    assert text.replace("\n", " ") == f"Model: {shown}"
