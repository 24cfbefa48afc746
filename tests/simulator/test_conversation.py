"""
The items of a conversation: their order, and the changes that a client may make to them.
"""

from __future__ import annotations

import pytest

from eventbus.audio import G711_ULAW
from eventbus.simulator._service.checks import RequestError
from eventbus.simulator._service.conversation import Conversation, Item


def text(item_id):
    return Item({"id": item_id, "type": "message", "role": "user", "content": []})


def speech(item_id="s", audio=bytes(800), role="assistant"):
    kind = "output_audio" if role == "assistant" else "input_audio"
    part = {"type": kind, "transcript": "Hello"}
    data = {"id": item_id, "type": "message", "role": role, "content": [part]}
    return Item(data, bytearray(audio), G711_ULAW)


@pytest.fixture
def conversation():
    conversation = Conversation()
    for item_id in "abc":
        conversation.add(text(item_id))
    return conversation


@pytest.mark.parametrize(
    ("after", "order"),
    [(None, "abcx"), ("root", "xabc"), ("a", "axbc"), ("c", "abcx")],
)
def test_item_goes_where_it_is_wanted(conversation, after, order):
    """
    Without a predecessor an item is the last; "root" is in front of the first.
    """
    item = text("x")

    conversation.add(item, after=after)

    assert [item.id for item in conversation] == [*order]
    index = order.index("x")
    assert conversation.predecessor(item) == (order[index - 1] if index else None)


@pytest.mark.parametrize(
    ("item_id", "after", "code", "param"),
    [
        ("a", None, "item_create_duplicate_item_id", "item.id"),
        ("x", "y", "item_create_invalid_previous_item_id", "previous_item_id"),
    ],
)
def test_item_that_fits_nowhere(conversation, item_id, after, code, param):
    """
    An id that is taken and a predecessor that isn't there are refused.
    """
    with pytest.raises(RequestError) as raised:
        conversation.add(text(item_id), after=after)

    assert (raised.value.code, raised.value.param) == (code, param)
    assert [item.id for item in conversation] == [*"abc"]


@pytest.mark.parametrize("verb", ["delete", "retrieve", "truncate"])
def test_unknown_item(conversation, verb):
    """
    An item outside the conversation can't be changed, and the error names its id.
    """
    arguments = (0, 0) if verb == "truncate" else ()

    with pytest.raises(RequestError, match="'x'") as raised:
        getattr(conversation, verb)("x", *arguments)

    assert raised.value.code == f"item_{verb}_invalid_item_id"


def test_deleted_id_is_free_again(conversation):
    """
    A deleted item is gone, and another one may have its id.
    """
    conversation.delete("b")
    assert "b" not in conversation

    conversation.add(text("b"))
    assert [item.id for item in conversation] == [*"acb"]


def test_truncation_cuts_audio_and_transcript(conversation):
    """
    Unheard audio is removed with its words, since nobody knows which of them were heard.
    """
    item = speech()
    conversation.add(item)

    conversation.truncate("s", 0, 40)

    assert item.audio_ms == 40
    assert item.snapshot()["content"] == [{"type": "output_audio"}]


@pytest.mark.parametrize(
    ("item", "index", "end_ms", "code"),
    [
        (speech(), 0, 101, "invalid_value"),
        (speech(), 1, 0, "unsupported_content_type"),
        (speech(role="user"), 0, 0, "unsupported_content_type"),
        (text("s"), 0, 0, "unsupported_content_type"),
        (
            Item({"id": "s", "type": "function_call", "call_id": "c"}),
            0,
            0,
            "unsupported_content_type",
        ),
    ],
)
def test_only_what_was_heard_can_be_truncated(conversation, item, index, end_ms, code):
    """
    Truncation is for the assistant's audio, and within its length.
    """
    conversation.add(item)

    with pytest.raises(RequestError) as raised:
        conversation.truncate("s", index, end_ms)

    assert raised.value.code == code


def test_too_long_truncation_tells_the_length(conversation):
    """
    The error has the length that the item has, and the one that was asked for.
    """
    conversation.add(speech())

    with pytest.raises(RequestError, match="100ms is already shorter than 250ms"):
        conversation.truncate("s", 0, 250)


def test_retrieved_item_has_its_audio(conversation):
    """
    An item's audio is sent only to a client that asks for it.
    """
    item = speech(audio=b"abc")
    conversation.add(item)

    assert conversation.retrieve("s")["content"][0]["audio"] == "YWJj"
    assert "audio" not in item.snapshot()["content"][0]


def test_output_needs_a_call(conversation):
    """
    The output of a call that nobody has made is refused.
    """
    conversation.add(Item({"id": "f", "type": "function_call", "call_id": "call_1"}))
    conversation.check_call("call_1")

    with pytest.raises(RequestError, match="call_2") as raised:
        conversation.check_call("call_2")

    assert raised.value.code == "invalid_tool_call_id"


def test_snapshot_does_not_change():
    """
    An event that was made keeps its item as it was then.
    """
    item = speech()
    snapshot = item.snapshot()

    item.data["content"][0]["transcript"] = "Goodbye"
    item.data["content"].append({})

    assert snapshot["content"] == [{"type": "output_audio", "transcript": "Hello"}]
