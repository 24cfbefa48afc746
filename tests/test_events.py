"""
The vocabulary is that of section 3 of the design, and each of its classes is a value.
"""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
import weakref

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import DuplicateEventTypeError, EventTypeError, events
from eventbus.codec import dumps
from eventbus.events import (
    EVENT_TYPES,
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelDelegationEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioCommittedEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelInputTokensDetails,
    RealtimeModelInputTranscriptDeltaEvent,
    RealtimeModelInputTranscriptUpdatedEvent,
    RealtimeModelItemDeletedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelOutputTextDeltaEvent,
    RealtimeModelOutputTextDoneEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelToolCallCancelledEvent,
    RealtimeModelToolCallDeltaEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
    RealtimeModelUsageEvent,
    Usage,
    register_event,
)
from eventbus.items import InputAudio, UserMessageItem
from eventbus.wire.openai import OpenAIRealtimeDecoder

CLASSES = typing.get_args(RealtimeModelEvent)

# Section 3 of the design: class -> its fields in positional order, and its type name.
LISTED = {
    "Error": ("error", "error"),
    "ToolCall": ("name call_id arguments id previous_item_id", "function_call"),
    "Audio": ("data response_id item_id content_index", "audio"),
    "AudioInterrupted": ("item_id content_index", "audio_interrupted"),
    "AudioDone": ("item_id content_index", "audio_done"),
    "InputAudioTranscriptionCompleted": (
        "item_id transcript",
        "input_audio_transcription_completed",
    ),
    "InputAudioTimeoutTriggered": (
        "item_id audio_start_ms audio_end_ms",
        "input_audio_timeout_triggered",
    ),
    "TranscriptDelta": ("item_id delta response_id", "transcript_delta"),
    "OutputTextDelta": ("item_id delta response_id", "output_text_delta"),
    "ItemUpdated": ("item", "item_updated"),
    "ItemDeleted": ("item_id", "item_deleted"),
    "ConnectionStatus": ("status", "connection_status"),
    "EndOfStream": ("", "end_of_stream"),
    "TurnStarted": ("response_id", "turn_started"),
    "Usage": ("usage input_tokens_details output_tokens_details", "usage"),
    "TurnEnded": ("response_id status error", "turn_ended"),
    "Other": ("data", "other"),
    "Exception": ("exception context", "exception"),
    "RawServer": ("data", "raw_server_event"),
    "SessionUpdated": ("session created", "session_updated"),
    "InputSpeechStarted": ("item_id audio_start_ms", "input_speech_started"),
    "InputSpeechStopped": ("item_id audio_end_ms", "input_speech_stopped"),
    "InputAudioCommitted": ("item_id previous_item_id", "input_audio_committed"),
    "InputTranscriptDelta": ("item_id delta content_index", "input_transcript_delta"),
    "InputAudioTranscriptionFailed": ("item_id error", "input_audio_transcription_failed"),
    "TranscriptDone": ("item_id transcript response_id", "transcript_done"),
    "OutputTextDone": ("item_id text response_id", "output_text_done"),
    "ToolCallDelta": ("call_id item_id delta response_id", "tool_call_delta"),
    "ItemTruncated": ("item_id content_index audio_end_ms", "item_truncated"),
    "RateLimits": ("limits", "rate_limits"),
    "InputTranscriptUpdated": ("item_id transcript", "input_transcript_updated"),
    "ToolCallCancelled": ("call_ids", "tool_call_cancelled"),
    "SessionExpiring": ("seconds_left", "session_expiring"),
    "Delegation": ("delegation_id target offset_ms response_id", "delegation"),
}

DEFAULTS_TO_NONE = {
    "ToolCall": {"id", "previous_item_id"},
    "TurnStarted": {"response_id"},
    "Usage": {"input_tokens_details", "output_tokens_details"},
    "TurnEnded": {"response_id", "status", "error"},
    "Exception": {"context", "event", "handler", "sender"},
    "Delegation": {"response_id"},
}

