"""
Beside recordings of real services: their clients' messages, sent to the simulator, are answered by
the same events in the same order, of the same shape. A difference is on a list, with its reason.
"""

from __future__ import annotations

import json
from collections import Counter

import attrs
import pytest

from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Call, Turn
from tests.simulator.talk import Talk, silence, tone, types

# Fields and events that the simulator doesn't send, or sends in addition, with the reason.
DIFFERENT_FIELDS = {
    "obfuscation": "a random text in each delta, which hides its length from the network",
}
OF_AZURE = {"content": "Azure sends the part of content_part.* twice, also as its content"}
DIFFERENT_EVENTS = {
    "rate_limits.updated": "documented, and recorded elsewhere after response.done; not here",
}
# Words may come at any time beside the answer, as their making goes.
TRANSCRIPTION = "conversation.item.input_audio_transcription."

# Recordings whose clients speak another dialect: the first message is refused with that code.
OTHER_DIALECTS = {
    "azure_voice_live_tool_call": "missing_required_parameter",  # beta settings: no session.type
    "xai_tool_call": "missing_required_parameter",  # beta settings beside those of GA
}
RECORDINGS = [
    "azure_text_in_audio_out",
    "openai_server_vad",
    "openai_text_in_audio_out",
    "openai_tool_call",
]


@attrs.frozen
class Recording:
    """
    A recorded session: frames with their direction, and what of it a scenario can perform.
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
        Return the scenario in which the model says and calls what it did in the recording.
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


def replayed(recording):
    """
    Send the client's messages of a recording, each after the event that came before it there.
    """
    talk, seen, calls = Talk(recording.scenario(), model="gpt-realtime"), Counter(), {}
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
            left_out = DIFFERENT_FIELDS | OF_AZURE
            kept = {key: value for key, value in frame.items() if key not in left_out}
            found.setdefault(frame["type"], set()).update(shape(kept))
    for type_ in ("session.created", "session.updated"):  # schemas of tools are the client's
        found[type_] = {p for p in found[type_] if not p.startswith(".session.tools[]")}
    return found


@pytest.mark.parametrize("name", RECORDINGS)
def test_client_of_a_recording_gets_what_it_got(corpus, name):
    """
    The same types follow each other, and each has the fields that the service sends, at any depth.
    """
    recording = Recording.read(corpus, name)
    frames = replayed(recording)

    assert story(frames) == story(recording.received)
    assert shapes(frames) == shapes(recording.received)


@pytest.mark.parametrize(("name", "code"), OTHER_DIALECTS.items())
def test_client_of_another_dialect_is_told(corpus, name, code):
    """
    Settings in the shape of another dialect are refused, with the field that is wrong.
    """
    recording = Recording.read(corpus, name)
    update = next(frame for is_sent, frame in recording.lines if is_sent)
    talk = Talk()

    [refusal] = talk.send(update["type"], session=update["session"])

    assert refusal["error"]["code"] == code


def test_every_recording_is_looked_at(corpus):
    """
    Each session of the corpus is compared, or on the list; those of Gemini are another protocol's.
    """
    names = {path.name.removesuffix(".session.jsonl") for path in corpus.glob("*.session.jsonl")}

    assert {name for name in names if not name.startswith("google_")} == {
        *RECORDINGS,
        *OTHER_DIALECTS,
    }
