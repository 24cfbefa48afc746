from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import EventBus, Mailbox, Overflow, journal
from eventbus.events import (
    EVENT_TYPES,
    RealtimeModelAudioEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRateLimitsEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelSessionUpdatedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import BusClosed, MailboxFull
from eventbus.middleware import EventObserver
from eventbus.wire import Decoder, Origin, find_decoder, origin_of, register_decoder
from eventbus.wire._origin import decoder_of
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.support import Watcher

CREATED = b'{"type":"response.created","event_id":"event_1","response":{"id":"resp_1"}}'
AUDIO = json.dumps(
    {
        "type": "response.output_audio.delta",
        "event_id": "event_1",
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "AAAA",
    }
).encode()


class Recorder(EventObserver):
    """
    Notes the class of each event that is published.
    """

    def __init__(self):
        self.seen = []

    def handler_started(self, call):
        pass

    def handler_finished(self, call):
        pass

    def event_published(self, event, sender, sequence):
        self.seen.append((type(event), sender))

    def event_unhandled(self, event, sender, sequence):
        pass

    def events_dropped(self, *args):
        pass


class OtherBus:
    """
    A bus of another make, with the methods of the protocol and no others.
    """

    def __init__(self, *taken):
        self.taken = taken
        self.published = []

    def has_handlers(self, event_type, *, sender=None):
        return event_type in self.taken

    def publish(self, event, *, sender=None):
        self.published.append((type(event), sender))


@pytest.fixture
def decoder():
    return OpenAIRealtimeDecoder()


@pytest.mark.parametrize("sender", [None, "call-1"])
@pytest.mark.parametrize("frame", [CREATED, CREATED.decode(), json.loads(CREATED)])
def test_events_of_a_frame_are_published_in_order(decoder, frame, sender):
    """
    Handlers get the raw event, and then the events that the frame means.
    """
    bus, seen = EventBus(), []
    bus.subscribe(lambda event, context: seen.append((event.type, context.sender)), object)

    decoder.publish_to(bus, frame, sender=sender)

    assert seen == [("raw_server_event", sender), ("turn_started", sender)]


@pytest.mark.parametrize("sender", [None, "call-1"])
def test_raw_event_that_nothing_sees_is_not_made_and_counts_as_published(decoder, sender):
    """
    The figures of the bus and the numbers of its events are those of a bus that was given each.
    """
    bus, numbers = EventBus(), []
    bus.subscribe(lambda event, context: numbers.append(context.sequence), RealtimeModelAudioEvent)
    for _ in range(3):
        bus.publish(RealtimeModelRawServerEvent({}), sender=sender)
    before = bus.stats

    assert bus.count_unseen(RealtimeModelRawServerEvent, sender)
    for _ in range(3):
        decoder.publish_to(bus, AUDIO, sender=sender)

    assert bus.stats.published - before.published == 7
    assert bus.stats.unhandled - before.unhandled == 4
    assert numbers == [6, 8, 10]


@pytest.mark.parametrize("frame", [AUDIO, CREATED])
def test_raw_event_is_made_for_whatever_sees_it(decoder, frame):
    """
    Handlers of its class, catch-alls, middleware and event observers get each raw event.
    """
    seen = []

    def note(event, call_next):
        seen.append(type(event))
        call_next(event)

    recorder = Recorder()
    watched, wrapped = EventBus(observers=[recorder]), EventBus(middleware=[note])
    handled, caught = EventBus(), EventBus()
    handled.subscribe(lambda event: seen.append(type(event)), RealtimeModelRawServerEvent)
    caught.subscribe(lambda event: seen.append(type(event)), object)

    for bus in (watched, wrapped, handled, caught):
        for _ in range(3):
            decoder.publish_to(bus, frame, sender="call")

    assert recorder.seen.count((RealtimeModelRawServerEvent, "call")) == 3
    assert seen.count(RealtimeModelRawServerEvent) == 9


def test_raw_handler_that_comes_later_gets_the_next_frame(decoder):
    """
    Subscribing and cancelling take effect with the next frame.
    """
    bus, seen = EventBus(), []
    decoder.publish_to(bus, AUDIO)
    decoder.publish_to(bus, AUDIO)

    with bus.subscribe(lambda event: seen.append(event.data), RealtimeModelRawServerEvent):
        decoder.publish_to(bus, AUDIO)
    decoder.publish_to(bus, AUDIO)

    assert seen == [json.loads(AUDIO)]


def test_scope_is_a_bus_with_its_sender(decoder):
    """
    In a scope, its handlers get the events, with its sender.
    """
    bus, seen = EventBus(), []
    with bus.scope("call-1") as call:
        call.subscribe(lambda event, context: seen.append(context.sender), RealtimeModelAudioEvent)
        for _ in range(3):
            decoder.publish_to(call, AUDIO)

    assert seen == ["call-1"] * 3
    assert bus.stats.published == 6


def test_publishing_inside_a_handler_keeps_the_order(decoder):
    """
    Frames that a handler publishes come after the present event, raw events included.
    """
    bus, seen = EventBus(), []

    def forward(event):
        decoder.publish_to(bus, AUDIO)
        decoder.publish_to(bus, CREATED)
        seen.append("forwarded")

    bus.subscribe(forward, RealtimeModelOtherEvent)
    for event_type in (RealtimeModelAudioEvent, RealtimeModelTurnStartedEvent):
        bus.subscribe(lambda event: seen.append(event.type), event_type)

    bus.publish(RealtimeModelOtherEvent("frames have come"))

    assert seen == ["forwarded", "audio", "turn_started"]
    assert bus.stats.published == 5


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ((), [RealtimeModelAudioEvent]),
        ((RealtimeModelRawServerEvent,), [RealtimeModelRawServerEvent, RealtimeModelAudioEvent]),
    ],
)
def test_any_bus_with_publish_and_has_handlers_will_do(decoder, taken, expected):
    """
    Without a hook to count, ``has_handlers`` says whether there is to be a raw event.
    """
    for sender in (None, "call"):
        for _ in range(2):
            bus = OtherBus(*taken)
            decoder.publish_to(bus, AUDIO, sender=sender)

            assert bus.published == [(event_type, sender) for event_type in expected]


