"""
Helpers of the codec's tests: the ways there and back, and events to send on them.
"""

from __future__ import annotations

import collections
import enum
import functools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from hypothesis import strategies as st

from eventbus import events
from eventbus.codec import RemoteObject, dumps, from_plain, loads, packs, to_plain, unpacks
from eventbus.events import (
    EVENT_TYPES,
    RealtimeError,
    RealtimeModelAudioEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelOtherEvent,
    register_event,
)
from eventbus.exceptions import RemoteException

FORMATS = {
    "json": lambda event: loads(dumps(event)),
    "msgpack": lambda event: unpacks(packs(event)),
    "plain": lambda event: from_plain(to_plain(event)),
}
every_format = pytest.mark.parametrize("travel", FORMATS.values(), ids=FORMATS)

AUDIO = RealtimeModelAudioEvent(b"\x00\xff\x10", "resp_1", "item_1", 0)


def other(data):
    return RealtimeModelOtherEvent(data)


@pytest.fixture
def registry():
    """
    The registry with `OrderPlaced` in it; undoes a test's registrations.
    """
    before = dict(events._event_types)  # private: users have no way to unregister a class
    register_event(OrderPlaced)
    yield
    events._event_types.clear()
    events._event_types.update(before)


# --- users' classes ---------------------------------------------------------------------------


class Size(enum.Enum):
    SMALL = "s"
    LARGE = ("l", 2)


class Shade(enum.StrEnum):
    DARK = "dark"


@attrs.frozen
class Price:
    amount: Decimal
    currency: Literal["EUR", "USD"] = "EUR"


@attrs.frozen
class Card:
    number: str
    type: Literal["card"] = "card"


@attrs.frozen
class Cash:
    coins: tuple[int, ...] = ()
    type: Literal["cash"] = "cash"


@attrs.frozen
class Tree:
    name: str
    children: tuple[Tree, ...] = ()


OrderId = NewType("OrderId", str)


@attrs.frozen
class OrderPlaced:
    order_id: OrderId
    price: Price
    payment: Card | Cash
    size: Size | None = None
    placed_at: datetime | None = None
    tree: Tree | None = None
    tags: frozenset[str] = frozenset()
    history: Sequence[Price] = ()
    stock: Mapping[int, list[Price]] = attrs.field(factory=dict)
    choice: list[int] | tuple[int, ...] | str | bytes | Shade = ""
    pair: tuple[int, str] = (0, "")
    inner: RealtimeModelAudioEvent | None = None
    _secret: float = 0.5
    total: Decimal = attrs.field(init=False)
    type: Literal["test.order_placed"] = "test.order_placed"

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "total", self.price.amount * 2)


ORDER = OrderPlaced(OrderId("o-1"), Price(Decimal("9.90")), Card("4111"))


# --- strategies, from the fields' types -------------------------------------------------------

texts = st.text() | st.sampled_from(["\ud800", "a\udfffb", "$bytes", "$v", "type"])
floats = st.floats(allow_nan=False)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 80), 1 << 80),
    floats,
    texts,
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(timezone(timedelta(minutes=-210)))).map(
        lambda value: value.replace(fold=0)
    ),
)
keys = texts | scalars | st.tuples(scalars, scalars)
plain = st.recursive(
    scalars | st.builds(RealtimeModelItemDeletedEvent, texts) | st.builds(RealtimeError, texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(scalars, max_size=3),
        st.frozensets(scalars, max_size=3),
    ),
    max_leaves=5,
)
exceptions = st.builds(RemoteException, texts.filter(bool), texts, texts)


@functools.cache
def values_of(hint):  # noqa: C901 - one line for each kind of type
    """Return values of a declared type of the vocabulary; a new kind of type fails here."""
    origin, arguments = get_origin(hint), get_args(hint)
    leaves = {
        str: texts,
        int: st.integers(),
        bool: st.booleans(),
        bytes: st.binary(),
        float: st.floats(allow_nan=False, allow_infinity=False),
    }
    if hint in (Any, object):
        return plain
    if hint is NoneType:
        return st.none()
    if hint in leaves:
        return leaves[hint]
    if hint is BaseException:
        return exceptions
    if origin in (Union, UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is Mapping:
        return st.dictionaries(texts, plain, max_size=3)
    if origin is Sequence:
        members = st.lists(values_of(arguments[0]), max_size=3)
        return members | members.map(tuple)
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if attrs.has(hint):
        return instances_of(hint)
    if origin is collections.abc.Callable:
        return st.builds(RemoteObject, texts)
    raise NotImplementedError(hint)


@functools.cache
def instances_of(cls):
    hints = get_type_hints(cls)
    fields = {field.name: values_of(hints[field.name]) for field in attrs.fields(cls)}
    return st.builds(cls, **fields)


all_events = st.sampled_from(list(EVENT_TYPES.values())).flatmap(instances_of)