DEFAULTS_TO_FALSE = {"TurnEnded": {"inferred", "more_expected"}}

EXAMPLES = [
    RealtimeModelErrorEvent(RealtimeError("no such voice", "invalid_request_error")),
    RealtimeModelToolCallEvent("find_table", "call_1", '{"people": 4}', id="item_3"),
    RealtimeModelAudioEvent(b"\x00\x01" * 4, "resp_1", "item_1", 0),
    RealtimeModelAudioInterruptedEvent("item_1", 0),
    RealtimeModelAudioDoneEvent("item_1", 0),
    RealtimeModelInputAudioTranscriptionCompletedEvent("item_2", "a table for four"),
    RealtimeModelInputAudioTimeoutTriggeredEvent("item_2", 100, 900),
    RealtimeModelTranscriptDeltaEvent("item_1", "For ", "resp_1"),
    RealtimeModelOutputTextDeltaEvent("item_1", "For ", "resp_1"),
    RealtimeModelItemUpdatedEvent(UserMessageItem("item_2", (InputAudio(),))),
    RealtimeModelItemDeletedEvent("item_2"),
    RealtimeModelConnectionStatusEvent("connected"),
    RealtimeModelEndOfStreamEvent(),
    RealtimeModelTurnStartedEvent("resp_1"),
    RealtimeModelUsageEvent(Usage(1, 20, 30, 50), RealtimeModelInputTokensDetails(audio_tokens=20)),
    RealtimeModelTurnEndedEvent("resp_1", "completed"),
    RealtimeModelOtherEvent({"type": "weather.changed"}),
    RealtimeModelExceptionEvent(ValueError("boom"), "a test", sender="call-1"),
    RealtimeModelRawServerEvent({"type": "response.created"}),
    RealtimeModelSessionUpdatedEvent({"voice": "alto"}, created=True),
    RealtimeModelInputSpeechStartedEvent("item_2", 120),
    RealtimeModelInputSpeechStoppedEvent("item_2", 800),
    RealtimeModelInputAudioCommittedEvent("item_2", None),
    RealtimeModelInputTranscriptDeltaEvent("item_2", "a ta", 0),
    RealtimeModelInputAudioTranscriptionFailedEvent("item_2", RealtimeError("too quiet")),
    RealtimeModelTranscriptDoneEvent("item_1", "For four, gladly.", "resp_1"),
    RealtimeModelOutputTextDoneEvent("item_1", "For four, gladly.", "resp_1"),
    RealtimeModelToolCallDeltaEvent("call_1", "item_3", '{"peo', "resp_1"),
    RealtimeModelItemTruncatedEvent("item_1", 0, 640),
    RealtimeModelRateLimitsEvent([{"name": "tokens", "remaining": 10}]),
    RealtimeModelInputTranscriptUpdatedEvent("item_2", "a table"),
    RealtimeModelToolCallCancelledEvent(("call_1", "call_2")),
    RealtimeModelSessionExpiringEvent(50.0),
    RealtimeModelDelegationEvent("del_1", "client", 1_200),
]


def short_name(cls: type) -> str:
    return cls.__name__.removeprefix("RealtimeModel").removesuffix("Event")


each_class = pytest.mark.parametrize("cls", CLASSES, ids=short_name)

# The first table of section 3; the second one is what openai-agents drops.
SHARED = CLASSES[:19]

each_shared_class = pytest.mark.parametrize("cls", SHARED, ids=short_name)
each_example = pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)


@pytest.fixture
def _registry():
    """
    Take out the classes that a test has registered.
    """
    before = dict(events._event_types)  # there is no public way to forget a class
    yield
    events._event_types.clear()
    events._event_types.update(before)


# --- the classes -----------------------------------------------------------------------------


def test_vocabulary_is_what_the_design_lists():
    """
    The union has the classes of section 3, all of them and no others.
    """
    assert {short_name(cls) for cls in CLASSES} == LISTED.keys()
    assert all(cls.__name__ == f"RealtimeModel{short_name(cls)}Event" for cls in CLASSES)


