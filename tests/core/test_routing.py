"""
The handlers of an event: by class and base class, by sender, in order, and wrapped in middleware.
"""

from __future__ import annotations

import abc
import json
import logging
from contextlib import ExitStack
from typing import get_args

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from eventbus import EventBus, EventTypeError
from eventbus._core.registry import Registry
from eventbus._core.routing import find_route
from eventbus.codec import dumps, loads
from eventbus.events import (
    RealtimeError,
    RealtimeModelAudioDoneEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.support import LoudPing, Ping, Pong, Watcher, crashes, raiser

Other = RealtimeModelOtherEvent
Raw = RealtimeModelRawServerEvent
EndOfStream = RealtimeModelEndOfStreamEvent


def decoded(frame):
    """
    The event besides Raw that a decoder makes of a frame of an unknown type.
    """
    return OpenAIRealtimeDecoder().decode(json.dumps(frame))[1]


# --- classes ---------------------------------------------------------------------------------


def test_handler_of_a_base_gets_events_of_the_derived_class(bus):
    """
    A handler of a class sees its subclasses' events, not its bases'.
    """
    pings, loud = [], []
    bus.subscribe(pings.append, Ping)
    bus.subscribe(loud.append, LoudPing)

    bus.publish(LoudPing("p1"))
    bus.publish(Ping("p2"))

    assert pings == [LoudPing("p1"), Ping("p2")]
    assert loud == [LoudPing("p1")]


def test_every_base_of_a_diamond_counts_once(bus):
    """
    One subscription for several classes of an event's MRO gets the event once.
    """

    class Left(Ping):
        pass

    class Right(Ping):
        pass

    class Both(Left, Right):
        pass

    seen = []
    bus.subscribe(seen.append, Ping, Left, Right, Both)

    bus.publish(Both())

    assert len(seen) == 1


def test_two_subscriptions_of_a_handler_are_two_calls(bus):
    """
    Once is once per subscription: subscribed for any sender and for one, it gets that one's
    events twice.
    """
    seen = []
    bus.subscribe(seen.append, Ping)
    bus.subscribe(seen.append, Ping, sender="call-1")

    bus.publish(Ping(), sender="call-1")

    assert len(seen) == 2


def test_classes_of_one_name_are_different(bus):
    """
    Class identity decides: a namesake's events aren't delivered.
    """
    namesake = attrs.make_class("Ping", ["name"], frozen=True)
    namesake.__module__, namesake.__qualname__ = Ping.__module__, Ping.__qualname__
    seen = []
    bus.subscribe(seen.append, Ping)

    bus.publish(namesake("p1"))

    assert seen == []


def test_virtual_subclasses_are_none(bus):
    """
    A class only registered with an abstract base class has another MRO, and no such base.
    """

    class Sound(abc.ABC):  # noqa: B024  # nothing abstract is needed here
        pass

    Sound.register(Ping)
    seen = []
    bus.subscribe(seen.append, Sound)

    bus.publish(Ping())

    assert seen == []


@pytest.mark.parametrize("event", [Ping(), 5, 2.5, (1, 2), [1], None, ValueError("boom"), print])
def test_any_object_can_be_published(bus, event):
    """
    An event is an object of any class; only bare payloads are something else.
    """
    seen = []
    bus.subscribe(seen.append, type(event))

    bus.publish(event)

    assert len(seen) == 1
    assert seen[0] is event


def test_class_cannot_be_published(bus):
    """
    A class in place of an event is a slip, and the error says so.
    """
    with pytest.raises(EventTypeError, match=r"publish takes an event, and got the class Ping"):
        bus.publish(Ping)


# --- order -----------------------------------------------------------------------------------


def test_higher_priority_goes_first_then_order_of_registration(bus):
    """
    Priority comes before registration, and neither the class nor the sender plays a part.
    """
    order = []

    def handler(name):
        return lambda event: order.append(name)

    bus.subscribe(handler("a"), Ping)
    bus.subscribe(handler("b"), LoudPing)
    bus.subscribe(handler("c"), Ping, priority=-1)
    bus.subscribe(handler("d"), object, priority=5)
    bus.subscribe(handler("e"), LoudPing, sender="call-1", priority=5)
    bus.subscribe(handler("f"), object)
    bus.subscribe(handler("g"), Ping, priority=0.5)

    bus.publish(LoudPing(), sender="call-1")

    assert order == ["d", "e", "g", "a", "b", "f", "c"]


def test_failing_handler_does_not_stop_the_next(bus):
    """
    Handlers that come after one that raises still get the event.
    """
    seen = []
    bus.subscribe(raiser(ValueError("boom")), Ping)
    bus.subscribe(seen.append, Ping)
    failures = crashes(bus)

    bus.publish(Ping("p1"))

    assert seen == [Ping("p1")]
    assert len(failures) == 1


# --- fallback --------------------------------------------------------------------------------


def test_event_without_a_handler_goes_to_other(bus):
    """
    It comes wrapped, the very event as ``data``, and counts as handled.
    """
    others, raws = [], []
    bus.subscribe(others.append, Other)
    bus.subscribe(raws.append, Raw)
    event = Ping("p1")

    bus.publish(event)

    assert others == [Other(event)]
    assert others[0].data is event
    assert raws == []
    assert bus.stats.unhandled == 0


def test_event_with_a_handler_does_not_go_to_other(bus):
    """
    One handler, be it of a base class, is enough.
    """
    others = []
    bus.subscribe(others.append, Other)
    bus.subscribe(lambda event: None, Ping)

    bus.publish(LoudPing())

    assert others == []


def test_event_without_a_handler_of_its_sender_goes_to_other(bus):
    """
    A handler of another session takes nothing.
    """
    others = []
    bus.subscribe(others.append, Other)
    bus.subscribe(lambda event: None, Ping, sender="call-1")

    bus.publish(Ping("p1"), sender="call-1")
    bus.publish(Ping("p2"), sender="call-2")
    bus.publish(Ping("p3"))

    assert others == [Other(Ping("p2")), Other(Ping("p3"))]


def test_event_that_neither_a_handler_nor_other_takes_goes_to_raw(bus):
    """
    The next row of the table: handlers of Raw get the event itself as ``data``.
    """
    raws = []
    bus.subscribe(raws.append, Raw)

    bus.publish(Ping("p1"))

    assert raws == [Raw(Ping("p1"))]
    assert bus.stats.unhandled == 0


def test_other_that_nobody_takes_goes_to_raw_unwrapped(bus):
    """
    Handlers of Raw get the ``data`` of the Other event.
    """
    raws = []
    bus.subscribe(raws.append, Raw)
    frame = {"type": "weather.changed"}

    bus.publish(Other(frame))

    assert raws == [Raw(frame)]
    assert raws[0].data is frame


def test_raw_gets_each_frame_of_a_decoder_once(bus):
    """
    An Other event that a decoder made does not go on to Raw, where its frame was published; it is
    unhandled.
    """
    raws = []
    bus.subscribe(raws.append, Raw)
    frame = {"type": "weather.changed"}

    for event in (Raw(frame), decoded(frame)):
        bus.publish(event)

    assert raws == [Raw(frame)]
    assert bus.stats.unhandled == 1


def test_other_event_that_was_read_counts_as_a_decoders(bus):
    """
    An Other event from `eventbus.codec` does not go on to Raw: its frame is an event of its own.
    """
    raws = []
    bus.subscribe(raws.append, Raw)

    bus.publish(loads(dumps(decoded({"type": "weather.changed"}))))

    assert raws == []


def test_other_of_a_decoder_goes_to_handlers_of_other(bus):
    """
    A decoder's Other event has the handlers that one published by hand has, before and after it.
    """
    others, raws = [], []
    bus.subscribe(others.append, Other)
    bus.subscribe(raws.append, Raw)

    bus.publish(Other(1))
    bus.publish(decoded({"type": "new"}))

    assert others == [Other(1), Other({"type": "new"})]
    assert raws == []


def test_other_by_hand_goes_to_raw_whatever_came_before(bus):
    """
    Which fallback an Other event has depends on the event, not on the one before it, with a sender
    and behind middleware too.
    """
    for bus_under_test in (bus, EventBus(middleware=[lambda event, call_next: call_next(event)])):
        for sender in (None, "call-1"):
            raws = []
            with bus_under_test.subscribe(raws.append, Raw):
                for _ in range(2):
                    bus_under_test.publish(Other(1), sender=sender)
                    bus_under_test.publish(decoded({"type": "new"}), sender=sender)

            assert raws == [Raw(1), Raw(1)]


def test_event_of_the_vocabulary_does_not_go_to_raw(bus):
    """
    An event of the vocabulary falls back to Other and no further: its frame has been published as
    Raw already.
    """
    others, raws = [], []
    bus.subscribe(raws.append, Raw)

    bus.publish(RealtimeModelAudioDoneEvent("item_1", 0))
    bus.subscribe(others.append, Other)
    bus.publish(RealtimeModelAudioDoneEvent("item_1", 1))

    assert raws == []
    assert others == [Other(RealtimeModelAudioDoneEvent("item_1", 1))]
    assert bus.stats.unhandled == 1


def test_other_with_a_handler_goes_nowhere_else(bus):
    """
    An Other event that was published as such is not wrapped again.
    """
    others, raws = [], []
    bus.subscribe(others.append, Other)
    bus.subscribe(raws.append, Raw)

    bus.publish(Other("x"))

    assert (others, raws) == ([Other("x")], [])


def test_raw_that_nobody_takes_is_counted_and_nothing_else(bus, caplog):
    """
    A Raw event has no fallback, not to Other either, and isn't logged: there is one a frame.
    """
    caplog.set_level(logging.DEBUG)
    others = []
    bus.subscribe(others.append, Other)

    bus.publish(Raw({}))

    assert others == []
    assert bus.stats.unhandled == 1
    assert caplog.records == []


@pytest.mark.parametrize("payload", [{"type": "x"}, '{"type": "x"}', b'{"type": "x"}'])
def test_bare_payload_is_published_as_raw(bus, payload):
    """
    A dict, a str and bytes come wrapped, the very object as ``data``; to the catch-all, too.
    """
    raws, everything, others = [], [], []
    bus.subscribe(raws.append, Raw)
    bus.subscribe(everything.append, object)
    bus.subscribe(others.append, Other)

    bus.publish(payload)

    assert [type(event) for event in raws] == [Raw]
    assert raws[0].data is payload
    assert everything == raws
    assert others == []


def test_bare_payload_that_nobody_takes_is_unhandled(bus):
    """
    It ends like the Raw event that it is.
    """
    bus.publish({})

    assert bus.stats.unhandled == 1


def test_fallback_has_no_fallback(bus):
    """
    An event that a handler of Other fails on, or rejects, doesn't go on to Raw.
    """
    raws = []
    bus.subscribe(raiser(ValueError("boom")), Other)
    bus.subscribe(lambda event: None, Other, when=lambda event: False)
    bus.subscribe(raws.append, Raw)
    crashes(bus)

    bus.publish(Ping())

    assert raws == []


def test_class_that_does_not_fall_back_is_unhandled_at_once(bus):
    """
    A class with ``falls_back = False``, and its subclasses, go to their own handlers only.
    """

    class Note:
        falls_back = False

    class Remark(Note):
        pass

    others, seen = [], []
    bus.subscribe(others.append, RealtimeModelOtherEvent)
    bus.subscribe(others.append, RealtimeModelRawServerEvent)

    bus.publish(Remark())
    with bus.subscribe(seen.append, Note):
        bus.publish(Remark())

    assert (others, len(seen), bus.stats.unhandled) == ([], 1, 1)


def test_handlers_of_a_fallback_are_called_in_their_order(bus):
    """
    Priority holds among the handlers of Other, and all get the same wrapped event.
    """
    seen = []
    bus.subscribe(lambda event: seen.append(("low", event)), Other)
    bus.subscribe(lambda event: seen.append(("high", event)), Other, priority=1)

    bus.publish(Ping("p1"))

    assert [name for name, _ in seen] == ["high", "low"]
    assert seen[0][1] is seen[1][1]


def test_handler_of_the_vocabulary_takes_strange_events_once(bus):
    """
    A handler of Other and of Raw, among others, gets an unknown event once, as Other.
    """
    seen = []
    bus.subscribe(seen.append, Other, Raw, RealtimeModelAudioDoneEvent)

    bus.publish(Ping("p1"))

    assert seen == [Other(Ping("p1"))]


def test_event_is_wrapped_only_for_somebody():
    """
    A route without takers has no wrapper, so nothing is made.
    """
    route = find_route(Ping, lambda cls: ())

    assert (route.direct, route.fallback, route.wrap) == ((), (), None)
    assert not route.is_handled


def test_unhandled_event_is_counted_and_logged_at_debug(bus, caplog):
    """
    It is no error: one record, with the event's class and not its content.
    """
    caplog.set_level(logging.DEBUG)

    bus.publish(Ping("my card number"))

    assert bus.stats.unhandled == 1
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert caplog.records[0].event_type == "Ping"
    assert "card number" not in str(vars(caplog.records[0]))


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            RealtimeError("Slow down.", code="rate_limit_exceeded"),
            "rate_limit_exceeded",
            "Slow down.",
        ),
        ({"message": "Slow down.", "code": "busy"}, "busy", "Slow down."),
        (RealtimeError("No such voice."), None, "No such voice."),
        (ConnectionError("gone"), None, None),
    ],
)
def test_error_of_the_service_that_nobody_takes_is_a_warning(bus, caplog, error, code, message):
    """
    An unhandled Error event is one WARNING with the service's code and message, in the text and as
    attributes of the record.
    """
    bus.publish(RealtimeModelErrorEvent(error))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (record.code, record.error_message) == (code, message)
    assert str(code) in record.getMessage()
    assert str(message) in record.getMessage()
    assert bus.stats.unhandled == 1


