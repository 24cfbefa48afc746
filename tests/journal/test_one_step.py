"""
Frames that a decoder publishes in one step are recorded as those whose events are published.

The first way makes no raw events and cuts audio by its place; the second one knows neither.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.journal import FrameRecord, Recorder, Withholding, open_journal
from eventbus.wire.gemini import GeminiDecoder
from eventbus.wire.openai import GPTLiveDecoder, OpenAIRealtimeDecoder

DATA = Path(__file__).parents[1] / "data"

OPTIONS = [
    {},
    {"audio": False},
    {"content": False},
    {"redact": ["session.instructions", "delta"]},
    {"redact": [lambda plain: {**plain, "seen": True}]},
    {"events": "stored"},
]


def frames_in(name):
    """Return the frames of a recorded session, and some that can't be read."""
    lines = [line.encode() for line in (DATA / name).read_text("utf-8").splitlines()]
    middle = len(lines) // 2
    return [*lines[:middle], b"{", b'{"type": 5}', "\u00e9".encode(), *lines[middle:]]


def record(path, frames, publish, decoder, **options):
    """Record the frames, as *publish* publishes them; return the facts of each record."""
    bus = EventBus()
    bus.subscribe(repr, RealtimeModelAudioEvent)
    bus.subscribe(repr, RealtimeModelTranscriptDeltaEvent)
    bus.subscribe(repr, RealtimeModelExceptionEvent)
    with Recorder(path, **options) as recorder, recorder.attach(bus):
        for frame in frames:
            publish(decoder, bus, frame)
    facts = []
    for each in open_journal(path):
        fields = {
            field.name.lstrip("_"): getattr(each, field.name.lstrip("_"), None)
            for field in attrs.fields(type(each))
            if not field.name.endswith("_ns") and field.name not in {"journal_id", "source"}
        }
        exception = fields.get("type_name") == "exception" and fields.pop("document")
        facts.append((type(each), fields, exception and exception["exception"]["message"]))
    return facts


def in_one_step(decoder, bus, frame):
    decoder.publish_to(bus, frame, sender="call-1")


def event_by_event(decoder, bus, frame):
    for event in decoder.decode(frame):
        bus.publish(event, sender="call-1")


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "all")
@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("openai_barge_in.jsonl", OpenAIRealtimeDecoder),
        ("voice_live_audio_turn.jsonl", OpenAIRealtimeDecoder),
        ("gpt_live_types.jsonl", GPTLiveDecoder),
        ("gemini_barge_in.jsonl", GeminiDecoder),
        ("vertex_tool_call.jsonl", GeminiDecoder),
    ],
)
def test_both_ways_give_the_same_records(tmp_path, name, decoder, options):
    """
    Frames, events, causes and calls are the same, whatever is left out.
    """
    frames = frames_in(name)

    one = record(tmp_path / "one.journal", frames, in_one_step, decoder(), **options)
    each = record(tmp_path / "each.journal", frames, event_by_event, decoder(), **options)

    assert one == each
    assert sum(kind is FrameRecord for kind, *_ in one) == len(frames)


def test_raw_events_have_their_handlers_while_recorded(tmp_path):
    """
    A handler of raw events that comes or goes in mid-call gets them, and each frame is recorded.
    """
    bus, decoder, seen = EventBus(), OpenAIRealtimeDecoder(), []
    frames = frames_in("openai_audio_turn.jsonl")
    with Recorder(tmp_path / "call.journal") as recorder, recorder.attach(bus):
        for number, frame in enumerate(frames):
            if number == 5:
                subscription = bus.subscribe(seen.append, RealtimeModelRawServerEvent)
            elif number == 10:
                subscription.cancel()
            decoder.publish_to(bus, frame, sender="call-1")

    journal = open_journal(tmp_path / "call.journal")
    assert len(seen) == 5
    assert [record.data for record in journal.read(FrameRecord)] == frames
    assert bus.stats.unhandled > len(frames) - 5


PLAIN = st.text("abcXYZ019", min_size=1, max_size=12)
NAMES = st.sampled_from(
    ["event_id", "response_id", "item_id", "phone", "api_key", "note", "ts", "delta_2"]
)
VALUES = PLAIN | st.integers(0, 999) | st.sampled_from(['"', "\\", "key=1", "a:b", {}, ["x"]])
WITHHOLDINGS = st.sampled_from(
    [
        Withholding(),
        Withholding(audio=False),
        Withholding(content=False),
        Withholding(redact=["phone"]),
        Withholding(audio=False, redact=["item_id"]),
    ]
)


@given(
    withholding=WITHHOLDINGS,
    before=st.lists(st.tuples(NAMES, VALUES), max_size=4, unique_by=lambda pair: pair[0]),
    after=st.lists(st.tuples(NAMES, VALUES), max_size=2, unique_by=lambda pair: pair[0]),
    ids=st.lists(st.text("abcXYZ019-_", max_size=12), min_size=1, max_size=4),
    audio=st.binary(max_size=9),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_audio_is_cut_by_its_place_as_by_its_name(
    withholding, before, after, ids, audio, separators
):
    """
    A frame after another one of its form leaves the same as one that is taken apart.
    """
    form = None
    for event_id in ids:
        frame = {"type": "response.output_audio.delta", "event_id": event_id, **dict(before)}
        frame |= {"delta": base64.b64encode(audio).decode()}
        frame |= {name: value for name, value in after if name not in frame}
        data = json.dumps(frame, separators=separators).encode()

        left, problem, form = withholding.of_audio_frame(data, len(audio), form)

        wanted, wanted_problem = withholding.of_frame(data, "json")
        assert problem == wanted_problem
        assert json.loads(left) == json.loads(wanted)


@given(
    withholding=WITHHOLDINGS,
    audio=st.lists(st.text('AQ+/=\\"', max_size=8) | st.binary(max_size=9), min_size=2, max_size=5),
    after=st.lists(st.tuples(NAMES, VALUES), max_size=2, unique_by=lambda pair: pair[0]),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_audio_of_a_live_session_is_cut_by_its_place_as_by_its_name(
    withholding, audio, after, separators
):
    """
    A frame after another one of its form leaves the same as one that is taken apart.
    """
    form = None
    for number, each in enumerate(audio):
        delta = each if isinstance(each, str) else base64.b64encode(each).decode()
        frame = {"type": "response.output_audio.delta", "event_id": f"event_{number}"}
        frame |= {"delta": delta, **dict(after)}
        data = json.dumps(frame, separators=separators).encode()

        left, problem, form = withholding.of_raw_frame(data, form)

        wanted, wanted_problem = withholding.of_frame(data, "json")
        assert problem == wanted_problem
        assert json.loads(left) == json.loads(wanted)