async def test_full_mailbox_of_one_event_loses_none_of_the_others(decoder):
    """
    The exception of the first event that raised comes after all have been published.
    """
    seen = []

    async def slow(event):
        pass

    async with EventBus() as bus:
        mailbox = Mailbox(1, overflow=Overflow.RAISE)
        bus.subscribe(slow, RealtimeModelRawServerEvent, mailbox=mailbox)
        bus.subscribe(seen.append, RealtimeModelTurnStartedEvent)
        decoder.publish_to(bus, CREATED)

        with pytest.raises(MailboxFull):
            decoder.publish_to(bus, CREATED)

        assert len(seen) == 2


async def test_closed_bus_is_closed_for_frames_too(decoder):
    """
    A frame that comes after the bus was closed is refused, and not counted.
    """
    async with EventBus() as bus:
        for _ in range(3):
            decoder.publish_to(bus, CREATED)
    before = bus.stats

    with pytest.raises(BusClosed):
        decoder.publish_to(bus, CREATED)

    assert bus.stats == before


# --- marks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [AUDIO, CREATED, b"[]", b'{"type":"ping"}'])
def test_decoder_marks_what_it_made(decoder, frame):
    """
    Each event has the number of its frame and its place in it, and no other frame has the number.
    """
    for _ in range(3):  # another way each time, for audio
        first, second = decoder.decode(frame), decoder.decode(frame)

        assert [origin_of(event).position for event in first] == [0, 1]
        assert len({origin_of(event).frame for event in (*first, *second)}) == 2


def test_mark_counts_the_frames_of_its_decoder(decoder):
    """
    Frames are numbered from 1 for each decoder, also those with a raw event that nothing sees.
    """
    other = OpenAIRealtimeDecoder()
    decoder.decode(CREATED)
    decoder.publish_to(EventBus(), AUDIO)
    marks = [origin_of(event) for event in (decoder.decode(AUDIO)[1], *other.decode(CREATED))]

    assert [mark.frame for mark in marks] == [3, 1, 1]
    assert marks[0].decoder != marks[1].decoder
    assert decoder_of(marks[0].decoder) is decoder
    assert decoder_of(marks[1].decoder) is other


