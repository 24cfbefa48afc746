"""
Events survive the journey through JSON and MessagePack; broken data is refused with its place.
"""

from __future__ import annotations

import base64
import collections
import enum
import functools
import json
import math
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eventbus import codec, events
from eventbus.codec import (
    FORMAT_VERSION,
    RemoteObject,
    UnknownObject,
    dumps,
    from_plain,
    loads,
    packs,
    to_plain,
    unpacks,
)
from eventbus.events import (
    EVENT_TYPES,
    RealtimeError,
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelUsageEvent,
    register_event,
)
from eventbus.exceptions import CodecError, RemoteException
from eventbus.items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    InputAudio,
    InputText,
    UserMessageItem,
)

FORMATS = {
    "json": lambda event: loads(dumps(event)),
    "msgpack": lambda event: unpacks(packs(event)),
    "plain": lambda event: from_plain(to_plain(event)),
}
every_format = pytest.mark.parametrize("travel", FORMATS.values(), ids=FORMATS)

AUDIO = RealtimeModelAudioEvent(b"\x00\xff\x10", "resp_1", "item_1", 0)


def other(data):
    return RealtimeModelOtherEvent(data)


# --- users' classes --------------------------------------------------------------------------


class Size(enum.Enum):
    SMALL = "s"
    LARGE = ("l", 2)


class Shade(enum.StrEnum):
    DARK = "dark"


class Level(enum.IntEnum):
    HIGH = 3


@attrs.frozen
class Price:
    amount: Decimal
    currency: Literal["EUR", "USD"] = "EUR"


@attrs.frozen
class Discount(Price):
    percent: int = 0


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


@pytest.fixture(autouse=True)
def _registry():
    """Undo what a test registers."""
    before = dict(events._event_types)  # private: users have no way to unregister a class
    register_event(OrderPlaced)
    yield
    events._event_types.clear()
    events._event_types.update(before)


# --- strategies, from the fields' types --------------------------------------------------------

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
    leaves = {str: texts, int: st.integers(), bool: st.booleans(), bytes: st.binary()}
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


# --- there and back ----------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("cls", EVENT_TYPES.values(), ids=list(EVENT_TYPES))
def test_every_event_of_the_vocabulary_comes_back_equal(cls, travel):
    """
    Whatever the fields of an event hold, it is read as it was written.
    """

    @given(instances_of(cls))
    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    def check(event):
        assert travel(event) == event

    check()


@given(all_events)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_was_read_is_written_the_same(event):
    """
    Writing what was read gives the same text again, so a chain of processes changes nothing.
    """
    text = dumps(event)

    assert (
        json.loads(dumps(loads(text))) == json.loads(text)
        or "$set" in text
        or (
            "$frozenset" in text  # the order of a set is nobody's promise
        )
    )


@given(plain)
@example({"$bytes": "eA=="})
@example({"$v": 1, "type": "audio"})
@example({"$map": []})
@example([{"$class": "Usage"}, {1: 2, "1": 3}])
def test_plain_data_keeps_its_classes(data):
    """
    Nested data comes back with the very classes it had: tuples, bytes, sets, keys of any kind.
    """
    for travel in FORMATS.values():
        assert shape(travel(other(data)).data) == shape(data)


def shape(value):
    """Return what two values have in common only if they are equal and of the same classes."""
    cls = type(value)
    if cls in (list, tuple):
        return cls, tuple(map(shape, value))
    if cls in (set, frozenset):
        return cls, frozenset(map(shape, value))
    if cls is dict:
        return cls, tuple((shape(key), shape(item)) for key, item in value.items())
    return cls, repr(value)


@given(plain)
def test_json_is_valid_for_others(data):
    """
    The text is strict JSON in UTF-8: no NaN, no lone surrogate, no integer beyond 64 bits.
    """
    text = dumps(other(data))

    def check_int(digits):
        assert -(1 << 63) <= int(digits) < 1 << 64
        return 0

    text.encode()
    json.loads(text, parse_int=check_int, parse_constant=pytest.fail)


