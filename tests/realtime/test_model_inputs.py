from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

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


def fields_there():
    """
    Return the fields of each of openai-agents' classes; read, as importing it takes seconds.
    """
    spec = importlib.util.find_spec("agents")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("openai-agents is not installed")
    path = Path(spec.submodule_search_locations[0], "realtime", "model_inputs.py")
    classes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
    return {
        each.name: [field.target.id for field in each.body if isinstance(field, ast.AnnAssign)]
        for each in classes
    }


def test_fields_are_those_of_openai_agents():
    """
    Who comes from there finds each request under its name, with its fields in their order.
    """
    there = fields_there()
    for ours in REQUESTS:
        expected = there[ours.__name__]
        assert [field.name for field in attrs.fields(ours)][: len(expected)] == expected


def test_requests_are_values():
    """
    They can be compared, and not changed.
    """
    interrupt = RealtimeModelSendInterrupt(response_id="r1")

    assert interrupt == RealtimeModelSendInterrupt(False, "r1")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        interrupt.response_id = "r2"
