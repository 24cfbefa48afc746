"""
The decoder beside the openai-agents SDK, on the same frames.

Both get the frames of `tests/data`. The SDK's events must be given by the decoder
too: same classes, same order, same value of every field that both have. There
are two kinds of exceptions, and no others:

* `SYSTEMATIC`: differences that can be in any session, each as a function that
  takes it out of a comparison;
* `DEVIATIONS`: frames, most of them irregular, on which both are shown to differ.

``docs/explanation/openai-decoder.md`` explains each under the same name.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from eventbus.wire.openai import OpenAIRealtimeDecoder
from eventbus.wire.openai._decoder import TABLE

pytest.importorskip("agents")

import pydantic
from agents.realtime import model_events as theirs
from agents.realtime.model import RealtimeModelListener
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from openai.types.realtime.realtime_server_event import RealtimeServerEvent

ROOT = Path(__file__).parents[3]
SESSIONS = sorted((ROOT / "tests" / "data").glob("openai_*.jsonl"))
PAGE = ROOT / "docs" / "explanation" / "openai-decoder.md"


# --- the events of both for frames ----------------------------------------------------------


class Socket:
    """Takes the SDK's messages, and sends nothing."""

    async def send(self, data: str) -> None:
        json.loads(data)


class Listener(RealtimeModelListener):
    def __init__(self) -> None:
        self.events: list[Any] = []

    async def on_event(self, event: Any) -> None:
        self.events.append(event)


def emitted_by_the_sdk(frames):
    """
    Return a list of events for each frame, from the SDK's own handling of it.
    """

    async def run():
        model = OpenAIRealtimeWebSocketModel()
        model._websocket = Socket()
        listener = Listener()
        model.add_listener(listener)
        emitted = []
        for frame in frames:
            listener.events = []
            try:
                await model._handle_ws_event(json.loads(json.dumps(frame)))
            except Exception as exc:  # noqa: BLE001  # as its receiving loop does
                listener.events.append(theirs.RealtimeModelExceptionEvent(exception=exc))
            emitted.append(listener.events)
        return emitted

    return asyncio.run(run())


def decoded(frames):
    """
    Return a list of events for each frame, from one decoder.
    """
    decoder = OpenAIRealtimeDecoder()
    return [list(decoder.decode(json.dumps(frame))) for frame in frames]