@given(plain)
def test_plain_document_has_plain_data_only(data):
    """
    `to_plain` gives exact None, bool, int, float, str, bytes, list and dict, and str keys.
    """

    def check(value):
        assert type(value) in {NoneType, bool, int, float, str, bytes, list, dict}
        if type(value) is dict:
            assert {type(key) for key in value} <= {str}
            list(map(check, value.values()))
        if type(value) is list:
            list(map(check, value))

    check(to_plain(other(data)))


@every_format
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_json_lacks_survive(value, travel):
    """
    NaN and the infinities come back, also from JSON.
    """
    assert repr(travel(other(value)).data) == repr(value)


@every_format
@pytest.mark.parametrize(
    "value",
    [
        Shade.DARK,
        Level.HIGH,
        collections.OrderedDict(a=1),
        MappingProxyType({"a": [1]}),
        bytearray(b"abc"),
        memoryview(b"abc"),
        collections.namedtuple("Point", "x y")(1, 2),  # noqa: PYI024 - a tuple is what it is for
    ],
    ids=repr,
)
def test_what_has_a_plain_equal_comes_back_as_that(value, travel):
    """
    A subclass of a plain class, a mapping or a buffer comes back as the plain class, and equal.
    """
    data = travel(other(value)).data

    assert data == value
    assert type(data) in {str, int, dict, bytes, tuple}


def test_json_is_one_line_of_text():
    """
    `dumps` gives str without line breaks, so a file of events has one a line.
    """
    text = dumps(other("a\nb\r\u2028"))

    assert isinstance(text, str)
    assert "\n" not in text
    assert "\r" not in text


def test_format_of_an_event():
    """
    An event is an object with the format version, the type name and the fields by name.
    """
    assert to_plain(AUDIO) == {
        "$v": FORMAT_VERSION,
        "type": "audio",
        "data": b"\x00\xff\x10",
        "response_id": "resp_1",
        "item_id": "item_1",
        "content_index": 0,
    }
    assert json.loads(dumps(AUDIO)) == to_plain(AUDIO) | {"data": {"$bytes": "AP8Q"}}
    assert msgspec.msgpack.decode(packs(AUDIO)) == to_plain(AUDIO)


@pytest.mark.parametrize("convert", [str, str.encode, lambda text: bytearray(text.encode())])
def test_loads_takes_text_and_bytes(convert):
    """
    JSON is read from str, bytes and bytearray alike.
    """
    assert loads(convert(dumps(AUDIO))) == AUDIO


def test_json_document_of_another_parser_is_read():
    """
    `from_plain` takes what the standard library's `json` makes of `dumps`.
    """
    assert from_plain(json.loads(dumps(AUDIO))) == AUDIO


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


# --- nested events -----------------------------------------------------------------------------


@every_format
def test_event_in_other_comes_back_as_its_class(travel):
    """
    The event that nobody took is still an event after the journey.
    """
    event = other({"unhandled": [AUDIO, RealtimeModelErrorEvent(RealtimeError("no", extra={}))]})

    assert travel(event) == event


@every_format
def test_value_of_the_vocabulary_keeps_its_class_where_none_is_declared(travel):
    """
    A `RealtimeError`, whose ``type`` is data, comes back as one from a field of any type.
    """
    event = RealtimeModelTurnEndedEvent("r", "failed", RealtimeError("m", "server_error"))

    assert travel(event) == event


# --- exceptions --------------------------------------------------------------------------------


def crash(message="boom"):
    raise ValueError(message)


def caught(function, *args):
    try:
        function(*args)
    except Exception as exc:  # noqa: BLE001 - it is what the test is about
        return exc
    return None


@every_format
def test_exception_travels_as_type_message_and_traceback(travel):
    """
    A local exception comes back as `RemoteException` that tells all of it as text.
    """
    exc = caught(crash)

    remote = travel(RealtimeModelExceptionEvent(exc, "at work")).exception

    assert (remote.type_name, remote.message) == ("ValueError", "boom")
    assert remote.traceback_text == "".join(traceback.format_exception(exc))


@every_format
def test_remote_exception_is_written_as_it_was_read(travel):
    """
    A second journey changes nothing: no second traceback, no wrapper around the wrapper.
    """
    once = travel(RealtimeModelExceptionEvent(caught(crash), "at work"))

    assert travel(once) == once


