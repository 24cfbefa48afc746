"""
The messages that a client may send, and the errors of those that it may not.
"""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.simulator._service.checks import RequestError
from eventbus.simulator._service.validation import CLIENT_MESSAGES, check_message, parse


def refusal(message):
    with pytest.raises(RequestError) as raised:
        check_message(message)
    return raised.value


def update(**session):
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def create(**item):
    return {"type": "conversation.item.create", "item": item}


SERVER_VAD = {"type": "server_vad"}
IMAGE = "data:image/png;base64,iVBORw0KGgo="
MCP = {"server_label": "shop", "name": "find", "arguments": "{}"}

GOOD = [
    update(),
    update(model="m", instructions="Be kind.", max_output_tokens="inf", tracing=None),
    update(tracing={"workflow_name": "w", "metadata": {"a": 1}}, truncation="disabled"),
    update(truncation={"type": "retention_ratio", "retention_ratio": 0.8}),
    update(prompt={"id": "p", "version": "2", "variables": {"a": "b"}}, include=None),
    update(tool_choice={"type": "function", "name": "f"}, parallel_tool_calls=True),
    update(tools=[{"type": "function", "name": "f", "description": "", "parameters": {}}]),
    update(type="transcription", audio={"input": {"transcription": {"model": "whisper-1"}}}),
    update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe-2025-12-15"}}}),
    update(audio={"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}),
    update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}),
    update(audio={"input": {"noise_reduction": {"type": "near_field"}, "transcription": None}}),
    update(audio={"output": {"voice": {"id": "voice_1"}, "speed": 1.5}}),
    {"type": "input_audio_buffer.append", "audio": "", "event_id": "e"},
    {"type": "input_audio_buffer.commit", "event_id": None},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    create(type="message", role="system", content=[{"type": "input_text", "text": "t"}]),
    create(type="message", role="user", content=[{"type": "input_audio", "audio": "AAA="}]),
    create(type="message", role="user", content=[{"type": "input_image", "image_url": IMAGE}]),
    create(type="message", role="assistant", content=[{"type": "output_text", "text": "t"}]),
    create(type="function_call", name="f", arguments="{}", call_id="c", status="completed"),
    create(type="function_call_output", call_id="c", output=""),
    create(type="mcp_list_tools", server_label="shop", tools=[{"name": "find"}]),
    create(type="mcp_call", **MCP, output="3", error=None),
    create(type="mcp_approval_request", **MCP),
    create(type="mcp_approval_response", approval_request_id="a", approve=True),
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.delete", "item_id": "i"},
    {
        "type": "conversation.item.truncate",
        "item_id": "i",
        "content_index": 0,
        "audio_end_ms": 0,
    },
    {"type": "response.create"},
    {"type": "response.create", "response": None},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "input": [{"type": "item_reference", "id": "i"}],
            "metadata": {"topic": "t"},
            "output_modalities": ["text"],
            "tools": [],
        },
    },
    {"type": "response.cancel", "response_id": "r"},
]

