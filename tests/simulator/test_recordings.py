"""
Beside recordings of the real service: the same events in the same order, of the same shape.
"""

from __future__ import annotations

import json

import pytest

from eventbus.simulator import Scenario
from eventbus.simulator.scenario import Call, Turn
from tests.simulator.talk import Talk, silence, tone, types

# In each delta of the service, a random text that hides the delta's length from the network.
NOT_SENT = {"obfuscation"}
# Documented, and told by the simulator; the recorded account didn't get them.
NOT_RECORDED = {"rate_limits.updated"}
# Beside the answer, at any time.
TRANSCRIBED = {"transcription": {"model": "gpt-realtime-whisper"}}
TRANSCRIPT = "conversation.item.input_audio_transcription."


def recorded(corpus, name):
    lines = (corpus / f"{name}.frames.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def text_turn():
    talk = Talk(Scenario(turns=[Turn(say="Hello there, how are you today, my friend?")]))
    talk.update(audio={"input": TRANSCRIBED})
    talk.say("Say a short greeting.")
    talk.ask()
    talk.finish()
    return talk.frames


def tool_call():
    then = Turn(say="It is foggy and 12 degrees in London.")
    scenario = Scenario(turns=[Turn(call=Call("get_weather", {"city": "London"}), then=then)])
    talk = Talk(scenario)
    talk.update(output_modalities=["text"], audio={"input": TRANSCRIBED})
    talk.say("What is the weather in London?")
    talk.ask()
    call_id = talk.until("response.function_call_arguments.done")["call_id"]
    talk.finish()
    output = {"type": "function_call_output", "call_id": call_id, "output": "It is foggy."}
    talk.send("conversation.item.create", item=output)
    talk.ask()
    talk.finish()
    return talk.frames


def server_vad():
    talk = Talk(Scenario(turns=[Turn(hear="My name is Marcelo.", say="Hello, Marcelo! " * 4)]))
    talk.update(audio={"input": TRANSCRIBED})
    talk.append(silence(800) + tone(1_000) + silence(600))
    talk.finish()
    return talk.frames


def story(frames):
    """
    Return the order of the events, but for what may come at any time.

    Words and audio are mixed as their making goes, so the two count as one.
    """
    kept = [
        {"type": frame["type"].replace("_transcript.delta", ".delta")}
        for frame in frames
        if frame["type"] not in NOT_RECORDED and not frame["type"].startswith(TRANSCRIPT)
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


RECORDINGS = {
    "openai_text_in_audio_out": text_turn,
    "openai_tool_call": tool_call,
    "openai_server_vad": server_vad,
}


@pytest.mark.parametrize("name", RECORDINGS)
def test_order_is_the_services(corpus, name):
    """
    A turn, a tool call and a spoken turn have their events in the order of the recording.
    """
    assert story(RECORDINGS[name]()) == story(recorded(corpus, name))


@pytest.mark.parametrize("name", RECORDINGS)
def test_fields_are_the_services(corpus, name):
    """
    Each kind of event has the fields that the service sends, at every depth, and no others.
    """
    ours, theirs = {}, {}
    for frames, shapes in ((RECORDINGS[name](), ours), (recorded(corpus, name), theirs)):
        for frame in frames:
            sent = {key: value for key, value in frame.items() if key not in NOT_SENT}
            shapes.setdefault(frame["type"], set()).update(shape(sent))
    for type_ in NOT_RECORDED:
        ours.pop(type_, None)

    # Schemas of tools are the client's.
    for shapes in (ours, theirs):
        for type_ in ("session.created", "session.updated"):
            shapes[type_] = {p for p in shapes[type_] if not p.startswith(".session.tools[]")}
    assert ours == theirs