def test_exception_that_was_never_raised_has_no_traceback():
    """
    Without a traceback the text is empty, for type and message say it all.
    """
    assert loads(dumps(RealtimeModelExceptionEvent(KeyError("k")))).exception == RemoteException(
        "KeyError", "'k'", ""
    )


def test_whole_exception_group_and_chain_are_in_the_text():
    """
    Every member of a large group, and the cause of the group, are in the traceback's text.
    """
    group = ExceptionGroup("many", [caught(crash, f"member {n}") for n in range(40)])
    group.__cause__ = KeyError("the cause")

    text = loads(dumps(RealtimeModelExceptionEvent(group))).exception.traceback_text

    assert all(f"ValueError: member {n}\n" in text for n in range(40))
    assert "KeyError: 'the cause'" in text


def test_exception_without_a_message_travels():
    """
    An exception whose ``str()`` raises is reported nevertheless.
    """

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    remote = loads(dumps(RealtimeModelExceptionEvent(Mute()))).exception

    assert remote.type_name.endswith("Mute")
    assert "str() failed" in remote.message


@every_format
def test_exception_anywhere_is_an_exception_again(travel):
    """
    Where no type is declared, an exception is tagged, so that it comes back as one.
    """
    data = travel(other([KeyError("k")])).data

    assert data == [RemoteException("KeyError", "'k'")]


@every_format
def test_handler_travels_as_its_name(travel):
    """
    A handler comes back as `RemoteObject`, which is written again as it is.
    """
    event = travel(RealtimeModelExceptionEvent(KeyError(), handler=functools.partial(crash, "x")))

    assert event.handler == RemoteObject(f"{__name__}.crash")
    assert travel(event) == event


def test_handler_of_another_process_cannot_be_called():
    """
    Calling it is a TypeError that names it.
    """
    with pytest.raises(TypeError, match=r"app\.play"):
        RemoteObject("app.play")(AUDIO)


@every_format
def test_event_and_sender_of_a_crash_travel(travel):
    """
    The event that crashed a handler is nested, and a sender of plain data stays what it is.
    """
    event = RealtimeModelExceptionEvent(RemoteException("E", "m"), event=AUDIO, sender=("call", 42))

    assert travel(event) == event


class Session:
    def __repr__(self):
        return "<Session 7>"


class Shy:
    def __repr__(self):
        raise RuntimeError


def test_crash_report_travels_whatever_crashed():
    """
    A sender or an event that can't be written is reduced to its name; the report arrives.
    """
    endless = []
    endless.append(endless)
    for sender, name in [(Session(), "<Session 7>"), (Session, "Session"), (Shy(), "Shy")]:
        event = loads(
            dumps(RealtimeModelExceptionEvent(KeyError(), sender=sender, event=other(sender)))
        )

        assert name in event.sender.name
        assert type(event.event) is RemoteObject
    assert type(loads(dumps(RealtimeModelExceptionEvent(KeyError(), sender=endless))).sender) is (
        RemoteObject
    )


# --- unknown types -----------------------------------------------------------------------------

UNKNOWN = (
    '{"$v":1,"type":"shop.unheard_of","sku":{"$bytes":"AP8Q"},"type_":[{"$tuple":[1]}],'
    '"line":{"$class":"Unheard","n":1,"inner":{"$v":1,"type":"shop.nor_this","extra":{}}}}'
)


def test_unknown_type_comes_back_as_other():
    """
    An event without a class here is `RealtimeModelOtherEvent`, with type name and fields.
    """
    event = loads(UNKNOWN)

    assert type(event) is RealtimeModelOtherEvent
    assert type(event.data) is UnknownObject
    assert event.data.type_name == "shop.unheard_of"
    assert event.data.fields["sku"] == b"\x00\xff\x10"
    assert event.data.fields["line"].fields["n"] == 1


def test_unknown_type_is_unharmed_when_written_again():
    """
    The text is the same to the byte, also after a detour through MessagePack.
    """
    assert dumps(loads(UNKNOWN)) == UNKNOWN
    assert dumps(unpacks(packs(loads(UNKNOWN)))) == UNKNOWN


