"""
`eventbus.wire.openai.is_repeating`: frames that nobody needs a handler for.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.events import RealtimeModelOtherEvent
from eventbus.wire.openai import OpenAIRealtimeDecoder, is_repeating

CALL = {"id": "item_1", "type": "function_call", "status": "in_progress"}


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "conversation.item.done", "item": {"id": "item_1", "type": "message"}},
        {"type": "response.content_part.added", "part": {"type": "audio"}},
        {"type": "response.content_part.done", "part": {"type": "audio"}},
        {"type": "response.function_call_arguments.done", "call_id": "c", "arguments": "{}"},
        {"type": "response.output_item.added", "item": CALL},
        {"type": "conversation.item.added", "item": {**CALL, "type": "function_call_output"}},
        {"type": "conversation.item.created", "item": CALL},
    ],
    ids=lambda frame: frame["type"],
)
def test_frame_that_repeats(frame):
    """
    It decodes as Raw and Other, and says nothing else.
    """
    assert is_repeating(frame)
    _, event = OpenAIRealtimeDecoder().decode(frame)
    assert isinstance(event, RealtimeModelOtherEvent)


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": ["conversation.item.done"]},
        {"type": "ping"},
        {"type": "conversation.item.retrieved", "item": CALL},
        {"type": "conversation.item.added", "item": {"type": "mcp_call"}},
        {"type": "conversation.item.added", "item": None},
        {"type": "rate_limits.updated"},
    ],
    ids=str,
)
def test_frame_that_says_something(frame):
    """
    An answer to a question, an item of another kind, and anything unknown.
    """
    assert not is_repeating(frame)


@given(
    st.dictionaries(
        st.sampled_from(["type", "item"]), st.recursive(st.none() | st.text(), st.lists)
    )
)
def test_no_frame_is_refused(frame):
    """
    A frame may have anything in its fields.
    """
    assert is_repeating(frame) is (frame.get("type") == "conversation.item.done")
