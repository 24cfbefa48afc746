"""
The dialects of Azure, Azure Voice Live and xAI: settings that are accepted, frames that are sent.

The recordings of their sessions are in ``test_recordings``.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from pydantic import TypeAdapter

from eventbus import ScenarioError
from eventbus.simulator import Simulator, load_scenario
from eventbus.simulator._service.dialects.forms import AZURE_DATED, FORMS
from eventbus.wire.openai import DIALECTS, OpenAIRealtimeDecoder
from tests.simulator.talk import Talk, error, one, silence, tone
from tests.simulator.test_conformance import JSON

SCENARIO = {
    "turns": [
        {"hear": "Good morning", "say": "Good morning, caller."},
        {"when": "order", "call": {"tool": "find", "arguments": {}}, "then": "It is {output}"},
    ]
}
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}
THRESHOLD = "session.turn_detection.threshold"
BETA_EVENTS = TypeAdapter(BetaServerEvent)

GA_SETTINGS = {
    "type": "realtime",
    "tools": [TOOL],
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}

# The settings of a client that is written for the service.
SETTINGS = {
    AZURE_DATED: {
        "modalities": ["text", "audio"],
        "instructions": "Be brief.",
        "voice": "alloy",
        "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "whisper-1"},
        "turn_detection": {"type": "server_vad", "threshold": 0.4},
        "tools": [TOOL],
        "tool_choice": "auto",
        "temperature": 0.7,
        "max_response_output_tokens": 400,
    },
    "azure-voice-live": {
        "instructions": "Be brief.",
        "voice": {"name": "en-US-Ava:DragonHDLatestNeural", "type": "azure-standard"},
        "input_audio_sampling_rate": 24_000,
        "input_audio_transcription": {"model": "azure-speech", "language": "en"},
        "input_audio_noise_reduction": {"type": "azure_deep_noise_suppression"},
        "input_audio_echo_cancellation": {"type": "server_echo_cancellation"},
        "turn_detection": {
            "type": "azure_semantic_vad",
            "threshold": 0.3,
            "silence_duration_ms": 200,
            "remove_filler_words": False,
            "end_of_utterance_detection": {"model": "semantic_detection_v1"},
        },
        "tools": [TOOL],
    },
    "xai": {
        "voice": "Eve",
        "instructions": "Be brief.",
        "turn_detection": {"type": "server_vad"},
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "grok-transcribe"},
            }
        },
        "tools": [TOOL, {"type": "web_search"}],
    },
}


def talk_of(dialect):
    """
    Return a talk in which the client has sent its settings.
    """
    talk = Talk(load_scenario(SCENARIO), dialect=dialect)
    settings = SETTINGS.get(dialect, GA_SETTINGS)
    talk.send("session.update", session=settings)
    return talk


def performed(dialect):
    """
    Return all frames of a spoken turn, a tool round and a cancelled answer.
    """
    talk = talk_of(dialect)
    talk.append(silence(300) + tone(900) + silence(1_000))
    talk.finish()
    talk.say("Where is my order?")
    talk.send("response.create")
    talk.finish()
    call = next(f for f in talk.frames if f["type"] == "response.function_call_arguments.done")
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": "here"}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create")
    is_old = dialect in {AZURE_DATED, "azure-voice-live"}
    talk.until("response.audio.delta" if is_old else "response.output_audio.delta")
    talk.send("response.cancel")
    talk.finish()
    return talk.frames


def test_dialects_are_those_of_the_table():
    """
    Each dialect but the dated one of Azure is a row of the decoder's table, and of a scenario.
    """
    names = FORMS.keys() - {AZURE_DATED}

    assert names <= DIALECTS.keys()
    assert {load_scenario({"dialect": name}).dialect for name in names} == names


def test_other_dialect_is_a_mistake():
    """
    A scenario with another dialect names those that there are.
    """
    with pytest.raises(ScenarioError, match=r"dialect is one of openai, azure, .*not 'qwen'"):
        load_scenario({"dialect": "qwen"})


def decoded(dialect):
    """
    Return the classes of the events that the decoder makes of all frames, but for those as such.
    """
    decoder = OpenAIRealtimeDecoder()
    frames = [json.dumps(frame).encode() for frame in performed(dialect)]
    classes = {type(event).__name__ for frame in frames for event in decoder.decode(frame)}
    return classes - {"RealtimeModelOtherEvent"}


# Events that a service's frames bring and OpenAI's don't, and the other way round.
DECODED = {
    AZURE_DATED: set(),
    "azure": set(),
    "azure-voice-live": {"-RealtimeModelRateLimitsEvent"},
    "xai": {
        "-RealtimeModelRateLimitsEvent",
        "-RealtimeModelInputTranscriptDeltaEvent",
        "RealtimeModelInputTranscriptUpdatedEvent",
    },
}


@pytest.mark.parametrize(("dialect", "difference"), DECODED.items())
def test_frames_decode_to_the_events_of_openai(dialect, difference):
    """
    The decoder makes events of the same classes of each dialect, but for those on the list.
    """
    ours, openai = decoded(dialect), decoded("openai")

    assert {*(ours - openai), *(f"-{name}" for name in openai - ours)} == difference


def test_dated_azure_sends_the_beta_protocol():
    """
    The types of the SDK for the beta protocol accept every frame, with no field that they lack.
    """
    frames = performed(AZURE_DATED)

    for frame in frames:
        event = BETA_EVENTS.validate_python(frame)
        assert event.type == frame["type"]
    assert {"response.audio.delta", "conversation.item.created"} <= {f["type"] for f in frames}
    assert "conversation.item.added" not in {f["type"] for f in frames}


@pytest.mark.parametrize("dialect", SETTINGS)
def test_settings_are_shown_as_they_were_given(dialect):
    """
    ``session.updated`` has each of the client's settings, in the service's shape.
    """
    talk = talk_of(dialect)
    session = one(talk.frames, "session.updated")["session"]
    given = dict(SETTINGS[dialect])
    assert session["instructions"] == given["instructions"]
    if dialect == "xai":
        assert session["voice"] == "Eve"
        assert session["tools"][0]["function"]["name"] == "find"
        assert session["tools"][1] == {"type": "web_search"}
        assert session["audio"]["input"]["transcription"] == {"model": "grok-transcribe"}
        return
    for name in ("voice", "tools", "input_audio_noise_reduction"):
        if name in given:
            assert session[name] == given[name]
    for name in ("turn_detection", "input_audio_transcription"):
        assert given[name].items() <= session[name].items()


@pytest.mark.parametrize("dialect", [AZURE_DATED, "azure-voice-live"])
@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "realtime"}, "session.type"),
        ({"audio": {"output": {"voice": "alloy"}}}, "session.audio"),
        ({"output_modalities": ["text"]}, "session.output_modalities"),
        ({"turn_detection": {"type": "server_vad", "threshold": 3}}, THRESHOLD),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
    ],
)
def test_settings_of_ga_are_refused(dialect, session, param):
    """
    A field that the flat protocol lacks, and a wrong value, are named as the client wrote them.
    """
    refusal = error(Talk(dialect=dialect).send("session.update", session=session))

    assert refusal["param"] == param
    assert param in refusal["message"] or session["input_audio_format"] in refusal["message"]


def test_refused_settings_are_not_shown_later():
    """
    The settings of an update that was refused have no effect on the next one's event.
    """
    talk = Talk(dialect="azure-voice-live")
    talk.send("session.update", session={"voice": "coral", "unknown": 1})
    [updated] = talk.send("session.update", session={"instructions": "Hello."})

    assert updated["session"]["voice"] == {"name": "alloy", "type": "openai"}


def test_deployment_is_not_changed_by_the_model_of_an_update():
    """
    With Azure the URL's deployment decides, so the model of an update is no mistake.
    """
    talk = Talk(dialect="azure", model="my-deployment")
    [updated] = talk.update(model="gpt-realtime")

    assert updated["session"]["model"] == "my-deployment"


def test_xai_ignores_the_messages_that_it_lacks():
    """
    ``conversation.item.truncate`` has no answer there, not even an error.
    """
    talk = Talk(dialect="xai")

    truncate = {"item_id": "item_1", "content_index": 0, "audio_end_ms": 10}
    assert talk.send("conversation.item.truncate", **truncate) == []


def test_xai_tells_all_words_so_far():
    """
    The transcript of the caller comes cumulated, before it is completed.
    """
    frames = performed("xai")
    prefix = "conversation.item.input_audio_transcription."
    updated = [f["transcript"] for f in frames if f["type"] == f"{prefix}updated"]

    assert updated == ["Good", "Good morning"]
    assert one(frames, f"{prefix}completed")["transcript"] == "Good morning"


def test_xai_detects_no_turns_until_it_is_asked():
    """
    A session of xAI begins without turn detection.
    """
    talk = Talk(dialect="xai")
    assert talk.append(silence(300) + tone(900) + silence(1_000)) == []

    talk.send("session.update", session={"turn_detection": {"type": "server_vad"}})
    heard = talk.append(silence(300) + tone(900) + silence(1_000))

    assert heard[0]["type"] == "input_audio_buffer.speech_started"


@pytest.mark.parametrize(
    ("dialect", "path"),
    [("azure", "/openai/v1"), ("azure-voice-live", "/voice-live"), ("xai", "/v1")],
)
def test_address_is_at_the_services_path(dialect, path):
    """
    The simulator's URLs have the path of the service that has its dialect.
    """
    simulator = Simulator({"dialect": dialect})

    assert simulator.base_url.endswith(path)
    assert f"{path}/realtime?" in simulator.url


NAMES = st.sampled_from(
    [
        *("type", "model", "voice", "modalities", "turn_detection", "tools", "audio", "input"),
        *("input_audio_format", "input_audio_transcription", "input_audio_sampling_rate"),
        *("output_modalities", "temperature", "instructions", "tool_choice", "metadata", "x"),
    ]
)
FIELDS = st.dictionaries(NAMES, JSON, max_size=4) | JSON
MESSAGES = st.dictionaries(st.sampled_from(["session", "response", "item", "x"]), FIELDS)
TYPES = st.sampled_from(
    [
        *("session.update", "response.create", "conversation.item.create"),
        *("conversation.item.commit", "input_audio_buffer.append", "x"),
    ]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*FORMS]), st.lists(st.tuples(TYPES | JSON, MESSAGES), max_size=4))
def test_no_message_breaks_a_session(dialect, messages):
    """
    Whatever a client sends, the session answers, and goes on as JSON.
    """
    talk = Talk(dialect=dialect)
    for type_, fields in messages:
        talk.send_text(json.dumps({**fields, "type": type_}))
    talk.send_text(json.dumps({**dict(messages[0][1] if messages else {})}))
    talk.finish()
    talk.send("session.update", session=SETTINGS.get(dialect, GA_SETTINGS))

    assert "session.updated" in {frame["type"] for frame in talk.frames}
    json.dumps(talk.frames)