@given(instances_of(RealtimeModelExceptionEvent) | instances_of(RealtimeModelItemUpdatedEvent))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_event_survives_a_process_that_does_not_know_it(event):
    """
    What a process with the class writes, one without it hands on, and the class is there again.
    """
    document = to_plain(event)
    event_type = document["type"]
    document["type"] = "shop.unheard_of"

    passed_on = to_plain(unpacks(packs(from_plain(document))))
    passed_on["type"] = event_type

    assert from_plain(passed_on) == event


@every_format
def test_unknown_event_travels_inside_another(travel):
    """
    An unknown event in Raw, in Other in an exception event, and in a list stays where it is.
    """
    unknown = loads(UNKNOWN)
    for event in (
        RealtimeModelRawServerEvent(unknown.data),
        RealtimeModelExceptionEvent(RemoteException("E", "m"), event=unknown),
        other([unknown, unknown.data]),
        other(UnknownObject("Unheard", {}, is_event=False)),
    ):
        assert travel(event) == event


def test_event_becomes_itself_once_its_class_is_known():
    """
    The same text gives an Other before, and the class after it is registered.
    """
    text = '{"$v":1,"type":"test.late","n":1}'

    @attrs.frozen
    class Late:
        n: int
        type: Literal["test.late"] = "test.late"

    assert type(loads(text)) is RealtimeModelOtherEvent
    register_event(Late)
    assert loads(text) == Late(1)


def test_unknown_field_of_a_known_event_is_ignored():
    """
    A field that a newer version has added does not make its events unreadable.
    """
    document = to_plain(AUDIO) | {"loudness": {"$tuple": [1]}}

    assert from_plain(document) == AUDIO


def test_missing_optional_field_has_its_default():
    """
    An event that an older version wrote lacks the newer fields, which have defaults.
    """
    document = {"$v": 1, "type": "function_call", "name": "n", "call_id": "c", "arguments": "{}"}

    assert from_plain(document) == RealtimeModelToolCallEvent("n", "c", "{}")


# --- users' classes ----------------------------------------------------------------------------


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
    ids=str,
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


@every_format
def test_class_without_a_type_field_is_tagged_with_its_name(travel):
    """
    The name given to `register_event` is enough.
    """
    register_event(Price, name="test.price")
    event = Price(Decimal("0.10"))

    assert to_plain(event)["type"] == "test.price"
    assert travel(event) == event


def test_type_field_that_differs_from_the_registered_name_is_refused():
    """
    Written, one of the two would be lost; so nothing is.
    """
    register_event(Cash, name="test.cash")

    with pytest.raises(CodecError, match=r"'cash'.*'test\.cash'") as caught_error:
        dumps(Cash())

    assert caught_error.value.path == "$.type"


def test_class_that_lost_its_name_is_refused():
    """
    After ``replace=True`` the former class can't be written under a name that isn't its own.
    """

    @attrs.frozen
    class Newer:
        type: Literal["test.order_placed"] = "test.order_placed"

    dumps(ORDER)
    register_event(Newer, replace=True)

    assert loads(dumps(Newer())) == Newer()
    with pytest.raises(CodecError, match=r"OrderPlaced .*register_event"):
        dumps(ORDER)


def test_subclass_of_a_registered_class_is_refused():
    """
    It would come back as its base.
    """

    @attrs.frozen
    class Loud(RealtimeModelItemDeletedEvent):
        volume: int = 11

    with pytest.raises(CodecError, match=r"Loud .*register_event"):
        dumps(Loud("i"))


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


# --- what can't be written ---------------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"


