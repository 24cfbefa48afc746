"""
Beside recordings of real services: their clients' messages, sent to the simulator, are answered by
the same events in the same order, of the same shape. A difference is on a list, with its reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import attrs
import pytest
from openai.types.realtime import RealtimeServerEvent

import eventbus.simulator
from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Call, Turn
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.simulator.talk import Talk, silence, tone, types

# Fields and events that the simulator doesn't send, or sends in addition, with the reason.
DIFFERENT_FIELDS = {
    "obfuscation": "a random text in each delta, which hides its length from the network",
    "latency": "xAI sends it with the first audio of some answers only",
}
DIFFERENT_EVENTS = {
    "rate_limits.updated": "documented, and recorded elsewhere after response.done; not here",
}
# Words may come at any time beside the answer, as their making goes.
TRANSCRIPTION = "conversation.item.input_audio_transcription."

# Name of a recording -> the dialect of its service.
RECORDINGS = {
    "azure_text_in_audio_out": "azure",
    "azure_voice_live_tool_call": "azure-voice-live",
    "openai_server_vad": "openai",
    "openai_text_in_audio_out": "openai",
    "openai_tool_call": "openai",
    "xai_tool_call": "xai",
}

# Events that the simulator sends and no recording has: those of these tests, by the SDK's types.
NOT_RECORDED = {
    "conversation.item.deleted": "test_conversation",
    "conversation.item.input_audio_transcription.failed": "test_listener",
    "conversation.item.retrieved": "test_conversation",
    "conversation.item.truncated": "test_conversation",
    "error": "test_validation",
    "input_audio_buffer.cleared": "test_listener",
    "input_audio_buffer.dtmf_event_received": "test_playout: only a call over SIP has it",
    "input_audio_buffer.timeout_triggered": "test_listener",
    "output_audio_buffer.cleared": "test_playout: only WebRTC and SIP have it",
    "output_audio_buffer.started": "test_playout: only WebRTC and SIP have it",
    "output_audio_buffer.stopped": "test_playout: only WebRTC and SIP have it",
    "rate_limits.updated": "test_responses: the recordings were stripped of it",
}


@attrs.frozen
class Recording:
    """
    A recorded session: frames with their direction, and the part that a scenario can perform.
    """

    lines: list[tuple[bool, dict]]

    @classmethod
    def read(cls, corpus, name):
        text = (corpus / f"{name}.session.jsonl").read_text(encoding="utf-8")
        envelopes = map(json.loads, text.splitlines())
        return cls([(each["direction"] == "sent", each["frame"]) for each in envelopes])

    @property
    def received(self):
        return [frame for is_sent, frame in self.lines if not is_sent]

    def scenario(self):
        """
        Return the scenario in which the model says and calls the same as in the recording.
        """
        heard = [f["transcript"] for f in self.received if f["type"] == f"{TRANSCRIPTION}completed"]
        turn = None
        for frame in reversed(self.received):
            if frame["type"] == "response.done":
                turn = self._turn(frame["response"]["output"], turn)
        return Scenario(turns=[attrs.evolve(turn, hear=heard[0] if heard else None)])

    @staticmethod
    def _turn(output, then):
        said, calls = None, []
        for item in output:
            if item["type"] == "function_call":
                calls.append(Call(item["name"], item["arguments"]))
            else:
                part = item["content"][0]
                said = part.get("text", part.get("transcript"))
        return Turn(say=said, call=calls, then=then if calls else None)


def talk_of(recording, dialect):
    return Talk(recording.scenario(), model="gpt-realtime", dialect=dialect)


def replayed(recording, dialect):
    """
    Send the client's messages of a recording, each after the event that came before it there.
    """
    talk, seen, calls = talk_of(recording, dialect), Counter(), {}
    awaited, is_silent = None, True
    for is_sent, frame in recording.lines:
        if not is_sent:
            seen[frame["type"]] += 1
            if not frame["type"].endswith(".delta"):  # of these, more or fewer may come
                awaited = frame["type"]
            continue
        while Counter(f["type"] for f in talk.frames)[awaited] < seen[awaited]:
            assert talk.service.deadline is not None, f"{awaited} never comes"
            talk.step()
        message = {key: value for key, value in frame.items() if key != "event_id"}
        if message["type"] == "input_audio_buffer.append":
            # Recorded audio is cut to a few samples; a turn of speech stands for all of it.
            if is_silent:
                is_silent = False
                talk.append(silence(800) + tone(1_000) + silence(600))
            continue
        item = message.get("item", {})
        if item.get("type") == "function_call_output":
            theirs = [f for f in recording.received if "call_id" in f]
            ours = [f for f in talk.frames if f["type"] == "response.function_call_arguments.done"]
            calls[theirs[-1]["call_id"]] = ours[-1]["call_id"]
            message = {**message, "item": {**item, "call_id": calls[item["call_id"]]}}
        talk.send(message.pop("type"), **message)
    talk.finish()
    return talk.frames


def story(frames):
    """
    Return the order of the events, but for those that may come at any time.

    Words and audio are mixed as their making goes, so the two count as one.
    """
    kept = [
        {"type": frame["type"].replace("_transcript.delta", ".delta")}
        for frame in frames
        if frame["type"] not in DIFFERENT_EVENTS and not frame["type"].startswith(TRANSCRIPTION)
    ]
    return types(kept)


def shape(value, path=""):
    """
    Return the paths of all fields.
    """
    if isinstance(value, dict):
        fields = [shape(element, f"{path}.{name}") for name, element in value.items()]
        return {path}.union(*fields)
    if isinstance(value, list):
        return {path}.union(*(shape(element, f"{path}[]") for element in value))
    return {path}


def shapes(frames):
    """
    Return the fields of each type of event.
    """
    found = {}
    for frame in frames:
        if frame["type"] not in DIFFERENT_EVENTS:
            kept = {k: v for k, v in frame.items() if k not in DIFFERENT_FIELDS}
            found.setdefault(frame["type"], set()).update(shape(kept))
    for type_ in ("session.created", "session.updated"):  # schemas of tools are the client's
        found[type_] = {p for p in found[type_] if not p.startswith(".session.tools[]")}
    return found


@pytest.mark.parametrize(("name", "dialect"), RECORDINGS.items())
def test_client_of_a_recording_gets_what_it_got(corpus, name, dialect):
    """
    The same types follow each other, and each has the fields that the service sends, at any depth.
    """
    recording = Recording.read(corpus, name)
    frames = replayed(recording, dialect)

    assert story(frames) == story(recording.received)
    assert shapes(frames) == shapes(recording.received)


@pytest.mark.parametrize("name", ["azure_voice_live_tool_call", "xai_tool_call"])
def test_client_of_another_dialect_is_told(corpus, name):
    """
    Settings in the shape of another dialect are refused, with the field that is wrong.
    """
    recording = Recording.read(corpus, name)
    update = next(frame for is_sent, frame in recording.lines if is_sent)
    talk = Talk()

    [refusal] = talk.send(update["type"], session=update["session"])

    assert refusal["error"]["code"] == "missing_required_parameter"
    assert refusal["error"]["param"] == "session.type"


@pytest.mark.parametrize(("name", "dialect"), RECORDINGS.items())
def test_frames_decode_as_the_recorded_ones(corpus, name, dialect):
    """
    Of each type of frame, the decoder makes events of the same classes as of the service's.
    """
    recording = Recording.read(corpus, name)

    assert classes(replayed(recording, dialect)) == classes(recording.received)


def classes(frames):
    """
    Return the classes of the decoder's events by the type of the frame.
    """
    decoder, found = OpenAIRealtimeDecoder(), {}
    for frame in frames:
        events = decoder.decode(json.dumps(frame).encode())
        if frame["type"] not in DIFFERENT_EVENTS:
            found.setdefault(frame["type"], set()).update(type(event) for event in events)
    return found


def test_every_recording_is_looked_at(corpus):
    """
    Each session of the corpus is compared; those of Gemini are another protocol's.
    """
    names = {path.name.removesuffix(".session.jsonl") for path in corpus.glob("*.session.jsonl")}

    assert {name for name in names if not name.startswith("google_")} == RECORDINGS.keys()


def test_each_event_was_recorded_or_is_on_the_list(corpus):
    """
    Each type of event that the simulator's source emits occurs in a recording, or on a list.
    """
    folder = Path(eventbus.simulator.__file__).parent / "_service"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    emitted = set(
        re.findall(r'"((?:session|conversation|response|input_|output_|rate_)[a-z_.]+)"', source)
    )
    known = {
        event.model_fields["type"].annotation.__args__[0]
        for event in get_args(get_args(RealtimeServerEvent)[0])
    }
    recorded = {
        frame["type"] for name in RECORDINGS for frame in Recording.read(corpus, name).received
    }

    assert (emitted | {"error"}) & known - recorded == NOT_RECORDED.keys() - recorded
    assert not NOT_RECORDED.keys() & recorded