def plain(value):
    """
    Return *value* as plain data, for classes of any library.
    """
    if attrs.has(type(value)):
        return {name: plain(getattr(value, name)) for name in attrs.fields_dict(type(value))}
    if isinstance(value, pydantic.BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if dataclasses.is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def in_common(left, right):
    """
    Return both without the fields that only one of them has.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {name: in_common(left[name], right[name]) for name in left.keys() & right.keys()}
        return tuple({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = [in_common(*each) for each in zip(left, right, strict=True)]
        return tuple([pair[side] for pair in pairs] for side in (0, 1))
    return left, right


def names(events):
    """
    Return the names of the classes, shortened.
    """
    return [
        type(event).__name__.removeprefix("RealtimeModel").removesuffix("Event") for event in events
    ]


# --- the differences that can be in any session ----------------------------------------------


def own_classes(_frame, emitted, events):
    """
    Frames that the SDK drops have classes of ours.
    """
    return emitted, [event for event in events if hasattr(theirs, type(event).__name__)]


def other(_frame, emitted, events):
    """
    A frame without a class is Other; the SDK emits nothing.
    """
    return emitted, [event for event in events if names([event]) != ["Other"]]


def previous_item_id(frame, emitted, events):
    """
    The SDK keeps it of one type of frame only, and makes "" of null there.
    """
    for event in emitted:
        target = getattr(event, "item", event)
        if hasattr(target, "previous_item_id"):
            target.previous_item_id = frame.get("previous_item_id")
    return emitted, events


SYSTEMATIC = [own_classes, other, previous_item_id]


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_decoder_gives_what_the_sdk_emits(path):
    """
    Apart from the systematic differences, no event and no field differs.
    """
    frames = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    # One difference is a matter of the whole session, and has a test of its own.
    frames = [
        frame for frame in frames if frame.get("event_id") not in LATE_AUDIO.get(path.stem, ())
    ]

    for frame, emitted, events in zip(
        frames, emitted_by_the_sdk(frames), decoded(frames), strict=True
    ):
        for difference in SYSTEMATIC:
            emitted, events = difference(frame, emitted, events)  # noqa: PLW2901
        assert names(events) == names(emitted), frame
        for left, right in zip(events, emitted, strict=True):
            our_fields, their_fields = in_common(plain(left), plain(right))
            assert our_fields == their_fields


# The audio that comes after the user has interrupted its response: event ids by session.
LATE_AUDIO = {"openai_barge_in": ["event_0013"]}


def test_difference_late_audio():
    """
    Late audio of an interrupted response is played by the SDK's listeners, and fenced by us.
    """
    lines = (ROOT / "tests" / "data" / "openai_barge_in.jsonl").read_text("utf-8").splitlines()
    frames = [json.loads(line) for line in lines]

    differing = [
        frame["event_id"]
        for frame, emitted, events in zip(
            frames, emitted_by_the_sdk(frames), decoded(frames), strict=True
        )
        if "Audio" in names(emitted) and "Audio" not in names(events)
    ]

    assert differing == LATE_AUDIO["openai_barge_in"]


# --- irregular frames, on which both differ --------------------------------------------------


@attrs.frozen
class Deviation:
    """Frames, and the events after the raw one for the last of them: the SDK's and ours."""

    name: str
    frames: list[dict[str, Any]]
    sdk: list[str]
    ours: list[str]


DELTA = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
CALL = {
    "id": "i", "type": "function_call", "status": "completed",
    "name": "find_order", "call_id": "c", "arguments": "{}",
}  # fmt: skip
RESPONSE = {"object": "realtime.response", "id": "r", "status": "completed", "output": []}
OUTPUT_ITEM = {"event_id": "e", "response_id": "r", "output_index": 0}
DEVIATIONS = [
    Deviation(
        "unknown type",
        [{"type": "vendor.news", "event_id": "e"}],
        ["Error"],
        ["Other"],
    ),
    Deviation(
        "unreadable field",
        [{"type": "response.output_text.delta", **DELTA, "delta": 5}],
        ["Error"],
        ["Exception"],
    ),
    Deviation(
        "unneeded field",
        [{"type": "response.output_text.delta", **DELTA, "delta": "x", "output_index": "first"}],
        ["Error"],
        ["OutputTextDelta"],
    ),
    Deviation(
        "missing index",
        [{"type": "response.output_audio.done", "event_id": "e", "item_id": "i"}],
        ["Error"],
        ["AudioDone"],
    ),
    Deviation(
        "strict base64",
        [{"type": "response.output_audio.delta", **DELTA, "delta": "AA AA!"}],
        ["Audio"],
        ["Exception"],
    ),
    Deviation(
        "beta names",
        [{"type": "response.text.delta", **DELTA, "delta": "x"}],
        ["Error"],
        ["OutputTextDelta"],
    ),
    Deviation(
        "turn always ends",
        [{"type": "response.done", "event_id": "e", "response": None}],
        ["Error"],
        ["Exception", "TurnEnded"],
    ),
    Deviation(
        "top-level usage",
        [
            {
                "type": "response.done",
                "event_id": "e",
                "response": RESPONSE,
                "usage": {"input_tokens": 1, "output_tokens": 2},
            }
        ],
        ["TurnEnded"],
        ["Usage", "TurnEnded"],
    ),
    Deviation(
        "one tool call",
        [
            {"type": "response.output_item.added", **OUTPUT_ITEM, "item": CALL},
            {"type": "response.output_item.done", **OUTPUT_ITEM, "item": CALL},
        ],
        ["ItemUpdated", "ToolCall"],
        ["ItemUpdated"],
    ),
    Deviation(
        "tolerant items",
        [
            {
                "type": "conversation.item.added",
                "event_id": "e",
                "item": {
                    "id": "i",
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "hologram"}, {"type": "text", "text": "x"}],
                },
            }
        ],
        ["Error"],
        ["ItemUpdated"],
    ),
    Deviation(
        "error without description",
        [{"type": "error", "event_id": "e", "error": "It broke."}],
        ["Error"],  # of class ValidationError, not the service's own
        ["Error"],
    ),
]


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.name)
def test_deviation_is_real(deviation):
    """
    On these frames, the SDK and the decoder differ as listed.
    """
    assert names(emitted_by_the_sdk(deviation.frames)[-1][1:]) == deviation.sdk
    assert names(decoded(deviation.frames)[-1][1:]) == deviation.ours


def test_difference_input_parts_of_output_items():
    """
    Of a user's message in an output item, the SDK drops the parts, and we keep them.
    """
    item = {"id": "i", "type": "message", "role": "user"}
    item["content"] = [{"type": "input_text", "text": "x"}]
    frames = [{"type": "response.output_item.done", **OUTPUT_ITEM, "item": item}]

    assert emitted_by_the_sdk(frames)[0][1].item.content == []
    assert [part.text for part in decoded(frames)[0][1].item.content] == ["x"]