@pytest.mark.parametrize("write", [dumps, packs, to_plain])
@pytest.mark.parametrize(
    ("event", "path", "message"),
    [
        (other({"a": [0, {"b c": Session()}]}), "$.data.a[1]['b c']", r"Session is no plain data"),
        (other({1: {2: crash}}), "$.data[1][2]", "function is no plain data"),
        (other((1, Color.RED)), "$.data[1]", "declare the field's type"),
        (other(Price(Decimal(1))), "$.data", r"Price .*register_event"),
        (other({frozenset({1j}): 0}), "$.data[frozenset({1j})][0]", "complex"),
        (RealtimeModelAudioEvent("no", "r", "i", 0), "$.data", "expected bytes, not str"),  # type: ignore[arg-type]
        (RealtimeModelAudioEvent(b"", "r", "i", True), "$.content_index", "int, not bool"),
        (RealtimeModelAudioEvent(b"", None, "i", 0), "$.response_id", "not NoneType"),  # type: ignore[arg-type]
        (RealtimeModelConnectionStatusEvent("gone"), "$.status", "'connecting' or"),  # type: ignore[arg-type]
        (RealtimeModelItemUpdatedEvent(InputText("x")), "$.item", "UserMessageItem"),  # type: ignore[arg-type]
        (
            RealtimeModelItemUpdatedEvent(UserMessageItem("i", (InputText("x"), InputText(5)))),  # type: ignore[arg-type]
            "$.item.content[1].text",
            "expected str, not int",
        ),
        (RealtimeModelRateLimitsEvent({"a": 1}), "$.limits", "list or tuple, not dict"),  # type: ignore[arg-type]
        (RealtimeModelUsageEvent({}), "$.usage", "expected Usage, not dict"),  # type: ignore[arg-type]
        (other(memoryview(b"1234").cast("H")), "$.data", "cast"),
        (other([UnknownObject("x", {"$v": 1})]), "$.data[0]['$v']", "name of a field"),
        (other(RemoteException("E", None)), "$.data", "expected str, not NoneType"),  # type: ignore[arg-type]
        (Price(Decimal(1)), "$", "register_event"),
        ({"type": "audio"}, "$", "RealtimeModelRawServerEvent"),
        (Session(), "$", "Session"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_not_come_back_is_refused(event, path, message, write):
    """
    The error says where in the event the value is, what is wrong and what to do instead.
    """
    with pytest.raises(CodecError, match=message) as caught_error:
        write(event)

    assert caught_error.value.path == path
    assert path in str(caught_error.value)


@pytest.mark.parametrize("write", [dumps, packs, to_plain])
def test_data_without_end_is_refused(write):
    """
    A list that contains itself is a `CodecError`, as is one that is nested too deeply.
    """
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    for data in (endless, deep):
        with pytest.raises(CodecError, match="nested too deeply"):
            write(other(data))


def test_ambiguous_local_time_is_refused():
    """
    A time that differs from what its text says would come back as another time.
    """
    from zoneinfo import ZoneInfo

    twice = datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))

    for when in (twice, twice.replace(fold=0), twice.replace(tzinfo=None)):
        with pytest.raises(CodecError, match="convert it to UTC"):
            dumps(other(when))


# --- what can't be read ------------------------------------------------------------------------


def audio(**changes):
    return json.dumps(json.loads(dumps(AUDIO)) | changes)


def item(**changes):
    event = RealtimeModelItemUpdatedEvent(UserMessageItem("i", (InputText("x"), InputAudio())))
    document = json.loads(dumps(event))
    document["item"] |= changes
    return json.dumps(document)


def data(value):
    return json.dumps({"$v": 1, "type": "other", "data": value})


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[]", "$", r"\$v and type, not list"),
        ("null", "$", "not NoneType"),
        ("{}", "$['$v']", "missing"),
        ('{"$v":1}', "$.type", "missing"),
        ('{"$v":1,"type":5}', "$.type", "expected str, not int"),
        ('{"$v":"1","type":"audio"}', "$['$v']", "format version"),
        ('{"$v":true,"type":"audio"}', "$['$v']", "format version"),
        ('{"$v":0,"type":"audio"}', "$['$v']", "format version"),
        ('{"$v":2,"type":"audio"}', "$['$v']", "version 2 is newer than 1.*upgrade eventbus"),
        ('{"$v":1,"type":"audio"}', "$.data", "missing; a RealtimeModelAudioEvent"),
        (audio(data=5), "$.data", "expected bytes, not int"),
        (audio(data="AP8Q"), "$.data", "expected bytes, not str"),
        (audio(data={"$bytes": "AP8"}), "$.data", "no base64"),
        (audio(data={"$bytes": "A P8Q"}), "$.data", "no base64"),
        (audio(data={"$bytes": "é"}), "$.data", "no base64"),
        (audio(data={"$bytes": 5}), "$.data", "expected str"),
        (audio(content_index=1.0), "$.content_index", "expected int, not float"),
        (audio(content_index=True), "$.content_index", "expected int, not bool"),
        (audio(item_id=None), "$.item_id", "expected str, not NoneType"),
        (item(role="judge"), "$.item", "role 'judge', type 'message' is no .*UserMessageItem"),
        (item(role=[]), "$.item", r"role \[\]"),
        (item(content=5), "$.item.content", "tuple, not int"),
        (item(content=[{"type": "input_text", "text": 1}]), "$.item.content[0].text", "str"),
        (item(content=[{"type": "input_text"}, 1]), "$.item.content[1]", "object, not int"),
        (item(content=[{"type": "text"}]), "$.item.content[0]", "type 'text' is no"),
        (item(extra=[]), "$.item.extra", "object, not list"),
        (item(extra={"$v": 1}), "$.item.extra['$v']", r"write \$map"),
        (item(item_id={"$tuple": []}), "$.item.item_id", "expected str, not tuple"),
        (data({"$tuple": 1}), "$.data", "a list"),
        (data({"a b": {"$nope": 1}}), "$.data['a b']", "known tag.*upgrade"),
        (data({"$tuple": [], "$set": []}), "$.data", "one key"),
        (data({"a": 1, "$tuple": []}), "$.data", "one key"),
        (data({"$set": [[]]}), "$.data", "list can't be a key"),
        (data({"$set": [1, 1]}), "$.data", "twice"),
        (data({"$map": [[1, 2], [1, 3]]}), "$.data[1]", "twice"),
        (data({"$map": [[1]]}), "$.data[0]", "key and value"),
        (data({"$map": [["a", {"$x": 1}]]}), "$.data.a", "known tag"),
        (data({"$int": "0x1"}), "$.data", "match"),
        (data({"$int": "1_0"}), "$.data", "match"),
        (data({"$float": "1"}), "$.data", "match"),
        (data({"$decimal": "one"}), "$.data", "Invalid"),
        (data({"$datetime": "2024-13-01"}), "$.data", "ValueError"),
        (data({"$uuid": "1"}), "$.data", "ValueError"),
        (data({"$str": "gA=="}), "$.data", "UTF-8"),
        (data({"$exception": {"type": "E"}}), "$.data.message", "missing"),
        (data({"$remote": 1}), "$.data", "expected str"),
        (data({"$class": "Usage", "requests": "1"}), "$.data.requests", "int, not str"),
        (data({"$v": 9, "type": "x"}), "$.data['$v']", "upgrade"),
        ('{"$v":1,"type":"x.y","a":[{"$v":1}]}', "$.a[0].type", "missing"),
        ('{"$v":1,"type":"exception","exception":"E"}', "$.exception", "an exception"),
    ],
)
def test_data_that_is_no_event_is_refused_with_its_place(text, path, message):
    """
    The error has the path of what is wrong, and says what is expected there.
    """
    with pytest.raises(CodecError, match=message) as caught_error:
        loads(text)

    assert caught_error.value.path == path
    assert path in str(caught_error.value)
    assert str(caught_error.value).isascii()


