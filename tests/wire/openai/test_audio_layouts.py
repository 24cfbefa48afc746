from __future__ import annotations

import base64
import json
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.events import RealtimeModelAudioEvent, RealtimeModelInputSpeechStartedEvent
from eventbus.wire.openai import OpenAIRealtimeDecoder, _audio_layouts
from eventbus.wire.openai._audio_layouts import MAX_LAYOUTS, AudioLayout, AudioLayouts

COMPACT = (",", ":")
SPACED = (", ", ": ")
EVENT = RealtimeModelAudioEvent(b"", "resp_1", "item_1", 0)

OPENAI = {
    "type": "response.output_audio.delta",
    "event_id": "event_a1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "AAAA",
}
VOICE_LIVE = {
    "event_id": "event_5ySYe4HO0CC49gK3lWmFtZ",
    "type": "response.audio.delta",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "AAAA",
}
XAI = {
    "type": "response.output_audio.delta",
    "event_id": "ed0ace42-3a00-4911-9810-d36cee99fb58",
    "item_id": "item_1",
    "response_id": "resp_1",
    "delta": "AAAA",
    "content_index": 0,
    "output_index": 0,
    "rid": "ffb63e79-0d1b-4c4a-ab10-9036e015a2a8",
    "latency": "0.65",
    "audio_duration_ms": 489,
    "ts": 1785214086092,
    "previous_item_id": None,
}
DIALECTS = [OPENAI, VOICE_LIVE, XAI]


def encoded(frame=OPENAI, separators=COMPACT, **changes):
    return json.dumps({**frame, **changes}, separators=separators).encode()


def layout_of(raw):
    return AudioLayout.of(raw, json.loads(raw), EVENT)


def audio_in(layout, frame):
    """
    Return the audio in a frame, if it is of the layout.
    """
    layouts = AudioLayouts()
    layouts.add(layout)
    event = layouts.event_in(frame)
    return None if event is None else event.data


def decoded(*frames):
    """
    Return the events of each frame of a session; errors as text, as no two of them are equal.
    """
    decoder = OpenAIRealtimeDecoder()
    return [
        [str(event.exception) if event.type == "exception" else event for event in events]
        for events in map(decoder.decode, frames)
    ]


def parsed(*frames):
    """
    Return the events of a decoder that parses every frame.
    """
    path = "eventbus.wire.openai._audio_layouts.AudioLayouts.event_in"
    with mock.patch(path, return_value=None):
        return decoded(*frames)


def audio_of(ms, byte=0):
    return base64.b64encode(bytes([byte]) * 48 * ms).decode()


# --- a layout --------------------------------------------------------------------------------


@pytest.mark.parametrize("separators", [COMPACT, SPACED])
@pytest.mark.parametrize(
    ("dialect", "changes"),
    [
        (OPENAI, {"event_id": "event_b2"}),
        (VOICE_LIVE, {"event_id": "event_SdrRMBTCaGLShvz8DhNb"}),
        (XAI, {"event_id": "5943d4fe-2520-428d-824f-53e091a12414", "ts": 3, "latency": "1"}),
    ],
    ids=["OpenAI", "Voice Live", "xAI"],
)
def test_layout_reads_the_next_frame_of_the_item(separators, dialect, changes):
    """
    The event's id, the audio and measurements behind it may change from frame to frame.
    """
    layout = layout_of(encoded(dialect, separators))

    audio = audio_in(layout, encoded(dialect, separators, delta="//8BAA==", **changes))

    assert audio == b"\xff\xff\x01\x00"