BAD = [
    ({}, "missing_required_parameter", "type"),
    ({"type": None}, "invalid_type", "type"),
    ({"type": "session.sing"}, "invalid_value", "type"),
    ({"type": "response.create", "what": 1}, "unknown_parameter", "what"),
    ({"type": "response.cancel", "event_id": 1}, "invalid_type", "event_id"),
    ({"type": "session.update"}, "missing_required_parameter", "session"),
    ({"type": "session.update", "session": []}, "invalid_type", "session"),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    (update(type="translation"), "invalid_value", "session.type"),
    (update(type="transcription", tools=[]), "unknown_parameter", "session.tools"),
    (update(voice="alloy"), "unknown_parameter", "session.voice"),
    (update(instructions=1), "invalid_type", "session.instructions"),
    (
        update(
            audio={"input": {"turn_detection": {"type": "server_vad", "create_response": None}}}
        ),
        "invalid_type",
        "session.audio.input.turn_detection.create_response",
    ),
    (
        update(audio={"input": {"transcription": {"model": "whisper-2"}}}),
        "invalid_value",
        "session.audio.input.transcription.model",
    ),
    (
        update(tools=[{"type": "mcp"}]),
        "missing_required_parameter",
        "session.tools[0].server_label",
    ),
    (
        update(tools=[{"type": "mcp", "server_label": "l", "server_url": "https://example.org"}]),
        "mcp_not_supported",
        "session.tools[0]",
    ),
    (
        create(
            type="message",
            role="user",
            content=[{"type": "input_image", "image_url": "https://example.org/a.png"}],
        ),
        "invalid_value",
        "item.content[0].image_url",
    ),
    (update(output_modalities="audio"), "invalid_type", "session.output_modalities"),
    (update(output_modalities=["smell"]), "invalid_value", "session.output_modalities[0]"),
    (update(max_output_tokens=0), "integer_below_min_value", "session.max_output_tokens"),
    (update(max_output_tokens=5000), "integer_above_max_value", "session.max_output_tokens"),
    (update(max_output_tokens="all"), "invalid_value", "session.max_output_tokens"),
    (update(max_output_tokens=1.5), "invalid_type", "session.max_output_tokens"),
    (update(parallel_tool_calls="yes"), "invalid_type", "session.parallel_tool_calls"),
    (update(tool_choice="f"), "invalid_value", "session.tool_choice"),
    (update(tool_choice={"type": "function"}), "missing_required_parameter", None),
    (update(tools=[{"name": "f"}]), "missing_required_parameter", "session.tools[0].type"),
    (update(tools=[{"type": "function"}]), "missing_required_parameter", None),
    (update(tools=[{"type": "function", "name": "f g"}]), "invalid_value", None),
    (
        update(tools=[{"type": "function", "name": "f", "parameters": []}]),
        "invalid_type",
        "session.tools[0].parameters",
    ),
    (
        update(tools=[{"type": "function", "name": "f"}] * 129),
        "array_above_max_length",
        "session.tools",
    ),
    (
        update(audio={"input": {"format": "pcm16"}}),
        "invalid_type",
        "session.audio.input.format",
    ),
    (
        update(audio={"input": {"format": {"type": "audio/mp3"}}}),
        "invalid_value",
        "session.audio.input.format.type",
    ),
    (
        update(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
        "integer_below_min_value",
        "session.audio.input.format.rate",
    ),
    (
        update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}),
        "decimal_above_max_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        update(audio={"input": {"turn_detection": {"threshold": 0.5}}}),
        "missing_required_parameter",
        "session.audio.input.turn_detection.type",
    ),
    (
        update(audio={"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        update(audio={"output": {"voice": "bob"}}),
        "invalid_value",
        "session.audio.output.voice",
    ),
    (
        update(audio={"output": {"speed": 0.1}}),
        "decimal_below_min_value",
        "session.audio.output.speed",
    ),
    (create(type="message", role="robot", content=[]), "invalid_value", "item.role"),
    (create(type="message", role="user"), "missing_required_parameter", "item.content"),
    (
        create(type="message", role="user", content=[{"type": "text", "text": "t"}]),
        "invalid_value",
        "item.content[0].type",
    ),
    (
        create(type="message", role="user", content=[{"type": "input_text"}]),
        "missing_required_parameter",
        "item.content[0].text",
    ),
    (create(type="poem"), "invalid_value", "item.type"),
    (create(type="function_call_output", call_id="c", output={}), "invalid_type", "item.output"),
    (
        create(type="function_call_output", call_id="c/1", output=""),
        "invalid_value",
        "item.call_id",
    ),
    (
        create(type="function_call", name="f", arguments="", id="i" * 33),
        "string_above_max_length",
        "item.id",
    ),
    (
        {
            "type": "conversation.item.truncate",
            "item_id": "i",
            "content_index": 0,
            "audio_end_ms": 1.5,
        },
        "invalid_type",
        "audio_end_ms",
    ),
    (
        {
            "type": "conversation.item.truncate",
            "item_id": "i",
            "content_index": -1,
            "audio_end_ms": 0,
        },
        "integer_below_min_value",
        "content_index",
    ),
    (
        {"type": "response.create", "response": {"conversation": "mine"}},
        "invalid_value",
        "response.conversation",
    ),
    (
        {"type": "response.create", "response": {"metadata": {"a": 1}}},
        "invalid_type",
        "response.metadata.a",
    ),
    (
        {"type": "response.create", "response": {"metadata": dict.fromkeys(map(str, range(17)))}},
        "object_above_max_properties",
        "response.metadata",
    ),
    (
        {"type": "response.create", "response": {"input": [{"type": "item_reference"}]}},
        "missing_required_parameter",
        "response.input[0].id",
    ),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message["type"])
def test_what_the_protocol_allows_is_accepted(message):
    """
    No message of the reference is refused.
    """
    check_message(message)


def nulled(value, kept):
    """
    Return *value* with null in place of each field, one after the other; those of *kept* stay.
    """
    for name, inner in value.items():
        if name not in kept:
            yield {**value, name: None}
        if isinstance(inner, dict) and name != "parameters":
            yield from ({**value, name: each} for each in nulled(inner, kept))


# Of GOOD: without these there is no message, or they are of the client's own making.
REQUIRED = {
    *("type", "session", "audio", "item", "item_id", "content_index", "audio_end_ms", "content"),
    *("role", "name", "call_id", "arguments", "output", "server_label", "tools", "id"),
    *("retention_ratio", "approval_request_id", "approve", "workflow_name", "a", "b", "topic"),
}


def test_null_means_that_a_field_is_not_given():
    """
    For a field that is optional in the API's types, null is the same as leaving the field out.
    """
    for message in GOOD:
        for each in nulled(message, REQUIRED):
            check_message(json.loads(json.dumps(each)))

    for response in (
        {"instructions": None, "tools": None, "tool_choice": None, "metadata": None},
        {"audio": {"output": None}, "conversation": None, "output_modalities": None},
    ):
        message = {"type": "response.create", "response": response}
        check_message(message)
        assert all(value is None for value in message["response"].values() if value != {})
    check_message(update(audio=None, tools=None, type="realtime", model=None, instructions=None))


def test_examples_have_every_type():
    """
    There is an example of each message that a client can send.
    """
    assert {message["type"] for message in GOOD} == CLIENT_MESSAGES.keys()


@pytest.mark.parametrize(("message", "code", "param"), BAD)
def test_mistake_is_named_with_its_place(message, code, param):
    """
    A refusal has the service's code, the path of the field, and the path in its message.
    """
    error = refusal(message)

    assert error.code == code
    assert param in {None, error.param}
    assert error.type == "invalid_request_error"
    assert error.code == "invalid_value" or error.param in error.message


def test_unknown_value_lists_the_known_ones():
    """
    A misspelt value is answered with the right spelling.
    """
    error = refusal({"type": "response.creat"})

    assert "'response.creat'" in error.message
    assert "'response.create'" in error.message


@pytest.mark.parametrize(
    "message",
    [
        {"type": "x" * 10_000},
        {"type": "response.create", "x" * 10_000: 1},
        update(max_output_tokens=10**400),
        update(max_output_tokens=-(10**5_000)),
    ],
)
def test_long_value_is_not_repeated(message):
    """
    An error shows no more of the message than one needs to find the mistake.
    """
    error = refusal(message)

    assert len(error.message) < 1_000
    assert len(error.param) < 1_000


@pytest.mark.parametrize("value", [2**63, -(10**400), [[10**30]]])
def test_number_that_cannot_be_written_again(value):
    """
    In a field of any type, an integer that JSON's readers can't hold is refused.
    """
    tool = {"type": "function", "name": "f", "parameters": {"maximum": value}}

    assert refusal(update(tools=[tool])).param == "session.tools[0].parameters"


def test_depth_has_a_limit():
    """
    In a field of any type, values are nested 100 deep at most.
    """
    parameters: dict[str, object] = {}
    for _ in range(99):
        parameters = {"items": parameters}
    check_message(update(tracing={"metadata": parameters}))

    assert refusal(update(tracing={"metadata": {"items": [parameters]}})).code == "invalid_value"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ('{"type": NaN}', "invalid_json"),
        ('{"type": "\\ud800"}', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ("1" * 100_000, "invalid_json"),
        ("[]", "invalid_event"),
        ('"session.update"', "invalid_event"),
        ("null", "invalid_event"),
        (b'{"type": "response.create"}', "invalid_event"),
    ],
)
def test_frame_that_is_no_message(frame, code):
    """
    A frame that isn't text with one JSON object in it is refused.
    """
    with pytest.raises(RequestError) as raised:
        parse(frame)

    assert raised.value.code == code


@settings(max_examples=30)
@given(st.sampled_from(GOOD), st.data())
def test_nothing_but_a_refusal_comes_of_a_broken_message(message, data):
    """
    Any value in any field is accepted or refused.
    """
    message = json.loads(json.dumps(message))
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    )
    place = message
    while isinstance(place, dict) and place:
        name = data.draw(st.sampled_from(sorted(place)))
        if data.draw(st.booleans()):
            place[name] = data.draw(anything)
            break
        place = place[name]

    with contextlib.suppress(RequestError):
        check_message(message)