def test_only_the_very_event_has_the_mark(decoder):
    """
    An equal event, a copy and a changed copy were not made by the decoder.
    """
    _, event = decoder.decode(CREATED)
    others = [
        RealtimeModelTurnStartedEvent("resp_1"),
        copy.copy(event),
        copy.deepcopy(event),
        pickle.loads(pickle.dumps(event)),
        attrs.evolve(event),
    ]

    assert isinstance(origin_of(event), Origin)
    assert others == [event] * 5
    assert [origin_of(other) for other in (*others, object(), None)] == [None] * 7


def test_published_events_are_marked_where_the_raw_event_is_seen(decoder):
    """
    A recorder of raw events can tell which events belong to each of them.
    """
    bus, seen = EventBus(), []
    bus.subscribe(seen.append, object)

    decoder.publish_to(bus, AUDIO)
    decoder.publish_to(bus, AUDIO)

    first, second, third, fourth = map(origin_of, seen)
    assert (first.frame, third.frame) == (second.frame, fourth.frame)
    assert [each.position for each in (first, second, third, fourth)] == [0, 1, 0, 1]


# --- the registry ----------------------------------------------------------------------------


def test_decoder_is_found_by_its_name_and_made_with_its_options():
    """
    Name, version and options in a journal's header are enough to make a decoder like the first.
    """
    decoder: Decoder = OpenAIRealtimeDecoder(max_bytes=100)
    header = json.loads(json.dumps([decoder.name, decoder.version, dict(decoder.options)]))

    again = find_decoder(header[0])(**header[2])

    assert type(again) is OpenAIRealtimeDecoder
    assert (again.version, again.options) == (header[1], {**again.options, "max_bytes": 100})


def test_unknown_decoder_is_not_found():
    """
    A reader is told that the decoder of a journal isn't there.
    """
    assert find_decoder("nobody-speaks-this") is None


def test_name_is_registered_once():
    """
    Registering the same class again changes nothing; another one is refused.
    """
    register_decoder(OpenAIRealtimeDecoder)

    with pytest.raises(ValueError, match="choose another name"):
        register_decoder(Recorder, name=OpenAIRealtimeDecoder.name)
    with pytest.raises(ValueError, match="name="):
        register_decoder(Recorder)


# --- fields that are made when they are read -------------------------------------------------

LATE = [
    ({"type": "ping"}, RealtimeModelRawServerEvent, {"type": "ping"}),
    ({"type": "ping"}, RealtimeModelOtherEvent, {"type": "ping"}),
    (
        {"type": "session.updated", "session": {"tools": [{"name": "find"}]}},
        RealtimeModelSessionUpdatedEvent,
        {"tools": [{"name": "find"}]},
    ),
    (
        {"type": "rate_limits.updated", "rate_limits": [{"name": "tokens", "limit": 5}]},
        RealtimeModelRateLimitsEvent,
        [{"name": "tokens", "limit": 5}],
    ),
]


@pytest.mark.parametrize(("frame", "cls", "value"), LATE)
def test_event_with_a_field_that_is_made_late_is_like_any_other(frame, cls, value):
    """
    Copies, comparisons and reprs don't depend on whether the field has been read before.
    """

    def event():
        events = OpenAIRealtimeDecoder().decode(json.dumps(frame).encode())
        return next(each for each in events if type(each) is cls)

    name = attrs.fields(cls)[0].name
    changes = {"created": False} if cls is RealtimeModelSessionUpdatedEvent else {}
    built = cls(**{name: value}, **changes)

    first = event()
    assert getattr(first, name) == value
    assert getattr(first, name) is getattr(first, name)
    assert event() == built
    assert built == event()
    assert pickle.loads(pickle.dumps(event())) == built
    assert copy.copy(event()) == copy.deepcopy(event()) == built
    assert attrs.evolve(event(), **{name: value}) == built
    assert repr(event()) == repr(first)
    with pytest.raises(AttributeError, match="no attribute 'frame'"):
        assert event().frame