def test_error_of_the_service_that_a_handler_takes_is_not_logged(bus, caplog):
    """
    A handler of Error events, or of Other, takes the place of the log.
    """
    for cls in (RealtimeModelErrorEvent, Other):
        with bus.subscribe(lambda event: None, cls):
            bus.publish(RealtimeModelErrorEvent(RealtimeError("Slow down.")))

    assert caplog.records == []


# --- the catch-all ---------------------------------------------------------------------------


def test_catch_all_sees_everything(bus):
    """
    Events of any class, handled or not, Exception events too: each once, and as it was published.
    """
    everything = []
    bus.subscribe(everything.append, object)
    bus.subscribe(lambda event: None, Ping)
    failure = RealtimeModelExceptionEvent(ValueError("boom"))

    for event in (Ping(), Pong(), Other(1), Raw(2), 3, failure):
        bus.publish(event)

    assert everything == [Ping(), Pong(), Other(1), Raw(2), 3, failure]


def test_catch_all_does_not_count_as_handling(bus, caplog):
    """
    An event that only the catch-all saw goes to the fallbacks, or is unhandled.
    """
    everything, others = [], []
    bus.subscribe(everything.append, object)
    bus.publish(Ping("p1"))
    assert bus.stats.unhandled == 1

    bus.subscribe(others.append, Other)
    bus.publish(Ping("p2"))

    assert everything == [Ping("p1"), Ping("p2")]
    assert others == [Other(Ping("p2"))]
    assert bus.stats.unhandled == 1