@pytest.mark.parametrize(
    ("read", "broken", "offset"),
    [
        (loads, '{"$v":1,"type":x}', 15),
        (loads, '{"$v":1,', 8),
        (loads, b"", 0),
        (loads, b'{"a":"\xff"}', 6),
        (loads, '{"\u00e9":"\ud800"}', 7),
        (unpacks, b"", 0),
        (unpacks, b"\x82\xa2$v\x01", 5),
        (unpacks, b"\x81\xc1\x01", 1),
        (unpacks, b"\x81\xa2$v\xa3ab\xff", 7),
    ],
)
def test_broken_encoding_is_refused_with_its_offset(read, broken, offset):
    """
    What isn't JSON or MessagePack at all is a `CodecError` that names the byte.
    """
    with pytest.raises(CodecError, match=rf"\(byte {offset}\)"):
        read(broken)


@pytest.mark.parametrize("read", [loads, unpacks])
def test_deep_nesting_is_refused(read):
    """
    Data that is nested 100,000 deep is a `CodecError`, whatever it is.
    """
    for broken in (b"[" * 100_000, b'{"a":' * 100_000, b"\x91" * 100_000):
        with pytest.raises(CodecError):
            read(broken)


@pytest.mark.parametrize("read", [loads, unpacks])
def test_other_arguments_are_type_errors(read):
    """
    A caller's mistake is not reported as broken data.
    """
    with pytest.raises(TypeError):
        read(5)