@pytest.mark.parametrize(("frame", "cls", "value"), LATE[2:])
def test_part_of_a_frame_in_an_event_is_read_only(frame, cls, value):
    """
    One event is seen by many handlers.
    """
    event = OpenAIRealtimeDecoder().decode(json.dumps(frame).encode())[1]
    part = getattr(event, attrs.fields(cls)[0].name)

    with pytest.raises(TypeError, match="read-only"):
        part[next(iter(part)) if isinstance(part, dict) else 0] = None


# --- one way and the other -------------------------------------------------------------------

DATA = Path(__file__).parents[1] / "data"
LINES = [
    line
    for name in ("openai_ga_types", "voice_live_audio_turn", "xai_audio_turn")
    for line in (DATA / f"{name}.jsonl").read_bytes().splitlines()
]
INSERTED = st.sampled_from(
    [
        b"",
        b'"event_id":"e",',
        b'"id":1,',
        b'"type":"x",',
        b":",
        b'":"',
        b"\\u003a",
        b"{}",
        b"[[",
        b"\\",
        b'"',
        b"null,",
    ]
)
WIDTH = 600
"""More spaces than the longest frame that `publish_to` reads in one step has bytes."""


def with_inserted(line, number, inserted):
    """
    Return *line* with something behind one of its first colons, commas and brackets.
    """
    places = [found.end() for found in re.finditer(rb"[{\[,:]", line)]
    place = places[number % len(places)]
    return line[:place] + inserted + line[place:]


def shown(events):
    return [(type(e), str(e.exception) if e.type == "exception" else e) for e in events]


def published(frames, *classes):
    """
    Return the events, but for raw ones, that handlers of *classes* get from a decoder.
    """
    decoder, bus, seen = OpenAIRealtimeDecoder(), EventBus(), []
    for event_type in classes:
        bus.subscribe(seen.append, event_type)
    for frame in frames:
        decoder.publish_to(bus, frame)
    return shown(event for event in seen if event.type != "raw_server_event")


@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 9), INSERTED), max_size=4))
@settings(max_examples=50)
def test_events_of_a_frame_are_the_same_whichever_way_it_is_read(changes):
    """
    Broken, repeated and misplaced parts included: alone, with a raw event, and after spaces.
    """
    frames = [with_inserted(*change) for change in changes]
    others = [cls for cls in EVENT_TYPES.values() if cls is not RealtimeModelRawServerEvent]
    decoder = OpenAIRealtimeDecoder()
    decoded = shown(event for frame in frames for event in decoder.decode(frame)[1:])

    assert published(frames, *others) == decoded
    assert published(frames, object) == decoded
    # Errors tell the place, so spaces come last.
    assert published([frame + b" " * WIDTH for frame in frames], *others) == decoded


# --- publish_after ---------------------------------------------------------------------------


First = RealtimeModelRawServerEvent


@attrs.frozen
class Second:
    number: int = 0


@pytest.mark.parametrize("sender", [None, "call", 7])
@pytest.mark.parametrize("handlers", [1, 3])
def test_event_is_published_after_one_that_nothing_sees(handlers, sender):
    """
    Both are counted, and each handler gets the event with its sender.
    """
    bus, seen = EventBus(), []
    for _ in range(handlers):
        bus.subscribe(lambda event, context: seen.append((event, context.sender)), Second)
    for event in (First({}), First({}), Second(1)):
        bus.publish(event, sender=sender)
    before = bus.stats

    assert bus.publish_after(First, Second(2), sender)

    assert seen[handlers:] == [(Second(2), sender)] * handlers
    assert bus.stats.published - before.published == 2
    assert bus.stats.unhandled - before.unhandled == 1