def test_catch_all_does_not_silence_a_failure(bus, caplog):
    """
    An Exception event that only the catch-all saw is logged all the same.
    """
    bus.subscribe(lambda event: None, object)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# --- Exception events ------------------------------------------------------------------------


def test_failure_that_nobody_takes_is_logged_with_its_traceback(bus, caplog):
    """
    One ERROR record, and neither Other nor Raw.
    """
    wrapped = []
    bus.subscribe(wrapped.append, Other, Raw)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert wrapped == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "in fail" in caplog.text
    assert "ValueError: boom" in caplog.text


def test_failure_that_somebody_takes_is_not_logged(bus, caplog):
    """
    With a handler of Exception events, nothing is logged.
    """
    failures = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    bus.publish(Ping())

    assert len(failures) == 1
    assert caplog.records == []


# --- routes are reused -----------------------------------------------------------------------


def test_route_is_computed_once_until_a_subscription_changes(bus, monkeypatch):
    """
    Publishing again looks nothing up; subscribing and cancelling make it look again.
    """
    looked_up = []
    real = Registry.subscriptions_for
    monkeypatch.setattr(
        Registry,
        "subscriptions_for",
        lambda self, cls, sender: looked_up.append(cls) or real(self, cls, sender),
    )

    def publish_looks_up():
        looked_up.clear()
        for sender in (None, "call-1", "call-2", 3, object()):
            bus.publish(Ping(), sender=sender)
        return bool(looked_up)

    bus.subscribe(lambda event: None, Ping, sender="call-1")

    assert publish_looks_up()
    assert not publish_looks_up()
    subscription = bus.subscribe(lambda event: None, Pong)
    assert publish_looks_up()
    assert not publish_looks_up()
    subscription.cancel()
    assert publish_looks_up()