@pytest.mark.parametrize("last", ["event_id", "type", "item_id", "extra"])
def test_layout_works_for_any_order_of_fields(last):
    """
    Only a frame with its id behind the audio has no layout.
    """
    first = {**OPENAI, "extra": None}
    first[last] = first.pop(last)
    layout = layout_of(json.dumps(first).encode())

    audio = layout and audio_in(
        layout, json.dumps({**first, "event_id": "event_c3", "delta": "AQID"}).encode()
    )

    assert audio == (None if last == "event_id" else b"\x01\x02\x03")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "response.output_audio.delt_"},
        {"response_id": "resp_2"},
        {"item_id": "item_2"},
        {"content_index": 1},
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
@pytest.mark.parametrize("dialect", DIALECTS, ids=["OpenAI", "Voice Live", "xAI"])
def test_layout_leaves_every_other_frame_alone(dialect, changes):
    """
    A frame that differs in anything else is parsed.
    """
    assert audio_in(layout_of(encoded(dialect)), encoded(dialect, **changes)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"latency": 'a"'},
        {"latency": "\\"},
        {"latency": 0.65},
        {"latency": None},
        {"ts": "1"},
        {"ts": 1e300},
        {"ts": True},
        {"ts": [1]},
        {"previous_item_id": 4},
        {"rid": "é"},
    ],
    ids=str,
)
def test_value_of_another_kind_behind_the_audio_is_parsed(changes):
    """
    A pattern takes plain strings for strings and short numbers for numbers.
    """
    assert audio_in(layout_of(encoded(XAI)), encoded(XAI, **changes)) is None


@pytest.mark.parametrize("number", [b"01", b"1.", b".5", b"-", b"--1", b"1.2.3", b"+1", b"1e5"])
def test_malformed_number_behind_the_audio_is_parsed(number):
    """
    The shortcut accepts no number that a parser would refuse.
    """
    layout = layout_of(encoded(XAI, audio_duration_ms=777))

    assert audio_in(layout, encoded(XAI, audio_duration_ms=777).replace(b"777", number)) is None


def test_quote_that_begins_the_audio_does_not_end_it():
    """
    A frame that breaks off where the audio begins has none, not even empty audio.
    """
    broken = encoded(delta="").replace(b'""}', b'"}')

    assert audio_in(layout_of(encoded()), broken) is None
    assert audio_in(layout_of(encoded()), encoded(delta="")) == b""


def test_no_byte_that_is_not_base64_gets_through():
    """
    Strict decoding keeps out each byte that could end the string, or be something else than audio.
    """
    layout = layout_of(encoded())
    for byte in range(256):
        frame = encoded(delta="AA_A").replace(b"AA_A", b"AA" + bytes([byte]) + b"A")
        is_base64 = bytes([byte]).isalnum() or byte in b"+/"

        assert (audio_in(layout, frame) is not None) == is_base64, byte


@pytest.mark.parametrize(
    "frame",
    [
        encoded(item_id='item"1'),
        encoded(extra={"delta": "BBBB"}),
        encoded(extra=["x"]),
        encoded(event_id="é"),
        json.dumps(OPENAI, separators=(",", " : ")).encode(),
        json.dumps({name: OPENAI[name] for name in OPENAI if name != "event_id"}).encode(),
    ],
)
def test_frame_that_is_not_plain_has_no_layout(frame):
    """
    Frames with escapes, nested data and unusual spelling are parsed.
    """
    assert layout_of(frame) is None


@given(st.sampled_from(DIALECTS), st.sampled_from([COMPACT, SPACED]), st.data())
def test_layout_reads_no_more_than_a_parser_does(dialect, separators, data):
    """
    Flip, cut or insert bytes anywhere: the audio that a layout reads is that of the frame.
    """
    frame = encoded(dialect, separators)
    at = data.draw(st.integers(0, len(frame)))
    cut = data.draw(st.integers(0, 3))
    inserted = data.draw(
        st.binary(max_size=3) | st.sampled_from([b'"delta":"BBBB",', b'",', b'"ts":1,', b'","a":"'])
    )
    changed = frame[:at] + inserted + frame[at + cut :]

    audio = audio_in(layout_of(frame), changed)

    if audio is not None:
        ((_, event),) = parsed(changed)
        assert (event.data, event.response_id, event.item_id) == (audio, "resp_1", "item_1")


