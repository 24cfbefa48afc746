"""
A document is an event of a known type, or is kept until it meets a process that knows it.
"""

from __future__ import annotations

import collections
from decimal import Decimal
from typing import Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from eventbus.codec import (
    OR_NAME,
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
    RealtimeError,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTurnEndedEvent,
    register_event,
)
from eventbus.exceptions import CodecError, RemoteException
from tests.codec.journeys import (
    AUDIO,
    ORDER,
    Cash,
    Price,
    every_format,
    instances_of,
    other,
    registry,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.usefixtures("registry")


# --- events within events ---------------------------------------------------------------------


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
    A `RealtimeError`, which has a ``type`` of its own, comes back as one from a field of any type.
    """
    event = RealtimeModelTurnEndedEvent("r", "failed", RealtimeError("m", "server_error"))

    assert travel(event) == event


# --- reports of a crash -----------------------------------------------------------------------


@every_format
def test_event_and_sender_of_a_crash_travel(travel):
    """
    The event that crashed a handler is nested, and a sender of plain data stays the same.
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


# --- unknown types ----------------------------------------------------------------------------

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
@pytest.mark.slow
def test_any_event_survives_a_process_that_does_not_know_it(event):
    """
    A process without the class hands it on, and one with it reads the class again.
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


def test_names_in_the_data_are_never_imported():
    """
    A class is looked up in the registry; anything else is an unknown object, and stays data.
    """
    event = from_plain(
        {"$v": 1, "type": "other", "data": {"$class": "subprocess.Popen", "args": ["true"]}}
    )

    assert event.data == UnknownObject("subprocess.Popen", {"args": ["true"]}, is_event=False)


# --- other versions ---------------------------------------------------------------------------


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


# --- type names -------------------------------------------------------------------------------


@every_format
def test_class_without_a_type_field_is_tagged_with_its_name(travel):
    """
    The name given to `register_event` is enough.
    """
    register_event(Price, name="test.price")
    event = Price(Decimal("0.10"))

    assert to_plain(event)["type"] == "test.price"
    assert travel(event) == event


@every_format
def test_constant_type_gives_way_to_the_registered_name(travel):
    """
    A constant of the class needn't be written, and is there again.
    """
    register_event(Cash, name="test.cash")

    assert to_plain(Cash((1, 2)))["type"] == "test.cash"
    assert travel(Cash((1, 2))) == Cash((1, 2))


def test_type_field_that_differs_from_the_registered_name_is_refused():
    """
    Written, one of the two would be lost; so nothing is.
    """

    @attrs.frozen
    class Barter:
        type: str = "goods"

    register_event(Barter, name="test.barter")

    with pytest.raises(CodecError, match=r"'chicken'.*'test\.barter'") as caught_error:
        dumps(Barter("chicken"))

    assert caught_error.value.path == "$.type"


@every_format
def test_what_cannot_be_written_is_named_where_the_field_says_so(travel):
    """
    With the metadata `OR_NAME`, a field's value is data if it can be, else its qualified name.
    """

    @register_event
    @attrs.frozen
    class Hired:
        who: Any = attrs.field(metadata=OR_NAME)
        type: Literal["test.hired"] = "test.hired"

    assert travel(Hired(["ann"])) == Hired(["ann"])
    assert travel(Hired(dumps)) == Hired(RemoteObject("eventbus.codec.dumps"))


@every_format
def test_any_sequence_will_do_where_one_is_declared(travel):
    """
    A sequence that is neither list nor tuple is written as a list of its members.
    """
    prices = collections.deque([Price(Decimal(1)), Price(Decimal(2))])

    assert travel(attrs.evolve(ORDER, history=prices)).history == [*prices]


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


def test_unknown_event_reads_like_a_frame():
    """
    Code for a vendor's unknown frame works with an unknown event, too.
    """
    other = loads('{"$v": 1, "type": "shop.unknown", "amount": 5}')

    assert other.data["type"] == "shop.unknown"
    assert other.data.get("amount") == 5
    assert other.data.get("nothing") is None
    assert dict(other.data) == {"type": "shop.unknown", "amount": 5}
