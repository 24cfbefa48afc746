from __future__ import annotations

import base64
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from eventbus.events import RealtimeModelToolCallEvent
from eventbus.exceptions import AudioFormatError
from eventbus.realtime import (
    RealtimeModelSendRawMessage,
    RealtimeModelSendToolOutput,
)
from eventbus.realtime.openai._messages import (
    append_message,
    merge_sessions,
    outgoing,
    outlives_session,
    raw_message,
    session_of,
    tool_output_message,
    truncate_message,
    user_message,
)
from eventbus.realtime.openai._rules import DialectRules
from eventbus.wire.openai import DIALECTS

SETTINGS = {
    "model_name": "gpt-realtime",
    "instructions": "Be brief.",
    "modalities": ["audio"],
    "voice": "marin",
    "speed": 1.25,
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "gpt-4o-transcribe"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "interrupt_response": True},
    "max_output_tokens": "inf",
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tracing": None,
}


@pytest.fixture(scope="module")
def accepted():
    """
    A function that says whether the openai SDK's types take a client's message.
    """
    realtime = pytest.importorskip("openai.types.realtime")
    adapter = TypeAdapter(realtime.RealtimeClientEvent)
    return adapter.validate_json


def test_names_of_the_beta_protocol_have_a_place_in_ga():
    """
    Settings that openai-agents takes at the top go to their place in the GA protocol.
    """
    assert session_of(SETTINGS) == {
        "type": "realtime",
        "instructions": "Be brief.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "gpt-4o-transcribe"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "server_vad", "interrupt_response": True},
            },
            "output": {"voice": "marin", "speed": 1.25, "format": {"type": "audio/pcmu"}},
        },
        "max_output_tokens": "inf",
        "tool_choice": "auto",
        "tools": SETTINGS["tools"],
        "tracing": None,
    }


def test_name_of_ga_goes_before_that_of_beta():
    """
    If both are given, the place in the GA protocol counts.
    """
    settings = {
        "voice": "old",
        "output_modalities": ["text"],
        "modalities": ["audio"],
        "audio": {"output": {"voice": "new"}, "input": {"turn_detection": None}},
        "turn_detection": {"type": "server_vad"},
    }

    session = session_of(settings)

    assert session["output_modalities"] == ["text"]
    assert session["audio"] == {"output": {"voice": "new"}, "input": {"turn_detection": None}}


def test_nothing_is_added_to_what_was_set():
    """
    An update changes the settings that it names, and leaves the rest to the service.
    """
    assert session_of({}) == {"type": "realtime"}
    assert session_of({"audio": {"input": None}}) == {"type": "realtime", "audio": {"input": {}}}


def test_unknown_setting_is_sent_by_its_name():
    """
    A service may have more than we know of.
    """
    assert session_of({"mood": "calm"}) == {"type": "realtime", "mood": "calm"}


def test_settings_are_not_changed():
    """
    The given settings stay as they were, also further down.
    """
    settings = {"audio": {"output": {"format": "pcm16"}}, "voice": "x"}

    session_of(settings)

    assert settings == {"audio": {"output": {"format": "pcm16"}}, "voice": "x"}


def test_unknown_format_is_refused():
    """
    A format that isn't known is an error here, and not one of the service's later.
    """
    with pytest.raises(AudioFormatError, match="opus"):
        session_of({"audio": {"input": {"format": "opus"}}})


def test_later_settings_take_the_place_of_earlier_ones_one_by_one():
    """
    Settings that an update doesn't name stay, on either side of the audio.
    """
    before = session_of({"instructions": "a", "voice": "v", "turn_detection": {"type": "x"}})
    update = session_of({"instructions": "b", "speed": 2.0, "turn_detection": None})

    assert merge_sessions(before, update) == {
        "type": "realtime",
        "instructions": "b",
        "audio": {"input": {"turn_detection": None}, "output": {"voice": "v", "speed": 2.0}},
    }
    assert merge_sessions({}, update) == update


def test_every_message_is_one_of_the_protocols(accepted):
    """
    The SDK's types accept each message.
    """
    call = RealtimeModelToolCallEvent("f", "call_1", "{}")
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    user_input = {"type": "message", "role": "user", "content": [image]}
    messages = [
        DialectRules(DIALECTS["openai"]).session_update(session_of(SETTINGS)),
        user_message("hello"),
        user_message(user_input),
        tool_output_message(RealtimeModelSendToolOutput(call, "42", True)),
        truncate_message("item", 0, 120),
    ]
    for frame in [*(outgoing(each).frame for each in messages), append_message(b"\0\0").frame]:
        assert accepted(frame).type == json.loads(frame)["type"]


@given(st.binary())
def test_audio_is_sent_as_it_is(audio):
    """
    The frame is valid JSON, of the mapping's type, and has the bytes in it.
    """
    made = append_message(audio)
    message = json.loads(made.frame)

    assert message == {**made.message, "audio": message["audio"]}
    assert base64.b64decode(message["audio"]) == audio


@pytest.mark.parametrize("audio", [None, [], {"output": None}, {"output": 3}])
def test_raw_session_may_have_anything_for_its_audio(audio):
    """
    It has been sent already, and the earlier settings hold.
    """
    before = {"audio": {"output": {"voice": "marin"}}}

    assert merge_sessions(before, {"audio": audio})["audio"] == before["audio"]


def test_raw_message_is_sent_as_it_is():
    """
    Its type, and its other fields beside it.
    """
    message = {"type": "x.y", "other_data": {"a": 1, "type": "overruled"}}

    assert raw_message(RealtimeModelSendRawMessage(message)) == {"a": 1, "type": "x.y"}


@pytest.mark.parametrize("message", [{}, {"type": None}, {"type": ""}])
def test_raw_message_without_a_type_is_refused(message):
    """
    The service would refuse it as well, but later.
    """
    with pytest.raises(ValueError, match="type"):
        raw_message(RealtimeModelSendRawMessage(message))


def test_read_only_mappings_can_be_sent():
    """
    Data of the service's can go back to it.
    """
    message = {"type": "x", "a": types.MappingProxyType({"b": (1, 2)})}

    assert json.loads(outgoing(message).frame) == {"type": "x", "a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (user_message("hello"), True),
        ({"type": "response.create"}, True),
        ({"type": "conversation.item.create", "item": {"type": "function_call_output"}}, False),
        (truncate_message("item", 0, 1), False),
        ({"type": "response.cancel"}, False),
        ({"type": "input_audio_buffer.commit"}, False),
        ({"type": "session.update"}, False),
    ],
)
def test_what_names_things_of_a_session_ends_with_it(message, expected):
    """
    Only messages that make sense without the conversation before them outlive a session.
    """
    assert outlives_session(message) is expected