TAIL = list(XAI)[list(XAI).index("delta") + 1 :]
lacking = st.sets(st.sampled_from(TAIL), max_size=3)


def xai(lacks, separators=COMPACT, **changes):
    """
    Return a frame of xAI without some of the fields behind its audio.
    """
    return encoded({name: XAI[name] for name in XAI if name not in lacks}, separators, **changes)


@pytest.fixture
def tails(monkeypatch):
    """
    No patterns of tails, as if there had been no session yet.
    """
    monkeypatch.setattr(_audio_layouts, "_tails", _audio_layouts._Tails())


@pytest.mark.usefixtures("tails")
def test_pattern_is_for_all_tails_if_some_lack_fields_of_the_others():
    """
    From then on each layout takes frames with some of these fields, but in their order only.
    """
    for lacks in ({"latency"}, {"ts", "latency"}, set()):
        layout_of(xai(lacks))
    moved = dict(XAI)
    moved["rid"] = moved.pop("rid")

    layout = layout_of(xai({"latency", "ts"}))

    for lacks in (set(), {"latency"}, {"ts"}, {"latency", "ts"}):
        assert audio_in(layout, xai(lacks)) == b"\0\0\0"
    for frame in (xai({"rid"}), encoded(moved), encoded(XAI, new=1)):
        assert audio_in(layout, frame) is None


@pytest.mark.usefixtures("tails")
@pytest.mark.parametrize("fields", [{"n" * 600: 1}, {f"n{number}": 1 for number in range(100)}])
def test_no_pattern_is_made_of_a_long_tail(fields):
    """
    A service can't make a decoder spend more than about a millisecond on a pattern.
    """
    layout = layout_of(encoded(**fields))

    assert layout.matches_tail is None
    assert audio_in(layout, encoded(**fields)) == b"\0\0\0"
    assert audio_in(layout, encoded(**{**fields, next(iter(fields)): 2})) is None


@pytest.mark.usefixtures("tails")
def test_field_with_a_value_of_the_event_is_not_optional():
    """
    Without a content index it is 0, whatever it was in other frames.
    """
    audio = {"delta": audio_of(20)}
    frames = [xai(set(), content_index=1, **audio), xai({"content_index"}, **audio)]

    assert decoded(*frames * 2) == parsed(*frames * 2)


@pytest.mark.usefixtures("tails")
def test_pattern_with_a_name_that_is_in_front_of_the_audio_is_not_taken():
    """
    There it would let the name come twice.
    """
    for lacks in (set(), {"latency"}):
        layout_of(xai(lacks))
    latency_first = {"latency": "1", **{name: XAI[name] for name in XAI if name != "latency"}}
    place = b',"audio_duration_ms"'
    twice = encoded(latency_first).replace(place, b',"latency":"2"' + place)

    assert audio_in(layout_of(encoded(latency_first)), twice) is None


@given(
    st.lists(st.tuples(lacking, st.integers(0, 1)), max_size=5),
    lacking,
    st.sampled_from([COMPACT, SPACED]),
    st.data(),
)
def test_layouts_of_many_tails_read_no_more_than_a_parser_does(known, lacks, separators, data):
    """
    Also a field more, one that comes twice, and flipped bytes.
    """
    before = [xai(each, separators, content_index=index) for each, index in known]
    frame = xai(lacks, separators)
    at = data.draw(st.integers(0, len(frame)))
    commas = [place for place in range(len(frame)) if frame[place : place + 1] == b","]
    at = data.draw(st.sampled_from([at, *commas]))
    cut = data.draw(st.integers(0, 2))
    pairs = [b',"ts":1', b',"latency":"0.1"', b',"content_index":1', b',"a":"b"']
    inserted = data.draw(st.binary(max_size=2) | st.sampled_from([b"", *pairs]))
    changed = frame[:at] + inserted + frame[at + cut :]
    layouts = AudioLayouts()
    with mock.patch.object(_audio_layouts, "_tails", _audio_layouts._Tails()):
        for raw in before:
            ((_, event),) = parsed(raw)
            layouts.learn(raw, json.loads(raw), event)

        event = layouts.event_in(changed)

    if event is not None:
        ((_, alone),) = parsed(changed)
        assert alone == event


