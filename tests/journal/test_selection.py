"""
Selecting records by class, sender, item and response.
"""

from __future__ import annotations

import pytest

from eventbus.events import RealtimeModelAudioEvent
from eventbus.handlers import ANY
from eventbus.journal import CallRecord, EventRecord, FrameRecord, Record, UnknownRecord
from eventbus.journal._selection import Selection, ids_in


def select(*classes, sender=ANY, item=None, response=None):
    return Selection.of(classes, sender=sender, item=item, response=response)


def test_nothing_in_particular_is_everything():
    """
    Without arguments, or with the base of all records, all are wanted.
    """
    for record in (CallRecord(), UnknownRecord(number=300)):
        assert select().has(record)
        assert select(Record).has(record)
        assert not select(FrameRecord).has(record)
        assert not select(sender="a").has(record)


def test_class_of_the_users_own_is_found_by_its_name():
    """
    An event of a class that isn't registered is named in the journal, and found by that name.
    """

    class Order:
        pass

    name = f"{Order.__module__}.{Order.__qualname__}"

    assert select(Order).has(EventRecord(class_name=name))
    assert not select(Order).has(EventRecord(class_name="shop.Order"))


def test_registered_class_is_found_by_its_type_name():
    """
    A class is found by the name that it is registered with, wherever it is defined.
    """
    assert select(RealtimeModelAudioEvent).has(EventRecord(class_name="x", type_name="audio"))
    assert not select(RealtimeModelAudioEvent).has(EventRecord(class_name="x", type_name="usage"))


@pytest.mark.parametrize(
    ("fields", "items", "responses"),
    [
        ({"item_id": "i1", "response_id": "r1"}, {"i1"}, {"r1"}),
        ({"item": {"id": "i1"}, "response": {"id": "r1"}}, {"i1"}, {"r1"}),
        ({"item": {"item_id": "i1"}}, {"i1"}, set()),
        ({"item_id": 5, "item": ["i1"], "response": None}, set(), set()),
    ],
)
def test_ids_are_where_vendors_and_events_have_them(fields, items, responses):
    """
    An id stands beside, or in the object that it is the id of.
    """
    assert ids_in(fields, "item") == items
    assert ids_in(fields, "response") == responses


@pytest.mark.parametrize(
    "record",
    [
        EventRecord(),
        FrameRecord(data=b"i1 is no JSON"),
        FrameRecord(data=b'["i1"]'),
        FrameRecord(data=b'{"item_id":"i1"}', form="str"),
        CallRecord(handler="i1"),
    ],
    ids=repr,
)
def test_what_names_no_item_has_none(record):
    """
    An id that merely occurs in a record doesn't count.
    """
    assert not select(item="i1").has(record)
