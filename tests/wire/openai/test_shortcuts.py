from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.wire.openai import _decoder as openai_realtime
from eventbus.wire.openai._shortcuts import AudioLayout, read_plain

AUDIO = {
    "type": "response.output_audio.delta",
    "event_id": "event_a1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "AAAA",
}
COMPACT = (",", ":")
SPACED = (", ", ": ")


def encoded(separators=COMPACT, **changes):
    return json.dumps({**AUDIO, **changes}, separators=separators).encode()


def layout_of(frame):
    return AudioLayout.of(
        frame, json.loads(frame), response_id="resp_1", item_id="item_1", content_index=0
    )


def by_the_long_way(frame):
    """
    Return what a decoder without shortcuts makes of *frame*.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_realtime, "read_plain", lambda _: None)
        return openai_realtime.OpenAIRealtimeDecoder().decode(frame)[1:]


@pytest.mark.parametrize("separators", [COMPACT, SPACED])
def test_layout_reads_the_next_frame_of_the_item(separators):
    """
    Another event id and other audio are what may change from frame to frame.
    """
    layout = layout_of(encoded(separators))

    audio = layout.audio_in(encoded(separators, event_id="event_b2", delta="//8BAA=="))

    assert audio == b"\xff\xff\x01\x00"


@pytest.mark.parametrize("last", ["event_id", "type", "item_id", "extra"])
def test_layout_knows_no_order_of_fields(last):
    """
    Whatever order a service has, the next frame has it too.
    """
    first = {**AUDIO, "extra": None}
    first[last] = first.pop(last)
    second = {**first, "event_id": "event_c3", "delta": "AQID"}
    layout = layout_of(json.dumps(first).encode())

    audio = layout and layout.audio_in(json.dumps(second).encode())

    # Only if the id comes after the audio, there is no layout; then it takes the long way.
    assert audio == (None if last == "event_id" else b"\x01\x02\x03")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "response.output_audio.delt_"},
        {"response_id": "resp_2"},
        {"item_id": "item_2"},
        {"content_index": 1},
        {"output_index": 1},
        {"event_id": "event_longer"},
        {"event_id": 'event_"'},
        {"event_id": "event_é"},
        {"delta": "AAA"},
        {"delta": "AA=A"},
        {"delta": "AAAA\n"},
        {"delta": "AAAA AAAA"},
        {"delta": "AA-_"},
        {"delta": 'AAA"'},
        {"delta": 5},
        {"more": 1},
    ],
    ids=str,
)
def test_layout_leaves_every_other_frame_alone(changes):
    """
    A frame that differs in anything else is not for it to read.
    """
    assert layout_of(encoded()).audio_in(encoded(**changes)) is None


def test_quote_that_begins_the_audio_does_not_end_it():
    """
    A frame that breaks off where the audio begins has none, not even empty audio.
    """
    broken = encoded(delta="").replace(b'""}', b'"}')

    assert layout_of(encoded()).audio_in(broken) is None
    assert layout_of(encoded()).audio_in(encoded(delta="")) == b""


@pytest.mark.parametrize("byte", range(256))
def test_no_byte_that_is_not_base64_gets_through(byte):
    """
    Strict decoding keeps out what could end the string, or be something else than audio.
    """
    frame = encoded(delta="AA_A").replace(b"AA_A", b"AA" + bytes([byte]) + b"A")
    is_base64 = bytes([byte]).isalnum() or byte in b"+/"

    assert (layout_of(encoded()).audio_in(frame) is not None) == is_base64


@pytest.mark.parametrize(
    "frame",
    [
        encoded(item_id='item"1'),
        encoded(extra={"delta": "BBBB"}),
        encoded(extra=["x"]),
        encoded(event_id="é"),
        json.dumps({**AUDIO, "delta": AUDIO["delta"]}, separators=(",", " : ")).encode(),
        json.dumps({name: AUDIO[name] for name in AUDIO if name != "event_id"}).encode(),
    ],
)
def test_frame_that_is_not_plain_has_no_layout(frame):
    """
    Escapes, nested data and unusual spelling are left to the long way.
    """
    assert layout_of(frame) is None


@given(st.data())
def test_layout_never_says_more_than_the_long_way(data):
    """
    Flip, cut or insert bytes anywhere: what the layout reads is what the frame means.
    """
    frame = encoded()
    layout = layout_of(frame)
    at = data.draw(st.integers(0, len(frame)))
    cut = data.draw(st.integers(0, 3))
    changed = frame[:at] + data.draw(st.binary(max_size=3)) + frame[at + cut :]

    audio = layout.audio_in(changed)

    if audio is not None:
        (event,) = by_the_long_way(changed)
        assert (event.data, event.response_id, event.item_id) == (audio, "resp_1", "item_1")


TEXT = {
    "type": "response.output_text.delta",
    "event_id": "event_a1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hello",
    "obfuscation": "xyz",
}


@pytest.mark.parametrize(
    "frame_type",
    [
        "response.output_text.delta",
        "response.text.delta",
        "response.output_audio_transcript.delta",
        "response.audio_transcript.delta",
    ],
)
@pytest.mark.parametrize("without", [None, "obfuscation"])
def test_plain_delta_is_read(frame_type, without):
    """
    A delta as the services send it needs no other way.
    """
    data = {name: TEXT[name] for name in TEXT if name != without} | {"type": frame_type}

    event = read_plain(json.dumps(data).encode())

    assert (event.item_id, event.delta, event.response_id) == ("item_1", "Hello", "resp_1")


@pytest.mark.parametrize(
    "frame",
    [
        {**TEXT, "delta": "at 7:30"},
        {**TEXT, "delta": 5},
        {**TEXT, "output_index": "0"},
        {**TEXT, "more": 1},
        {**TEXT, "type": "response.output_text.done"},
        {name: TEXT[name] for name in TEXT if name != "content_index"},
        json.dumps(TEXT)[:-1] + ',"delta":"again"}',
        json.dumps(TEXT)[:-1] + ',"delta":"\\u003a"}',
        json.dumps({**TEXT, "obfuscation": ":"}),
        json.dumps(TEXT)[:-1],
        "5",
    ],
    ids=str,
)
def test_frame_with_anything_unusual_is_left_alone(frame):
    """
    The shortcut takes no frame that it would have to look at twice.
    """
    raw = frame if isinstance(frame, str) else json.dumps(frame)

    assert read_plain(raw.encode()) is None


def item_frame(type_="response.output_item.done", role="assistant", part=None, **changes):
    """
    Return a plain frame with a message of one part.
    """
    part = {"type": "output_audio", "transcript": "Hello"} if part is None else part
    item = {
        "id": "item_1",
        "type": "message",
        "status": "completed",
        "role": role,
        "content": [part],
    }
    place = (
        {"response_id": "resp_1", "output_index": 0}
        if type_.startswith("response")
        else {"previous_item_id": None}
    )
    return {"type": type_, "event_id": "event_a1", **place, "item": item, **changes}


@pytest.mark.parametrize(
    "type_",
    [
        "response.output_item.added",
        "response.output_item.done",
        "conversation.item.added",
        "conversation.item.created",
    ],
)
@pytest.mark.parametrize(
    ("role", "part"),
    [
        ("assistant", {"type": "output_audio", "transcript": "Hello", "audio": None}),
        ("assistant", {"type": "text", "text": "Hello"}),
        ("assistant", {"type": "output_text"}),
        ("user", {"type": "input_text", "text": "Hello"}),
        ("user", {"type": "input_image", "image_url": "data,", "detail": "low"}),
        ("user", {"type": "input_audio", "transcript": None}),
        ("system", {"type": "input_text", "text": "Hello"}),
    ],
)
def test_plain_message_is_read_as_the_long_way_reads_it(type_, role, part):
    """
    Both make the same item of any role and any part.
    """
    frame = json.dumps(item_frame(type_, role, part)).encode()

    event = read_plain(frame)

    assert event is not None
    assert [event] == by_the_long_way(frame)


@pytest.mark.parametrize(
    "frame",
    [
        item_frame(part={"type": "output_text", "text": "at 7:30"}),
        item_frame(part={"type": "output_text", "transcript": "another kind's"}),
        item_frame(part={"type": "hologram"}),
        item_frame(part={"type": "output_text", "text": 5}),
        item_frame(part={"type": "output_text", "text": "x", "annotations": []}),
        item_frame(role="developer"),
        item_frame(role="user"),
        item_frame(more=1),
        item_frame(item={"id": "item_1", "type": "function_call"}),
        json.dumps(item_frame())[:-1] + ',"event_id":"again"}',
        json.dumps(item_frame()).replace('"transcript"', '"transcript": "x", "transcript"'),
    ],
    ids=str,
)
def test_message_with_anything_unusual_is_left_alone(frame):
    """
    What would be lost, or might be read two ways, is for the long way.
    """
    raw = frame if isinstance(frame, str) else json.dumps(frame)

    assert read_plain(raw.encode()) is None


PLAIN = [
    json.dumps(each, separators=COMPACT).encode()
    for each in (
        TEXT,
        {**TEXT, "type": "response.output_audio_transcript.delta"},
        {
            "type": "response.function_call_arguments.delta",
            "event_id": "event_a1",
            "response_id": "resp_1",
            "item_id": "item_1",
            "output_index": 0,
            "call_id": "call_1",
            "delta": "{",
        },
        {
            "type": "conversation.item.input_audio_transcription.delta",
            "event_id": "event_a1",
            "item_id": "item_1",
            "content_index": 0,
            "delta": "Hello",
        },
        item_frame(),
        item_frame("conversation.item.added", "user", {"type": "input_text", "text": "Hello"}),
    )
]


@pytest.mark.parametrize("frame", PLAIN, ids=lambda frame: json.loads(frame)["type"])
def test_shortcut_reads_what_the_long_way_reads(frame):
    """
    There is a shortcut for each of these frames, and it changes nothing.
    """
    assert [read_plain(frame)] == by_the_long_way(frame)


@given(st.sampled_from(PLAIN), st.data())
def test_shortcut_never_says_more_than_the_long_way(frame, data):
    """
    Change a frame's bytes anywhere: what the shortcut reads is what the frame means.
    """
    at = data.draw(st.integers(0, len(frame)))
    cut = data.draw(st.integers(0, 3))
    inserted = data.draw(
        st.binary(max_size=3) | st.sampled_from([b'"delta":"x",', b'"text":"\\u003a",', b":"])
    )
    changed = frame[:at] + inserted + frame[at + cut :]

    event = read_plain(changed)

    if event is not None:
        assert [event] == by_the_long_way(changed)