@each_class
def test_fields_are_those_listed_in_positional_order_and_type_last(cls):
    """
    The fields of the design can be given by position, in that order, and ``type`` comes after them.
    """
    fields, type_name = LISTED[short_name(cls)]
    parameters = inspect.signature(cls).parameters.values()

    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert positional == [*fields.split(), "type"]
    assert attrs.fields_dict(cls)["type"].default == type_name


@each_class
def test_fields_default_as_listed(cls):
    """
    Fields that the design gives a default have it, and no others have one.
    """
    name = short_name(cls)
    defaults = dict.fromkeys(DEFAULTS_TO_NONE.get(name, ()), None)
    defaults |= dict.fromkeys(DEFAULTS_TO_FALSE.get(name, ()), False)

    for field in attrs.fields(cls):
        if field.name != "type":
            assert field.default is defaults.get(field.name, attrs.NOTHING), field.name


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (RealtimeModelExceptionEvent, {"event", "handler", "sender"}),
        (RealtimeModelTurnEndedEvent, {"inferred", "more_expected"}),
    ],
)
def test_circumstances_are_keyword_only(cls, names):
    """
    The circumstances of an event can't be given by position.
    """
    parameters = inspect.signature(cls).parameters.values()

    keyword_only = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}

    assert keyword_only == names


def test_cancelled_calls_are_kept_as_a_tuple():
    """
    A list of call ids becomes a tuple, so that events with the same ids are equal.
    """
    event = RealtimeModelToolCallCancelledEvent(["call_1"])

    assert event.call_ids == ("call_1",)
    assert event == RealtimeModelToolCallCancelledEvent(("call_1",))


@each_class
def test_type_is_a_literal_of_its_one_value(cls):
    """
    A type checker can narrow the union by ``type``: it is declared as a Literal, and unlike any
    other.
    """
    annotation = typing.get_type_hints(cls)["type"]

    assert typing.get_origin(annotation) is typing.Literal
    assert typing.get_args(annotation) == (attrs.fields_dict(cls)["type"].default,)


@each_class
def test_docstring_names_the_source(cls):
    """
    Each class says which message of the vendor, or which part of ours, it comes from.
    """
    assert "\nSource:\n" in inspect.getdoc(cls)


def test_examples_are_of_every_class():
    """
    The tests below leave out no class.
    """
    assert [type(event) for event in EXAMPLES] == list(CLASSES)


