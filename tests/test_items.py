"""
Items are typed values that keep the fields that a vendor adds to them.
"""

from __future__ import annotations

import pickle
import typing

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import items
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    ContentPart,
    InputAudio,
    InputImage,
    InputText,
    RealtimeItem,
    RealtimeToolCallItem,
    SystemMessageItem,
    UserMessageItem,
)

EXAMPLES = [
    InputText("a table for four"),
    InputAudio("AAAA", "a table for four"),
    InputImage("https://example.org/menu.png", "low"),
    AssistantText("Gladly."),
    AssistantAudio("AAAA", "Gladly."),
    SystemMessageItem("item_0", (InputText("Be brief."),)),
    UserMessageItem("item_1", (InputAudio(), InputText("a table"))),
    AssistantMessageItem("item_2", (AssistantAudio(),), "item_1", "completed"),
    RealtimeToolCallItem("item_3", "call_1", "find_table", '{"people": 4}'),
]

each_example = pytest.mark.parametrize("value", EXAMPLES, ids=lambda value: type(value).__name__)


def test_examples_are_of_every_class():
    """
    The tests below leave out no item and no content part.
    """
    classes = {*typing.get_args(RealtimeItem), *typing.get_args(ContentPart)}

    assert {type(value) for value in EXAMPLES} == classes


@each_example
def test_item_is_frozen_and_slotted(value):
    """
    Nothing of an item can be set, and it has no ``__dict__``.
    """
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)
    assert not hasattr(value, "__dict__")


@each_example
def test_item_pickles(value):
    """
    An unpickled item equals the pickled one.
    """
    assert pickle.loads(pickle.dumps(value)) == value


@each_example
def test_type_is_part_of_the_value(value):
    """
    ``attrs.asdict`` has the type, and that of each content part.
    """
    as_dict = attrs.asdict(value)

    assert as_dict["type"] == value.type
    parts = getattr(value, "content", ())
    assert [part["type"] for part in as_dict.get("content", ())] == [part.type for part in parts]


@each_example
def test_unknown_fields_are_kept_and_part_of_the_value(value):
    """
    A vendor's other fields are there under their names, and two items that differ in one differ.
    """
    with_extra = attrs.evolve(value, extra={"mood": "sunny"})

    assert with_extra.extra["mood"] == "sunny"
    assert with_extra != value


@each_example
def test_unknown_fields_are_no_positional_argument(value):
    """
    ``extra`` can only be given by name, so that fields can be added before it.
    """
    assert attrs.fields_dict(type(value))["extra"].kw_only


def test_content_of_any_iterable_becomes_a_tuple():
    """
    Parts may be given as a list, and can't be appended to afterwards.
    """
    item = UserMessageItem("item_1", [InputText("a table")])

    assert item.content == (InputText("a table"),)


@pytest.mark.parametrize("cls", [InputAudio, AssistantAudio])
@given(audio=st.binary(min_size=8).map(bytes.hex))
def test_repr_of_audio_shows_its_length_not_the_audio(cls, audio):
    """
    However long the audio of a part is, its repr is the number of its characters.
    """
    shown = repr(cls(audio))

    assert audio not in shown
    assert f"audio=<{len(audio)} base64 characters>" in shown


def test_repr_of_an_image_shows_its_length_not_the_image():
    """
    A ``data:`` URL, which has the whole picture in it, isn't shown.
    """
    url = f"data:image/png;base64,{'AAAA' * 100}"

    assert url not in repr(InputImage(url))


@pytest.mark.parametrize(
    ("cls", "role"),
    [(SystemMessageItem, "system"), (UserMessageItem, "user"), (AssistantMessageItem, "assistant")],
)
def test_messages_are_told_apart_by_role(cls, role):
    """
    The three message items share the type ``message`` and have a role each.
    """
    assert (cls("item_1").type, cls("item_1").role) == ("message", role)


@pytest.mark.parametrize(
    "name", ["SystemMessageItem", "UserMessageItem", "AssistantMessageItem", "RealtimeToolCallItem"]
)
def test_items_have_the_fields_of_the_openai_agents_sdk(name):
    """
    Each field that openai-agents gives an item, ours has too.
    """
    theirs = pytest.importorskip("agents.realtime.items")

    missing = set(getattr(theirs, name).model_fields) - {
        field.name for field in attrs.fields(getattr(items, name))
    }

    assert missing == set()