def test_change_for_one_sender_leaves_the_others_routes(bus, monkeypatch):
    """
    A call that comes or goes costs the others nothing.
    """
    bus.subscribe(lambda event: None, Ping)
    bus.subscribe(lambda event: None, Ping, sender="call-1")
    for sender in (None, "call-1", "call-2"):
        bus.publish(Ping(), sender=sender)
    looked_up = []
    real = Registry.subscriptions_for
    monkeypatch.setattr(
        Registry,
        "subscriptions_for",
        lambda self, cls, sender: looked_up.append(sender) or real(self, cls, sender),
    )

    with bus.scope("call-3") as call:
        call.subscribe(lambda event: None, Ping)
        call.publish(Ping())
        for sender in (None, "call-1", "call-2"):
            bus.publish(Ping(), sender=sender)

    assert set(looked_up) == {"call-3"}


# --- against a naive model -------------------------------------------------------------------

SENDERS = [None, "call-1", "call-2", 0, 1]


@attrs.define
class Subscribed:
    """The model's knowledge of a subscription."""

    number: int
    classes: tuple[type, ...]
    priority: int
    sender: object
    real: object

    def wants(self, event, sender):
        return (self.sender is None or self.sender == sender) and isinstance(event, self.classes)


class RoutingModel(RuleBasedStateMachine):
    """
    Subscriptions to random hierarchies come and go; each publish makes the calls, and only those,
    that the rules of the design name, in that order.
    """

    def __init__(self):
        super().__init__()
        self.bus = EventBus()
        self.watching = ExitStack()
        self.calls = []
        self.subscribed = []
        self.count = 0
        self.unhandled = 0
        self.delivered = 0

    @initialize(parents=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), max_size=8))
    def make_classes(self, parents):
        self.classes = [
            Other,
            Raw,
            RealtimeModelExceptionEvent,
            RealtimeModelEndOfStreamEvent,
            Ping,
        ]
        for number, indices in enumerate(parents):
            choices = [object, *self.classes]
            bases = tuple(dict.fromkeys(choices[index % len(choices)] for index in indices))
            try:
                cls = type(f"C{number}", bases, {})
            except TypeError:  # no such MRO, or no such layout
                cls = type(f"C{number}", bases[:1], {})
            self.classes.append(cls)

    @rule(
        indices=st.lists(st.integers(0, 30), min_size=1, max_size=4),
        catch_all=st.sampled_from([False, False, False, True]),
        priority=st.integers(-2, 2),
        sender=st.sampled_from(SENDERS),
    )
    def subscribe(self, indices, catch_all, priority, sender):
        picked = [self.classes[index % len(self.classes)] for index in indices]
        classes = (object,) if catch_all else tuple(dict.fromkeys(picked))
        number, self.count = self.count, self.count + 1

        def handler(event):
            self.calls.append((number, event))

        real = self.bus.subscribe(handler, *classes, priority=priority, sender=sender)
        again = self.bus.subscribe(handler, *classes, priority=priority, sender=sender)
        assert again is real
        self.subscribed.append(Subscribed(number, classes, priority, sender, real))

    @precondition(lambda self: self.subscribed)
    @rule(index=st.integers(0, 30), by_handler=st.booleans())
    def cancel(self, index, by_handler):
        gone = self.subscribed.pop(index % len(self.subscribed))
        if by_handler:
            self.bus.unsubscribe(gone.real.handler)
        else:
            gone.real.cancel()

    @rule(index=st.integers(0, 30), sender=st.sampled_from(SENDERS))
    def publish(self, index, sender):
        self.publish_and_compare(self.event(index), sender)

    def event(self, index):
        cls = self.classes[index % len(self.classes)]
        needs_data = issubclass(cls, (Other, Raw, RealtimeModelExceptionEvent))
        return cls(ValueError("x")) if needs_data else cls()

    @rule(sender=st.sampled_from(SENDERS))
    def count_unseen(self, sender):
        """It counts only events that nothing would see, and does so whenever it says so."""
        if self.bus.count_unseen(Raw, sender):
            assert self.expected(Raw(None), sender) == []

    @rule(index=st.integers(0, 30), sender=st.sampled_from(SENDERS))
    def publish_after(self, index, sender):
        """It publishes after an event that nothing sees, or does nothing."""
        event = self.event(index)
        self.calls.clear()

        if self.bus.publish_after(Raw, event, sender):
            assert self.expected(Raw(None), sender) == []
            expected = self.expected(event, sender)
            self.delivered += len(expected)
            assert self.calls == expected
        else:
            assert self.calls == []

    @rule(is_watched=st.booleans())
    def watch(self, is_watched):
        """Observers change no call."""
        self.watching.close()
        if is_watched:
            self.watching.enter_context(self.bus.observe(Watcher()))

    @rule(sender=st.sampled_from(SENDERS))
    def publish_other_of_a_decoder(self, sender):
        self.publish_and_compare(decoded({"type": "x"}), sender)

    @rule(payload=st.sampled_from([{}, "", b""]), sender=st.sampled_from(SENDERS))
    def publish_payload(self, payload, sender):
        self.publish_and_compare(payload, sender)

    def publish_and_compare(self, event, sender):
        expected = self.expected(event, sender)
        self.calls.clear()

        if sender is not None and self.count % 2:
            self.bus.scope(sender).publish(event)
        else:
            self.bus.publish(event, sender=sender)

        assert self.calls == expected
        self.delivered += len(expected)

    def expected(self, event, sender):
        if isinstance(event, (dict, str, bytes)):
            event = Raw(event)
        direct = self.takers(event, sender)
        calls = [(subscribed.number, event) for subscribed in direct]
        if any(subscribed.classes != (object,) for subscribed in direct):
            return calls
        for wrapped in fallbacks(event):
            takers = [s for s in self.takers(wrapped, sender) if s.classes != (object,)]
            if takers:
                return calls + [(subscribed.number, wrapped) for subscribed in takers]
        self.unhandled += 1
        return calls

    def takers(self, event, sender):
        takers = [subscribed for subscribed in self.subscribed if subscribed.wants(event, sender)]
        return sorted(takers, key=lambda subscribed: (-subscribed.priority, subscribed.number))

    @invariant()
    def counts(self):
        stats = self.bus.stats
        assert (stats.unhandled, stats.delivered) == (self.unhandled, self.delivered)


def fallbacks(event):
    if isinstance(event, (Raw, RealtimeModelExceptionEvent)):
        return []
    if isinstance(event, Other):
        return [] if event.data == {"type": "x"} else [Raw(event.data)]
    if type(event) in get_args(RealtimeModelEvent):
        return [Other(event)]
    return [Other(event), Raw(event)]


# Reporting a failure of this machine shows its steps, so its name is what pytest collects.
TestRoutingModel = RoutingModel.TestCase
TestRoutingModel.pytestmark = [pytest.mark.slow]
TestRoutingModel.settings = settings(max_examples=100, stateful_step_count=30)
