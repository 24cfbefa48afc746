"""
Frames like one before: they mean the same as for a decoder that sees the first of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.wire.openai import OpenAIRealtimeDecoder

DATA = Path(__file__).parents[1] / "data"
FRAMES = [
    json.loads(line)
    for name in ("openai_ga_types", "voice_live_audio_turn", "xai_audio_turn")
    for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()
]
# Without the frames that depend on those before, which a new decoder hasn't seen.
ALONE = [
    frame
    for frame in FRAMES
    if frame["type"]
    not in (
        "response.output_item.done",
        "response.output_item.added",
        "response.output_audio.delta",
    )
    or frame.get("item", {}).get("type") == "message"
]
COMPACT = (",", ":")

DELTA = {
    "type": "response.output_audio_transcript.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": " well",
    "obfuscation": "xxxxx",
}
DELTAS = [
    DELTA,
    {"event_id": "event_1", **{name: DELTA[name] for name in DELTA if name != "event_id"}},
    {**DELTA, "previous_item_id": None, "rid": "a-b"},
    {"type": "conversation.item.input_audio_transcription.delta", "item_id": "i", "delta": "a"},
    {"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None},
    {"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": "h"},
    {"type": "mcp_list_tools.in_progress", "event_id": "event_1", "item_id": "item_1"},
]


def message(role, *parts, **fields):
    item = {"id": "i", "type": "message", "status": "completed", "role": role}
    return {**item, "content": list(parts), **fields}


MESSAGES = [
    message("user", {"type": "input_text", "text": "at 3:30"}),
    message("user", {"type": "input_audio", "transcript": None}, object="realtime.item"),
    message("user", {"type": "input_image", "image_url": "data:,", "detail": "auto"}),
    message("assistant", {"type": "output_audio", "transcript": "Well"}),
    message("assistant", {"type": "audio", "audio": "AAAA"}, {"type": "text", "text": ""}),
    message("assistant"),
    message("system", {"type": "input_text", "text": "Be brief."}, object="other"),
    {"id": "i", "type": "function_call", "call_id": "c", "name": "n", "arguments": "[]"},
]
ITEMS = [
    {"event_id": "event_1", **place, "item": item}
    for place in (
        {"type": "conversation.item.added", "previous_item_id": None},
        {"type": "conversation.item.created", "previous_item_id": "item_0"},
        {"type": "response.output_item.added", "response_id": "resp_1", "output_index": 0},
        {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0},
    )
    for item in MESSAGES
]

ERROR = {"type": "server_error", "code": "a:b", "message": "No voice: 'x'.", "param": None}
PART = {"event_id": "event_1", "response_id": "r", "item_id": "i", "output_index": 0}
TRANSCRIBED = {
    "type": "conversation.item.input_audio_transcription.completed",
    "event_id": "event_1",
    "item_id": "i",
    "transcript": "at 3:30",
}
LIMIT = {"name": "tokens", "limit": 40_000, "remaining": 38_211, "reset_seconds": 2.5}
REPORTS = [
    {"type": "error", "event_id": "event_1", "error": ERROR},
    {"type": "error", "event_id": "event_1", "error": {**ERROR, "event_id": "client_1"}},
    {
        "type": "conversation.item.input_audio_transcription.failed",
        "event_id": "event_1",
        "item_id": "i",
        "content_index": 0,
        "error": ERROR,
    },
    {"type": "rate_limits.updated", "event_id": "event_1", "rate_limits": [LIMIT, LIMIT]},
    {
        "type": "conversation.created",
        "event_id": "event_1",
        "conversation": {"id": "c", "object": "realtime.conversation"},
    },
    {**TRANSCRIBED, "usage": {"type": "duration", "seconds": 2}},
    {**TRANSCRIBED, "usage": {"type": "tokens", "input_token_details": {"audio_tokens": 10}}},
    {**TRANSCRIBED, "status": "in_progress"},
    {**PART, "type": "response.content_part.added", "part": {"type": "text", "text": ""}},
    {**PART, "type": "response.content_part.done", "part": {"type": "audio", "transcript": "a:b"}},
    {
        "type": "input_audio_buffer.speech_started",
        "event_id": "event_1",
        "audio_start_ms": 2210,
        "item_id": "i",
    },
]


def shown(events):
    return [(type(e), str(e.exception) if e.type == "exception" else e) for e in events]


def encoded(frame, **options):
    return json.dumps(frame, **{"separators": COMPACT, **options}).encode()


def decoded_after(known, raw):
    """
    Return the events of a frame for a decoder that has had another one, twice.
    """
    decoder = OpenAIRealtimeDecoder()
    decoder.decode(known)
    decoder.decode(known)
    return shown(decoder.decode(raw))


def decoded_alone(raw):
    return shown(OpenAIRealtimeDecoder().decode(raw))


values = st.one_of(
    st.text(),
    st.text('ab:\\"\n\u00e9\u2019', max_size=6),
    st.integers(-2, 200),
    st.sampled_from([None, True, 1.0, 1.5, 10**30, [], {}, {"a": 1}, [[[]]]]),
)


@settings(max_examples=300)
@given(st.sampled_from(ALONE), st.data())
def test_frame_like_one_before_means_the_same(frame, data):
    """
    Whatever is in its fields, and with a field more or less, spaces and escapes.
    """
    changed = dict(frame)
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from([*sorted(frame), "new", "a b"]))
        if data.draw(st.booleans()):
            changed[name] = data.draw(values)
        else:
            changed.pop(name, None)
    separators = data.draw(st.sampled_from([COMPACT, (", ", ": "), (",", ": ")]))
    raw = encoded(changed, separators=separators, ensure_ascii=data.draw(st.booleans()))

    assert decoded_after(encoded(frame), raw) == decoded_alone(raw)


TRANSCRIPTS = [
    {**ids, "type": f"conversation.item.input_audio_transcription.{kind}", "item_id": "i", **fields}
    for ids in ({}, {"event_id": "event_" + "x" * 22})
    for kind, fields in {
        "delta": {"delta": "a", "content_index": 0},
        "updated": {"transcript": "ab"},
        "completed": {"transcript": "abc"},
        "failed": {"error": {"message": "noise"}},
        "segment": {"text": "a", "speaker": "b"},
    }.items()
]


@given(st.lists(st.sampled_from(TRANSCRIPTS), max_size=8), st.sampled_from(TRANSCRIPTS), st.data())
def test_frame_after_those_of_types_that_begin_alike_means_the_same(before, frame, data):
    """
    Whichever came before, and with another value, a field more, or one less.
    """
    changed = dict(frame)
    name = data.draw(st.sampled_from([*sorted(frame), "new"]))
    if data.draw(st.booleans()):
        changed[name] = data.draw(values)
    else:
        changed.pop(name, None)
    decoder = OpenAIRealtimeDecoder()
    for each in before:
        decoder.decode(encoded(each))

    assert shown(decoder.decode(encoded(changed))) == decoded_alone(encoded(changed))


def changed_within(value, data):
    """
    Return a copy of plain data with a field changed, added or left out, at any depth.
    """
    if isinstance(value, list) and value:
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed_within(value[place], data), *value[place + 1 :]]
    if not isinstance(value, dict):
        return data.draw(values)
    name = data.draw(st.sampled_from([*sorted(value), "text", "audio", "object", "new"]))
    changed = dict(value)
    if data.draw(st.booleans()):
        changed[name] = changed_within(value.get(name), data)
    else:
        changed.pop(name, None)
    return changed


@settings(max_examples=500)
@given(st.sampled_from(ITEMS), st.sampled_from(ITEMS), st.integers(0, 3), st.data())
def test_item_like_one_before_means_the_same(known, frame, changes, data):
    """
    Whatever is in it, in its message and in the parts of that.
    """
    for _ in range(changes):
        frame = changed_within(frame, data)
    raw = encoded(frame, ensure_ascii=data.draw(st.booleans()))

    assert decoded_after(encoded(known), raw) == decoded_alone(raw)


@settings(max_examples=500)
@given(st.sampled_from(REPORTS), st.sampled_from(REPORTS), st.integers(0, 3), st.data())
def test_frame_with_an_object_like_one_before_means_the_same(known, frame, changes, data):
    """
    Whatever is in the object, an error or what a transcript has cost.
    """
    for _ in range(changes):
        frame = changed_within(frame, data)
    raw = encoded(frame, ensure_ascii=data.draw(st.booleans()))

    assert decoded_after(encoded(known), raw) == decoded_alone(raw)


@settings(max_examples=500)
@given(
    st.sampled_from([*DELTAS, *ITEMS, *REPORTS]),
    st.text("ab:", max_size=3),
    st.sampled_from(["event_id", "delta", "item_id", "type", "a", "obfuscation", "code", ""]),
    st.one_of(st.text("a:", max_size=2), st.integers(0, 11), st.none()),
    st.data(),
)
def test_name_that_comes_twice_is_found_in_a_frame_like_one_before(frame, text, name, value, data):
    """
    Also where the frame is as long, or has as many colons, as one without it.
    """
    raw = encoded({**frame, "item_id": text} if frame in DELTAS else frame)
    pair = encoded({name: value})[1:-1]
    places = [at for at in range(1, len(raw) - 1) if raw[at : at + 2] == b',"']
    place = data.draw(st.sampled_from(places))
    raw = raw[:place] + b"," + pair + raw[place:]
    if data.draw(st.booleans()):
        raw = raw.replace(b":", b"\\u003a").replace(b'"\\u003a', b'":')

    assert decoded_after(encoded(frame), raw) == decoded_alone(raw)


@pytest.mark.parametrize("frame", DELTAS)
def test_form_with_a_name_that_comes_twice_is_refused(frame):
    """
    The struct that it is read into would keep the last one and say nothing.
    """
    raw = encoded(frame)
    twice = raw[:-1] + b',"item_id":"other"}'

    (_, (cls, problem)) = decoded_after(raw, twice)

    assert cls.__name__ == "RealtimeModelExceptionEvent"
    assert "twice" in problem


@pytest.mark.parametrize("frame", REPORTS)
def test_name_that_comes_twice_in_an_object_is_refused(frame):
    """
    As well as one that comes twice in the frame itself.
    """
    raw = encoded(frame)
    before, brace, fields = raw.rpartition(b"{")
    twice = before + brace + b'"code":"a","code":"b",' + fields

    (_, (cls, problem)) = decoded_after(raw, twice)

    assert cls.__name__ == "RealtimeModelExceptionEvent"
    assert "twice" in problem


def test_speech_interrupts_each_time():
    """
    The second time, its frame is read by the form of the first, which knows no session.
    """
    decoder = OpenAIRealtimeDecoder()
    detection = {"interrupt_response": True}
    decoder.decode(
        {"type": "session.updated", "session": {"audio": {"input": {"turn_detection": detection}}}}
    )
    seen = []
    for number in range(3):
        audio = {
            "type": "response.output_audio.delta",
            "response_id": f"resp_{number}",
            "item_id": f"item_{number}",
            "content_index": 0,
            "delta": "AAAA",
        }
        speech = {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 1}
        frames = map(encoded, (audio, speech, audio))
        seen.append([e.type for frame in frames for e in decoder.decode(frame)[1:]])

    assert seen == [["audio", "input_speech_started", "audio_interrupted"]] * 3


def test_frames_of_many_forms_are_decoded():
    """
    One type with other fields each time: no form fits twice, and all deltas are given.
    """
    decoder = OpenAIRealtimeDecoder()
    seen = []
    for number in range(300):
        frame = {**DELTA, f"field_{number % 7}": number, "delta": str(number)}
        seen.append(decoder.decode(encoded(frame))[1].delta)

    assert seen == [str(number) for number in range(300)]


def test_types_that_begin_alike_are_told_apart():
    """
    The beginning that a form is found by has no room for the end of a long type.
    """
    decoder = OpenAIRealtimeDecoder()
    name = "conversation.item.input_audio_transcription"
    frames = [
        {"type": f"{name}.delta", "item_id": "item_1", "delta": "a", "content_index": 0},
        {"type": f"{name}.updated", "item_id": "item_1", "transcript": "ab"},
        {"type": f"{name}.completed", "item_id": "item_1", "transcript": "abc"},
    ]
    seen = [decoder.decode(encoded(frame))[1].type for frame in frames * 3]

    kinds = ["delta", "updated", "completed"]
    assert seen == [
        {"delta": "input_transcript_delta", "updated": "input_transcript_updated"}.get(
            kind, "input_audio_transcription_completed"
        )
        for kind in kinds * 3
    ]


def types_read_by(function, *args):
    """
    Return the types that msgspec reads JSON into during a call: structs, or Any for plain data.
    """
    types = []

    def note(_frame, event, function):
        decoder = getattr(function, "__self__", None) if event == "c_call" else None
        if isinstance(decoder, msgspec.json.Decoder):
            types.append(decoder.type)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function(*args)
    finally:
        sys.setprofile(before)
    return types


@pytest.mark.parametrize("frames", [TRANSCRIPTS[:5], TRANSCRIPTS[5:]])
@pytest.mark.parametrize("comes_first", [True, False])
def test_type_keeps_its_form_after_others_that_begin_alike(frames, comes_first):
    """
    A delta of the user's transcript is read into a struct, also after one was completed or failed.
    """
    decoder = OpenAIRealtimeDecoder()
    for frame in (frames if comes_first else frames[::-1]) * 3:
        decoder.decode(encoded(frame))
    delta, *_, failed, _segment = map(encoded, frames)

    assert Any in types_read_by(decoder.decode, failed)
    for _ in range(2):
        (struct,) = types_read_by(decoder.decode, delta)
        assert issubclass(struct, msgspec.Struct)


@pytest.mark.parametrize(
    "frame", [frame for frame in REPORTS if "status" not in frame], ids=lambda frame: frame["type"]
)
def test_frame_with_an_object_is_read_into_a_struct(frame):
    """
    No plain data are made of it, once there has been one like it.
    """
    decoder = OpenAIRealtimeDecoder()
    for _ in range(2):
        decoder.decode(encoded(frame))

    (struct,) = types_read_by(decoder.decode, encoded(frame))
    assert issubclass(struct, msgspec.Struct)


@pytest.mark.parametrize("length", [80, 81])
def test_form_keeps_no_long_names(length):
    """
    Forms are for all sessions and stay, so a field with a long name makes none.
    """
    decoder = OpenAIRealtimeDecoder()
    frame = encoded({**DELTA, "type": f"response.unknown_{length}.delta", "n" * length: "x"})
    decoder.decode(frame)

    assert (Any in types_read_by(decoder.decode, frame)) == (length > 80)
