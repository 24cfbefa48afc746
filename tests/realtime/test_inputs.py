from __future__ import annotations

import attrs
import pytest

from eventbus.events import RealtimeModelToolCallEvent
from eventbus.realtime import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from eventbus.realtime.inputs import (
    RealtimeModelInputImageContent,
    RealtimeModelInputTextContent,
    RealtimeModelRawClientMessage,
    RealtimeModelUserInputMessage,
)
from tests.realtime.agents_source import declared_in

REQUESTS = (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
CALL = RealtimeModelToolCallEvent("f", "call_1", "{}")


@pytest.mark.parametrize(
    "request_",
    [
        RealtimeModelSendUserInput("secret words"),
        RealtimeModelSendAudio(b"secret words"),
        RealtimeModelSendToolOutput(CALL, "secret words", start_response=True),
    ],
)
def test_repr_shows_no_content(request_):
    """
    A request may be logged; a caller's words and audio may not.
    """
    assert "secret" not in repr(request_)


@pytest.mark.parametrize(
    "given",
    [
        5,
        None,
        b"secret",
        ["secret"],
        {},
        {"type": "message", "role": "user", "content": "secret"},
        {"type": "message", "role": "user", "content": ["secret"]},
    ],
    ids=str,
)
def test_user_input_is_a_text_or_a_message(given):
    """
    The error says how to write one, and shows no content.
    """
    with pytest.raises(TypeError, match=r"^user_input= is a text, or a message like") as caught:
        RealtimeModelSendUserInput(given)

    assert "secret" not in str(caught.value)


def test_other_requests_are_checked_too():
    """
    Before one is sent that the service can't read.
    """
    with pytest.raises(TypeError, match=r"^message= is a mapping like .*, not str"):
        RealtimeModelSendRawMessage("response.create")
    with pytest.raises(TypeError, match=r"^output= is a text.*, not dict"):
        RealtimeModelSendToolOutput(CALL, {"secret": 5}, start_response=True)


def test_fields_are_those_of_openai_agents():
    """
    Users of openai-agents find each request under its name, with its fields in their order, and
    with their defaults.
    """
    there = declared_in("model_inputs")
    for ours in REQUESTS:
        fields = [(each.name, each.default) for each in attrs.fields(ours)]
        expected = [
            (name, attrs.NOTHING if default is ... else default)
            for name, default in there[ours.__name__].items()
        ]
        assert fields == expected


@pytest.mark.parametrize(
    "ours",
    [
        RealtimeModelInputImageContent,
        RealtimeModelInputTextContent,
        RealtimeModelRawClientMessage,
        RealtimeModelUserInputMessage,
    ],
)
def test_keys_are_those_of_openai_agents(ours):
    """
    The mappings that are part of a request have the same keys.
    """
    assert set(ours.__annotations__) == set(declared_in("model_inputs")[ours.__name__])


def test_requests_are_values():
    """
    They can be compared, and not changed.
    """
    interrupt = RealtimeModelSendInterrupt(response_id="r1")

    assert interrupt == RealtimeModelSendInterrupt(False, "r1")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        interrupt.response_id = "r2"
