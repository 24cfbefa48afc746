"""
`eventbus.analysis._filters`: the filter grammar.
"""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.analysis import RecordView, parse_filter
from eventbus.analysis._filters import STATES, duration_ns
from eventbus.events import RealtimeModelErrorEvent, RealtimeModelOtherEvent
from eventbus.exceptions import FilterError
from eventbus.journal import GapRecord
from tests.journal.stories import Story, spoken_turn


@pytest.fixture(scope="module")
def story():
    """
    One spoken turn, then a failure, a drop, a gap, and a tool call.
    """
    story = spoken_turn()
    story.event(RealtimeModelErrorEvent("Too  many"))
    story.call("shop.order", 1, queued_ms=70, run_ms=40, error="no")
    story.call("shop.slow", 1, run_ms=None)
    story.drop("shop.order", 3)
    story.add(GapRecord, first_seq=7, last_seq=9, reason="No space left on device")
    story.frame(
        "response.output_item.done",
        response_id="resp_2",
        item={
            "type": "function_call",
            "status": "completed",
            "id": "item_t",
            "call_id": "c1",
            "name": "weather",
            "arguments": '{"city": "Zürich"}',
        },
    )
    story.at(61_500).event(RealtimeModelOtherEvent({"note": "see you: tomorrow"}))
    return story


def found(story, text):
    """
    Return the matches of the filter: kinds and types, each once, in order.
    """
    where, origin_ns = parse_filter(text), story.records[0].mono_ns
    facts = [RecordView(record, origin_ns) for record in story.records]
    matching = [each for each in facts if where.matches(each)]
    return list(dict.fromkeys(each.type or each.handler or each.kind for each in matching))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type:audio", ["audio"]),
        ("type:RealtimeModelAudioEvent", ["audio"]),
        ("type:AUDIO,turn_*", ["turn_started", "audio", "turn_ended"]),
        ("type:response.created", ["response.created"]),
        ("type:raw_server_event type:response.d*", ["response.done"]),
        ("sender:call-1 type:usage", ["usage"]),
        ("sender:call-2", []),
        (
            "item:item_u is:event !type:*speech*",
            ["input_audio_committed", "input_audio_transcription_completed"],
        ),
        ("response:resp_1 is:event", ["turn_started", "audio", "turn_ended"]),
        ("item:item_t is:event", ["item_updated", "function_call"]),
        ("handler:shop.*", ["shop.order", "shop.slow"]),
        ("handler:shop.* is:call dur:>=40ms", ["shop.order"]),
        ("dur:<10ms", []),
        ("dur:5ms..10ms", ["app.play"]),
        ("queued:>50ms", ["shop.order"]),
        ("is:error is:event", ["error"]),
        ("is:error !is:event", ["shop.order", "gap"]),
        ("is:crash", ["shop.order"]),
        ("is:started", ["shop.slow"]),
        ("is:gap", ["gap"]),
        ("t:>1m1s", ["other"]),
        ("t:2.25s..2.25s is:event", ["turn_started"]),
        ("t:..100ms is:event", ["session_updated"]),
        ("t:61s..", ["other"]),
        ("seq:2", ["session_updated"]),
        ("seq:1..2", ["session.created", "session_updated"]),
        ("seq:<2 is:frame", ["session.created"]),
        ("HELLO is:event", ["input_audio_transcription_completed"]),
        ("Zürich is:event", ["item_updated", "function_call"]),
        ('"see you: tomorrow"', ["other"]),
        (r'"say \"hello\""', []),
        ("/h.l+o/ is:event", ["input_audio_transcription_completed"]),
        ("!/./ is:frame", []),
        ("is:event !type:input*,a*,s*,e*,u*,f*,i*", ["turn_started", "turn_ended", "other"]),
    ],
)
def test_filter_finds(story, text, expected):
    """
    Each kind of term finds the records that it is about, and no other.
    """
    assert found(story, text) == expected


def test_empty_filter_matches_everything(story):
    """
    No terms are no condition.
    """
    assert all(parse_filter("  ").matches(RecordView(record)) for record in story.records)


def test_audio_is_no_text(story):
    """
    A word that happens to be in the base64 of some audio isn't found there.
    """
    assert found(story, "EAAQABAAEAAQ") == []


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("dur:>5parsecs", 1, "dur:>50ms"),
        ("type:audio dur:50ms", 12, "to compare with"),
        ("t:3s", 1, "3s..5s"),
        ("t:5s..3s", 1, "ends before it begins"),
        ("t:..", 1, "time"),
        ("seq:x", 1, "number"),
        ("is:angry", 1, "it can be error, crash"),
        ("is:error colour:red", 10, "a filter knows type:"),
        ("type:", 1, "has no value"),
        ("type: audio", 1, "has no value"),
        ("type:,", 1, "names nothing"),
        ("!", 1, "has no value"),
        ("type:audio !!is:error", 12, "negates twice"),
        ("/(/", 1, "not a regular expression"),
        ("/open", 1, "close it with a slash"),
        ('a "b', 3, "never closed"),
        ('"a"b', 4, "put a blank"),
    ],
)
def test_error_names_the_place_and_the_remedy(text, position, words):
    """
    A term that can't be parsed is named with its character, counted from 1, and with a remedy.
    """
    with pytest.raises(FilterError, match=f"at character {position}: ") as caught:
        parse_filter(text)

    assert caught.value.position == position
    assert words in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_an_error(text):
    """
    Any text gives a filter that works, or FilterError.
    """
    with contextlib.suppress(FilterError):
        where = parse_filter(text)
        for record in Story().records:
            where.matches(RecordView(record))


@given(st.text(max_size=40))
def test_any_text_can_be_quoted(text):
    """
    In quotes, with a backslash before each quote and backslash, a text is looked for as it is.
    """
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    story = Story()
    story.event(RealtimeModelOtherEvent({"note": f"<{text}>"}))

    assert parse_filter(f'"{quoted}"').matches(RecordView(story.records[-1]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50ms", 50_000_000),
        ("1.5s", 1_500_000_000),
        ("1m30s", 90_000_000_000),
        ("2h", 7_200_000_000_000),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("5", None),
        ("ms", None),
        ("-5ms", None),
        ("1e3s", None),
        ("٣s", None),
        (f"{'9' * 400}s", None),
    ],
)
def test_duration_has_a_unit(text, expected):
    """
    A time is numbers with units; anything else is none.
    """
    assert duration_ns(text) == expected


def test_times_bound_what_must_be_read():
    """
    A filter knows before which time and after which nothing can match.
    """
    where = parse_filter("t:3s..5s t:<=4s !t:>1s audio")

    assert (where.first_ns, where.last_ns) == (3_000_000_000, 4_000_000_000)
    assert parse_filter("audio").last_ns is None


@pytest.mark.parametrize("state", [*STATES])
def test_every_state_can_be_asked_for(state):
    """
    Each listed state can be asked for.
    """
    assert parse_filter(f"is:{state}").text == f"is:{state}"