@each_example
def test_event_is_frozen(event):
    """
    No field of an event can be set.
    """
    for field in attrs.fields(type(event)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(event, field.name, None)


@each_example
def test_event_is_slotted(event):
    """
    An event has no ``__dict__``, but can be referred to weakly.
    """
    assert not hasattr(event, "__dict__")
    assert weakref.ref(event)() is event


@each_example
def test_type_is_part_of_the_value(event):
    """
    ``attrs.asdict`` has the type.
    """
    assert attrs.asdict(event)["type"] == LISTED[short_name(type(event))][1]


@each_example
def test_event_pickles(event):
    """
    An unpickled event equals the pickled one.
    """
    copied = pickle.loads(pickle.dumps(event))

    if isinstance(event, RealtimeModelExceptionEvent):  # exceptions equal only themselves
        assert repr(copied) == repr(event)
    else:
        assert copied == event


@each_example
def test_event_can_be_copied_and_evolved(event):
    """
    `copy.copy` and `attrs.evolve` give an equal event.
    """
    assert copy.copy(event) == event
    assert attrs.evolve(event) == event


def test_mark_of_a_decoder_is_no_part_of_an_event():
    """
    A decoder's Other event equals a plain one, and neither repr, asdict nor JSON tell them apart.
    """
    plain = RealtimeModelOtherEvent({"type": "weather.changed"})

    made = OpenAIRealtimeDecoder().decode(b'{"type":"weather.changed"}')[1]

    assert made == plain
    assert set(attrs.asdict(made)) == {"data", "type"}
    assert dumps(made) == dumps(plain)
    assert "mark" not in repr(made)


def test_events_are_equal_by_value_within_their_class():
    """
    Two events of one class with the same fields are equal, those of different classes never.
    """
    assert RealtimeModelItemDeletedEvent("item_1") == RealtimeModelItemDeletedEvent("item_1")
    assert RealtimeModelItemDeletedEvent("item_1") != RealtimeModelItemDeletedEvent("item_2")
    assert RealtimeModelAudioDoneEvent("item_1", 0) != RealtimeModelAudioInterruptedEvent(
        "item_1", 0
    )


@each_shared_class
def test_shares_fields_with_the_openai_agents_sdk(cls):
    """
    A class that openai-agents has too begins with that SDK's fields, in its order, and has its
    type name.
    """
    their_class = openai_agents_class(cls)

    theirs = {field.name: field.default for field in dataclasses.fields(their_class)}
    type_name = theirs.pop("type")

    assert [field.name for field in attrs.fields(cls)][: len(theirs)] == list(theirs)
    assert attrs.fields_dict(cls)["type"].default == type_name


@each_shared_class
def test_shares_plain_types_with_the_openai_agents_sdk(cls):
    """
    A field that is a str, an int, bytes or None in openai-agents is the same in ours.
    """
    their_hints = typing.get_type_hints(openai_agents_class(cls))
    our_hints = typing.get_type_hints(cls)

    plain = {
        name: hint
        for name, hint in their_hints.items()
        if {hint, *typing.get_args(hint)} & {str, int, bytes}
    }

    assert {name: our_hints[name] for name in plain} == plain


def openai_agents_class(cls: type) -> type:
    return getattr(pytest.importorskip("agents.realtime.model_events"), cls.__name__)


def test_openai_agents_has_no_event_that_is_missing_here():
    """
    Each model event of openai-agents is in the vocabulary under its name.
    """
    theirs = pytest.importorskip("agents.realtime.model_events")

    names = {cls.__name__ for cls in typing.get_args(theirs.RealtimeModelEvent)}

    assert names <= {cls.__name__ for cls in CLASSES}


# --- what is shown of an event ---------------------------------------------------------------


@given(st.binary(min_size=12))
def test_repr_of_audio_shows_its_length_not_its_bytes(data):
    """
    However long the audio is, its repr is the number of its bytes.
    """
    shown = repr(RealtimeModelAudioEvent(data, "resp_1", "item_1", 0))

    assert shown == (
        f"RealtimeModelAudioEvent(data=<{len(data)} bytes>, response_id='resp_1', "
        "item_id='item_1', content_index=0, type='audio')"
    )


def test_repr_of_an_exception_event_does_not_show_the_event_it_is_about():
    """
    A line of a log about a failure doesn't repeat the caller's words.
    """
    about = RealtimeModelTranscriptDeltaEvent("item_1", "my card number is", "resp_1")

    shown = repr(RealtimeModelExceptionEvent(ValueError("boom"), event=about))

    assert "card number" not in shown
    assert "<RealtimeModelTranscriptDeltaEvent>" in shown


# --- RealtimeError ---------------------------------------------------------------------------


def test_error_reads_as_attributes_and_as_a_mapping():
    """
    A given key is there under its name both ways, including those that the vendor added; a missing
    one is no key.
    """
    error = RealtimeError("too many", code="rate_limit", extra={"retry_after": 3})

    assert error.message == error["message"] == "too many"
    assert dict(error) == {"message": "too many", "code": "rate_limit", "retry_after": 3}
    assert error.get("param", "?") is None
    assert error.get("colour", "?") == "?"
    with pytest.raises(KeyError):
        error["colour"]


# --- the registry ----------------------------------------------------------------------------


def test_registry_has_every_class_by_its_type_name():
    """
    `EVENT_TYPES` maps the listed type names to the classes.
    """
    expected = {type_name: f"RealtimeModel{name}Event" for name, (_, type_name) in LISTED.items()}

    vocabulary = {name: cls.__name__ for name, cls in EVENT_TYPES.items() if cls in CLASSES}

    assert vocabulary == expected


def test_registry_is_read_only():
    """
    Only `register_event` changes `EVENT_TYPES`.
    """
    with pytest.raises(TypeError):
        EVENT_TYPES["audio"] = RealtimeModelOtherEvent


@pytest.mark.usefixtures("_registry")
def test_registered_class_joins_under_the_default_of_its_type():
    """
    A decorated class is in the registry, and comes back as it was.
    """

    @register_event
    @attrs.frozen
    class OrderPlaced:
        number: int
        type: typing.Literal["shop.order_placed"] = "shop.order_placed"

    assert EVENT_TYPES["shop.order_placed"] is OrderPlaced
    assert OrderPlaced(1).number == 1


@pytest.mark.usefixtures("_registry")
def test_registered_name_need_not_be_a_field():
    """
    With ``name=`` the class needs no ``type``.
    """

    @register_event(name="shop.order_placed")
    @attrs.frozen
    class OrderPlaced:
        number: int

    assert EVENT_TYPES["shop.order_placed"] is OrderPlaced


@pytest.mark.usefixtures("_registry")
def test_registering_a_class_again_changes_nothing():
    """
    A module may be executed, and a class registered, a second time.
    """
    assert register_event(RealtimeModelAudioEvent) is RealtimeModelAudioEvent
    assert EVENT_TYPES["audio"] is RealtimeModelAudioEvent


@pytest.mark.usefixtures("_registry")
def test_taken_name_is_refused():
    """
    The error names both classes and the remedy, and the class that has the name keeps it.
    """

    @attrs.frozen
    class Cassette:
        type: typing.Literal["audio"] = "audio"

    with pytest.raises(
        DuplicateEventTypeError, match=r"Cassette.*RealtimeModelAudio.*replace="
    ) as e:
        register_event(Cassette)

    assert e.value.event_type is Cassette
    assert EVENT_TYPES["audio"] is RealtimeModelAudioEvent


@pytest.mark.usefixtures("_registry")
def test_taken_name_can_be_taken_over():
    """
    With ``replace=True`` the name is the new class's.
    """

    @attrs.frozen
    class Cassette:
        type: typing.Literal["audio"] = "audio"

    register_event(Cassette, replace=True)

    assert EVENT_TYPES["audio"] is Cassette


@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize("given", [dict, 5, typing.Any])
def test_registry_takes_attrs_classes_only(given):
    """
    Anything but an attrs class is refused.
    """
    with pytest.raises(EventTypeError, match="not an attrs class"):
        register_event(given)


@pytest.mark.usefixtures("_registry")
def test_name_by_position_is_refused_with_the_remedy():
    """
    ``@register_event("shop.order_placed")`` is refused, and the error says to give it as ``name=``.
    """
    with pytest.raises(EventTypeError, match=r"give the name as name=: name='shop\.order_placed'"):
        register_event("shop.order_placed")


@pytest.mark.usefixtures("_registry")
def test_decorator_below_attrs_is_refused():
    """
    ``@register_event`` under ``@attrs.frozen`` would register the class that attrs replaces; the
    error says which order is right.
    """
    with pytest.raises(EventTypeError, match=r"put @attrs\.frozen below @register_event"):

        @attrs.frozen
        @register_event(name="shop.order_placed")
        class OrderPlaced:
            number: int

    assert "shop.order_placed" not in EVENT_TYPES


@pytest.mark.usefixtures("_registry")
def test_class_without_a_type_name_is_refused():
    """
    A class that has no ``type`` and was given no name can't be told from others in a file.
    """

    @attrs.frozen
    class OrderPlaced:
        number: int

    with pytest.raises(EventTypeError, match=r"OrderPlaced has no type name.*name="):
        register_event(OrderPlaced)