def test_nothing_is_published_after_an_event_that_would_be_seen():
    """
    With a handler of the first class, or before the bus knows both, the answer is False.
    """
    bus, seen = EventBus(), []
    bus.subscribe(seen.append, Second)
    assert not bus.publish_after(First, Second(1))
    for event in (First({}), First({}), Second(2)):
        bus.publish(event)
    bus.subscribe(seen.append, First)
    before = bus.stats

    assert not bus.publish_after(First, Second(3))

    assert bus.stats == before
    assert seen == [Second(2)]


@pytest.mark.parametrize("handlers", [1, 2])
def test_handler_that_fails_keeps_nobody_from_an_event_that_comes_after(handlers):
    """
    A failure becomes an event, and the next handler runs, as with publish.
    """
    bus, seen, failures = EventBus(), [], []

    def fail(event):
        raise ValueError(event.number)

    for handler in (fail, seen.append)[:handlers]:
        bus.subscribe(handler, Second)
    bus.subscribe(lambda event: failures.append(event.sender), RealtimeModelExceptionEvent)
    for event in (First({}), First({}), Second(1)):
        bus.publish(event, sender="call")

    assert bus.publish_after(First, Second(2), "call")

    assert seen == [Second(1), Second(2)][: 2 * (handlers - 1)]
    assert failures == ["call", "call"]


def test_event_that_comes_after_may_publish_another():
    """
    Events that a handler publishes come when the present one is done.
    """
    bus, seen = EventBus(), []

    def again(event):
        if event.number:
            bus.publish(Second(event.number - 1))
            assert not bus.publish_after(First, Second(9))
        seen.append(event.number)

    bus.subscribe(again, Second)
    for event in (First({}), First({}), Second(0)):
        bus.publish(event)

    assert bus.publish_after(First, Second(2))

    assert seen == [0, 2, 1, 0]


# --- may_publish_after -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"strict": True}, False),
        ({"middleware": [lambda event, call_next: call_next(event)]}, False),
        ({"observers": [Watcher()]}, True),
        ({"observers": [Recorder()]}, False),
    ],
    ids=["plain", "strict", "middleware", "observer of calls", "observer of events"],
)
def test_raw_event_may_be_left_out_where_nothing_sees_it(options, expected):
    """
    Neither middleware nor an observer of events; and a strict bus dispatches each event.
    """
    bus = EventBus(**options)

    assert bus.may_publish_after(RealtimeModelRawServerEvent, "call") is expected
    assert bus.may_publish_after(RealtimeModelRawServerEvent) is expected


def test_raw_event_may_be_left_out_of_a_recording(tmp_path):
    """
    A recorder gets the frame instead.
    """
    bus = EventBus()
    with journal.Recorder(tmp_path / "call.journal") as recorder, recorder.attach(bus):
        assert bus.may_publish_after(RealtimeModelRawServerEvent, "call")
        with bus.observe(Recorder()):
            assert not bus.may_publish_after(RealtimeModelRawServerEvent, "call")


def test_state_of_the_routing_is_another_one_when_an_answer_changes():
    """
    While it is the same, the answers are; a handler of one sender's events counts as well.
    """
    bus, raw = EventBus(), RealtimeModelRawServerEvent
    states = [bus.routing_state]

    def look(expected):
        assert bus.routing_state is not states[-1]
        states.append(bus.routing_state)
        assert bus.may_publish_after(raw, "call") is expected
        bus.publish(Second(1), sender="call")
        assert bus.routing_state is states[-1]

    for options in ({"sender": "call"}, {}):
        subscription = bus.subscribe(lambda event: None, raw, **options)
        look(expected=False)
        subscription.cancel()
        look(expected=True)
    with bus.observe(Recorder()):
        look(expected=False)
    look(expected=True)


async def test_state_of_the_routing_is_another_one_when_the_bus_starts_or_ends(bus):
    """
    What may be left out depends on it: a closed bus takes no event.
    """
    before = bus.routing_state
    async with bus:
        running = bus.routing_state
        assert bus.may_publish_after(RealtimeModelRawServerEvent)

    assert before is not running is not bus.routing_state
    assert not bus.may_publish_after(RealtimeModelRawServerEvent)