def test_difference_reasoning_tokens():
    """
    The SDK leaves them at 0; we take them from the frame.
    """
    usage = {"output_tokens": 9, "output_token_details": {"reasoning_tokens": 7}}
    frames = [{"type": "response.done", "event_id": "e", "response": {**RESPONSE, "usage": usage}}]

    their_usage = emitted_by_the_sdk(frames)[0][1].usage
    our_usage = decoded(frames)[0][1].usage

    assert their_usage.output_tokens_details.reasoning_tokens == 0
    assert our_usage.output_tokens_details.reasoning_tokens == 7


def test_difference_partial_transcripts():
    """
    The SDK takes each of xAI's partial transcripts for the completed one; we tell them apart.
    """
    kind = "conversation.item.input_audio_transcription.completed"
    usage = {"type": "duration", "seconds": 1}
    fields = {"event_id": "e", "item_id": "i", "content_index": 0, "usage": usage}
    frames = [{"type": kind, **fields, "transcript": "Is", "status": "in_progress"}]

    assert names(emitted_by_the_sdk(frames)[0])[1:] == ["InputAudioTranscriptionCompleted"]
    assert names(decoded(frames)[0])[1:] == ["InputTranscriptUpdated"]


def test_difference_item_status():
    """
    The SDK has a user's status as an extra attribute, we as a field.
    """
    item = {"id": "i", "type": "message", "role": "user", "status": "completed", "content": []}
    frames = [
        {"type": "conversation.item.added", "event_id": "e", "previous_item_id": "", "item": item}
    ]

    theirs, ours = emitted_by_the_sdk(frames)[0][1].item, decoded(frames)[0][1].item

    assert "status" not in type(theirs).model_fields
    assert (ours.status, dict(ours.extra)) == ("completed", {})


def test_docs_have_the_same_list():
    """
    The page has a section for every difference, and for nothing else.
    """
    listed = {deviation.name for deviation in DEVIATIONS}
    listed |= {difference.__name__.replace("_", " ") for difference in SYSTEMATIC}
    listed |= {
        name.removeprefix("test_difference_").replace("_", " ")
        for name in globals()
        if name.startswith("test_difference_")
    }
    text = PAGE.read_text("utf-8").partition("## Differences from openai-agents")[2]
    explained = {line[4:] for line in text.splitlines() if line.startswith("### ")}

    assert explained == {name[0].upper() + name[1:] for name in listed}


def test_docs_say_what_each_frame_gives():
    """
    The events that the page lists for a type are those that its frames give, in that order.
    """
    section = PAGE.read_text("utf-8").partition("## Events of each frame")[2]
    rows = [row.split("|")[1:3] for row in section.splitlines() if row.startswith("| `")]
    promised = {
        type_: re.findall(r"\b(?:[A-Z][a-z]+)+\b", cell)
        for types, cell in rows
        for type_ in re.findall(r"`([^`]+)`", types)
    }
    lines = (ROOT / "tests" / "data" / "openai_ga_types.jsonl").read_text("utf-8").splitlines()
    frames = [json.loads(line) for line in lines]

    assert set(promised) == GA_TYPES
    for frame, events in zip(frames, decoded(frames), strict=True):
        words = iter(promised[frame["type"]])
        assert all(name in words for name in names(events)[1:]), frame


# --- openai's own types ----------------------------------------------------------------------

SERVER_EVENTS = get_args(get_args(RealtimeServerEvent)[0])
GA_TYPES = {get_args(each.model_fields["type"].annotation)[0] for each in SERVER_EVENTS}


def test_no_type_is_missing():
    """
    Each type in openai's union of server events is in the table.
    """
    assert len(GA_TYPES) == 46
    assert TABLE.keys() >= GA_TYPES


def test_every_type_has_a_frame():
    """
    No type goes without a frame that the tests decode.
    """
    path = ROOT / "tests" / "data" / "openai_ga_types.jsonl"
    lines = path.read_text("utf-8").splitlines()

    assert {json.loads(line)["type"] for line in lines} == GA_TYPES


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_frames_are_what_the_service_sends(path):
    """
    Every frame is accepted by openai's own models, without converting anything.
    """
    adapter = pydantic.TypeAdapter(RealtimeServerEvent)
    for line in path.read_text("utf-8").splitlines():
        frame = json.loads(line)
        if frame.get("previous_item_id", "") is None:
            frame["previous_item_id"] = ""  # the service sends null, which the models don't know
        adapter.validate_json(json.dumps(frame), strict=True)
