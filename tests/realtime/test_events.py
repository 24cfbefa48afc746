"""
The session's vocabulary is that of openai-agents, frozen, and travels.
"""

from __future__ import annotations

import dataclasses
import typing
import weakref

import attrs
import pytest

from eventbus.codec import CodecError, RemoteObject, dumps, loads, packs, unpacks
from eventbus.events import EVENT_TYPES, RealtimeModelAudioEvent, RealtimeModelEvent
from eventbus.items import InputText, UserMessageItem
from eventbus.realtime import events
from eventbus.realtime.events import (
    RealtimeAudio,
    RealtimeAudioEnd,
    RealtimeError,
    RealtimeEventInfo,
    RealtimeGuardrailTripped,
    RealtimeHistoryAdded,
    RealtimeHistoryUpdated,
    RealtimeModelRawClientEvent,
    RealtimeModelSkippedEvent,
    RealtimeSessionEvent,
    RealtimeSessionRestored,
    RealtimeToolApprovalRequired,
    RealtimeToolEnd,
)
from eventbus.realtime.history import HistorySnapshot
from eventbus.realtime.tools import tool

theirs = pytest.importorskip("agents.realtime.events")

CLASSES = typing.get_args(RealtimeSessionEvent)
INFO = RealtimeEventInfo({"caller": "Ann"})
ITEM = UserMessageItem("item_1", [InputText("the password is tulip")])


@tool
def order(flower: str) -> None: ...


def test_there_are_the_fifteen_events_of_openai_agents():
    """
    Ours are as many, with the same names.
    """
    their_names = {cls.__name__ for cls in typing.get_args(theirs.RealtimeSessionEvent)}

    assert {cls.__name__ for cls in CLASSES} == their_names
    assert len(CLASSES) == 15


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_class_has_the_fields_of_its_model(cls):
    """
    Names, order and the type are the same; an instance is frozen, slotted and weakly referable.
    """
    their_fields = dataclasses.fields(getattr(theirs, cls.__name__))

    assert [field.name for field in attrs.fields(cls)] == [field.name for field in their_fields]
    assert attrs.fields(cls).type.default == their_fields[-1].default
    instance = cls(*[()] * (len(their_fields) - 1))
    assert (instance.type, weakref.ref(instance)()) == (their_fields[-1].default, instance)
    assert not hasattr(instance, "__dict__")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        instance.type = "other"


def test_all_are_in_the_unions_and_in_dunder_all():
    """
    A class that is added to the module is added to the vocabulary.
    """
    named = {getattr(events, name) for name in events.__all__}
    classes = {cls for cls in named if isinstance(cls, type)}

    assert classes == {
        *CLASSES,
        RealtimeModelRawClientEvent,
        RealtimeModelSkippedEvent,
        RealtimeSessionRestored,
        RealtimeEventInfo,
    }


def test_history_is_kept_from_change():
    """
    A list becomes a tuple; a snapshot stays a snapshot.
    """
    items = [ITEM]
    event = RealtimeHistoryUpdated(items, INFO)
    items.clear()

    assert event.history == (ITEM,)
    snapshot = HistorySnapshot((ITEM,))
    assert RealtimeHistoryUpdated(snapshot, INFO).history is snapshot
    assert RealtimeHistoryUpdated(snapshot, INFO) == event


@pytest.mark.parametrize(
    "event",
    [
        RealtimeToolEnd("tulip", order, '{"flower": "tulip"}', "tulip", RealtimeEventInfo("tulip")),
        RealtimeToolApprovalRequired(None, order, "call_1", '{"flower": "tulip"}', INFO),
        RealtimeHistoryUpdated((ITEM,), INFO),
        RealtimeHistoryAdded(ITEM, INFO),
        RealtimeGuardrailTripped(["tulip"], "tulip", INFO),
        RealtimeModelRawClientEvent({"text": "tulip"}),
    ],
    ids=lambda event: event.type,
)
def test_repr_has_no_content(event):
    """
    Words of a caller or a model aren't in it.
    """
    assert "tulip" not in repr(event)


# --- travelling ------------------------------------------------------------------------------

AUDIO = RealtimeModelAudioEvent(b"\0\1", "resp_1", "item_1", 0)


@pytest.mark.parametrize(
    "event",
    [
        RealtimeAudio(AUDIO, "item_1", 0, INFO),
        RealtimeAudioEnd(INFO, "item_1", 0),
        RealtimeError({"message": "no"}, INFO),
        RealtimeHistoryAdded(ITEM, INFO),
        RealtimeHistoryUpdated(HistorySnapshot((ITEM,)), INFO),
        RealtimeToolEnd(None, None, "{}", {"x": [1]}, INFO),
        RealtimeModelRawClientEvent({"type": "response.create"}),
        RealtimeModelSkippedEvent("audio"),
    ],
    ids=lambda event: event.type,
)
def test_event_comes_back_equal(event):
    """
    As JSON and as MessagePack, under a name that is no model event's.
    """
    assert loads(dumps(event)) == event
    assert unpacks(packs(event)) == event


def test_type_names_are_those_of_the_session():
    """
    Model events keep their names.
    """
    assert [EVENT_TYPES[f"session.{attrs.fields(cls).type.default}"] for cls in CLASSES] == [
        *CLASSES
    ]
    assert EVENT_TYPES["audio"] is RealtimeModelAudioEvent
    assert EVENT_TYPES["raw_client_event"] is RealtimeModelRawClientEvent
    assert not {*typing.get_args(RealtimeModelEvent)} & {*CLASSES}


def test_objects_of_the_application_travel_by_name():
    """
    A tool, and a context that is no data, are named; the rest comes back.
    """
    event = RealtimeToolEnd(None, order, "{}", "out", RealtimeEventInfo(test_repr_has_no_content))

    loaded = loads(dumps(event))

    assert isinstance(loaded.tool, RemoteObject)
    assert "order" in loaded.tool.name
    assert loaded.info.context == RemoteObject(f"{__name__}.test_repr_has_no_content")
    assert (loaded.output, loaded.arguments) == ("out", "{}")


def test_history_of_something_else_is_refused():
    """
    Only items are written as a history.
    """
    with pytest.raises(CodecError, match=r"\$\.history"):
        dumps(RealtimeHistoryUpdated(("text",), INFO))