def test_messagepack_extensions_and_foreign_keys_are_refused():
    """
    Timestamps, extension types and keys that are no str have no place in the format.
    """
    document = {"$v": 1, "type": "other"}
    for foreign in (datetime.now(UTC), msgspec.msgpack.Ext(5, b""), {1: 2}, {b"a": 1}):
        with pytest.raises(CodecError) as caught_error:
            unpacks(msgspec.msgpack.encode(document | {"data": foreign}))
        assert caught_error.value.path == "$.data"


def test_validator_that_refuses_is_a_codec_error():
    """
    What a user's class raises when it is built is reported as the data's fault, with its place.
    """

    @register_event(name="test.picky")
    @attrs.frozen
    class Picky:
        n: int = attrs.field(validator=attrs.validators.ge(0))

    with pytest.raises(CodecError, match=r"Picky refused") as caught_error:
        loads('{"$v":1,"type":"other","data":[{"$v":1,"type":"test.picky","n":-1}]}')

    assert caught_error.value.path == "$.data[0]"
    assert isinstance(caught_error.value.__cause__, ValueError)


def test_names_in_the_data_are_never_imported():
    """
    A class is looked up in the registry; anything else is an unknown object, and stays data.
    """
    event = loads(data({"$class": "subprocess.Popen", "args": ["true"]}))

    assert event.data == UnknownObject("subprocess.Popen", {"args": ["true"]}, is_event=False)


json_keys = st.text(max_size=3) | st.sampled_from(
    ["$v", "type", "data", "item", "content", "role", "extra", "$class", *codec._TAGS]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(json_keys, inner, max_size=4),
    max_leaves=10,
)
headed = st.fixed_dictionaries(
    {"$v": st.just(1), "type": st.sampled_from([*EVENT_TYPES, "x.y"])},
    optional={
        name: json_values
        for cls in EVENT_TYPES.values()
        for name in attrs.fields_dict(cls)
        if name != "type"
    },
)


def reads_or_refuses(read, document):
    try:
        event = read(document)
    except CodecError:
        return
    assert type(event) in EVENT_TYPES.values()
    dumps(event)
    packs(event)


@given(st.binary() | st.text())
def test_arbitrary_input_is_an_event_or_a_codec_error(noise):
    """
    No bytes and no text make the readers raise anything else.
    """
    reads_or_refuses(loads, noise)
    if isinstance(noise, bytes):
        reads_or_refuses(unpacks, noise)


@given(json_values | headed)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_arbitrary_document_is_an_event_or_a_codec_error(document):
    """
    No well-formed document does either, and what is read can be written.
    """
    reads_or_refuses(unpacks, msgspec.msgpack.encode(document) if packable(document) else b"")
    if isinstance(document, dict):
        reads_or_refuses(from_plain, document)


def packable(document):
    try:
        msgspec.msgpack.encode(document)
    except OverflowError:
        return False
    return True


@given(all_events, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_damaged_document_is_an_event_or_a_codec_error(event, draw):
    """
    Bytes that are cut, changed or inserted anywhere in a document do no more harm than that.
    """
    for write, read in ((lambda e: dumps(e).encode(), loads), (packs, unpacks)):
        document = bytearray(write(event))
        start = draw.draw(st.integers(0, len(document)))
        end = draw.draw(st.integers(start, min(len(document), start + 8)))
        document[start:end] = draw.draw(st.binary(max_size=8))
        reads_or_refuses(read, bytes(document))


def test_base64_is_the_standard_alphabet_with_padding():
    """
    Readers in other languages can use the base64 that they have.
    """
    raw = bytes(range(256))

    assert json.loads(dumps(other(raw)))["data"]["$bytes"] == base64.b64encode(raw).decode()