# --- the layouts of a session ----------------------------------------------------------------


@pytest.mark.usefixtures("tails")
def test_field_that_comes_now_and_then_does_not_end_the_shortcut():
    """
    Frames with and without a field are both recognised, once each has been parsed.
    """
    without = {name: XAI[name] for name in XAI if name != "latency"}
    frames = [encoded(XAI if n % 3 else without, ts=n, delta=audio_of(20, n)) for n in range(12)]
    made, original = [], AudioLayout.of

    with mock.patch.object(AudioLayout, "of", lambda *args: made.append(1) or original(*args)):
        events = decoded(*frames)

    assert events == parsed(*frames)
    assert len(made) == 2


@pytest.mark.parametrize("items", [1, 2, 5])
def test_layout_that_never_fits_is_not_made_for_every_frame(items):
    """
    Frames whose form changes each time are parsed, after a few tries for each item.
    """
    frames = [
        encoded(item_id=f"item_{n % items}", delta=audio_of(20), **{f"field_{n}": n})
        for n in range(60)
    ]
    made, original = [], AudioLayout.of

    with mock.patch.object(AudioLayout, "of", lambda *args: made.append(1) or original(*args)):
        events = decoded(*frames)

    assert events == parsed(*frames)
    assert len(made) == items * MAX_LAYOUTS


SPEECH = {"type": "input_audio_buffer.speech_started", "audio_start_ms": 5, "item_id": "item_9"}
SESSION = {
    "type": "session.updated",
    "session": {"turn_detection": {"type": "server_vad", "interrupt_response": True}},
}
DONE = {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}}


@given(
    st.lists(
        st.builds(
            encoded,
            st.sampled_from([*DIALECTS, OPENAI]),
            item_id=st.sampled_from(["item_1", "item_2"]),
            response_id=st.sampled_from(["resp_1", "resp_2"]),
            content_index=st.integers(0, 1),
            delta=st.sampled_from([audio_of(20), audio_of(20, 7), audio_of(4), "", "A"]),
        )
        | st.builds(
            xai,
            lacking,
            delta=st.sampled_from([audio_of(20), audio_of(20, 7), "A"]),
            previous_item_id=st.sampled_from([None, "item_0"]),
        )
        | st.sampled_from([encoded(SPEECH), encoded(SESSION), encoded(DONE)]),
        max_size=12,
    )
)
def test_shortcut_changes_no_event_of_a_session(frames):
    """
    Items, dialects, interruptions and broken audio may come in any order.
    """
    assert decoded(*frames) == parsed(*frames)


def test_interruption_names_the_item_that_the_shortcut_read_last():
    """
    Between items whose layouts are both known, the last audio counts.
    """
    decoder = OpenAIRealtimeDecoder()
    for item_id in ("item_1", "item_2", "item_1"):
        decoder.decode(encoded(item_id=item_id, delta=audio_of(20)))

    _, started, interrupted = decoder.decode(SPEECH)

    assert type(started) is RealtimeModelInputSpeechStartedEvent
    assert interrupted.item_id == "item_1"


def test_recorded_audio_is_read_alike(corpus):
    """
    Each recorded session of each dialect gives the same events with and without the shortcut.
    """
    for path in corpus.glob("*.frames.jsonl"):
        frames = [
            json.dumps(
                {**frame, "delta": frame["delta"] * 20}
                if frame.get("type", "").endswith("audio.delta")
                else frame,
                separators=COMPACT,
            ).encode()
            for frame in map(json.loads, path.read_text("utf-8").splitlines())
        ]

        assert decoded(*frames) == parsed(*frames), path
