"""
Objects of attrs classes, users' own too, come back as their fields declare them.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from eventbus.codec import dumps, loads, to_plain
from eventbus.events import RealtimeModelItemUpdatedEvent, register_event
from eventbus.exceptions import CodecError
from eventbus.items import AssistantAudio, AssistantMessageItem, AssistantText
from tests.codec.journeys import (
    AUDIO,
    ORDER,
    Cash,
    Price,
    Shade,
    Size,
    Tree,
    every_format,
    registry,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.usefixtures("registry")


@attrs.frozen
class Discount(Price):
    percent: int = 0


@every_format
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"payment": Cash((1, 2))},
        {"size": Size.SMALL},
        {"size": Size.LARGE},
        {"placed_at": datetime(2024, 2, 29, 12, 30, 0, 5)},  # noqa: DTZ001 - naive is a case
        {"tree": Tree("a", (Tree("b"), Tree("c", (Tree("d"),))))},
        {"tags": frozenset({"a", "b"})},
        {"history": [Price(Decimal(1), "USD")]},
        {"history": (Price(Decimal(1)),)},
        {"stock": {7: [Price(Decimal(1))], -1: []}},
        {"choice": [1]},
        {"choice": (1,)},
        {"choice": b"x"},
        {"choice": Shade.DARK},
        {"pair": (5, "five")},
        {"inner": AUDIO},
        {"secret": 3},
    ],
    ids="-".join,  # not their text, which for a set is another one in each process
)
def test_attrs_class_comes_back_with_all_that_it_declares(changes, travel):
    """
    Nested classes, unions, enums, containers, private fields: equal, and of the same classes.
    """
    order = attrs.evolve(ORDER, **changes)

    came = travel(order)

    assert came == order
    assert type(came.choice) in (type(order.choice), str)
    assert type(came.history) is type(order.history)


def test_items_are_told_apart_by_type_and_role():
    """
    An item without any tag of ours comes back as its class, and so do its parts.
    """
    event = RealtimeModelItemUpdatedEvent(
        AssistantMessageItem("i", (AssistantText("hi"), AssistantAudio(extra={"voice": (1,)})))
    )
    document = to_plain(event)["item"]

    assert [part["type"] for part in document["content"]] == ["text", "audio"]
    assert loads(dumps(event)) == event


@every_format
def test_registered_subclass_travels_where_its_base_is_declared(travel):
    """
    A subclass that has a type name keeps its class; the data says which it is.
    """
    register_event(Discount, name="test.discount")
    order = attrs.evolve(ORDER, price=Discount(Decimal(1), percent=5))

    assert travel(order) == order
    assert type(travel(order).price) is Discount


def test_unregistered_subclass_is_refused():
    """
    It would lose its class and a field; the error names it, where it is, and the remedy.
    """
    with pytest.raises(CodecError, match=r"Discount .*register_event") as caught_error:
        dumps(attrs.evolve(ORDER, price=Discount(Decimal(1), percent=5)))

    assert caught_error.value.path == "$.price"


def test_annotation_that_cannot_be_resolved_leaves_the_data_to_tell():
    """
    A name that only type checkers know is no obstacle for plain data and registered classes.
    """

    @register_event(name="test.local")
    @attrs.frozen
    class Local:
        when: Nowhere  # noqa: F821 - the point
        data: Any = None

    event = Local((1, AUDIO))

    assert loads(dumps(event)) == event


def test_validator_that_refuses_is_a_codec_error():
    """
    An exception from a user's class is reported as a fault of the data, with its place.
    """

    @register_event(name="test.picky")
    @attrs.frozen
    class Picky:
        n: int = attrs.field(validator=attrs.validators.ge(0))

    with pytest.raises(CodecError, match=r"Picky refused") as caught_error:
        loads('{"$v":1,"type":"other","data":[{"$v":1,"type":"test.picky","n":-1}]}')

    assert caught_error.value.path == "$.data[0]"
    assert isinstance(caught_error.value.__cause__, ValueError)
