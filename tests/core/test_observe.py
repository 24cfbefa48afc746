"""
`EventBus.observe`: an observer that comes to a bus that somebody else has made.
"""

from __future__ import annotations

import anyio
import pytest

from eventbus import EventBus, HandlerError, Mailbox
from eventbus.events import RealtimeModelExceptionEvent, RealtimeModelOtherEvent


class Ping:
    pass


class Seen:
    def __init__(self):
        self.calls = []

    def handler_started(self, call):
        self.calls.append("started")

    def handler_finished(self, call):
        self.calls.append((call.handler, call.queued_ns, call.run_ns is not None))


def handler(event):
    pass


async def async_handler(event):
    pass


def test_observer_sees_calls_while_it_is_entered():
    """
    An observer sees the calls of events published inside ``with``, and none before or after.
    """
    bus, seen = EventBus(), Seen()
    bus.subscribe(handler, Ping)

    bus.publish(Ping())
    with bus.observe(seen):
        bus.publish(Ping())
    bus.publish(Ping())

    assert seen.calls == ["started", (handler, 0, True)]


def test_observer_comes_beside_those_there_are():
    """
    Observers from the bus's making still see every call, during and after.
    """
    first, second = Seen(), Seen()
    bus = EventBus(observers=[first])
    bus.subscribe(handler, Ping)

    with bus.observe(second):
        bus.publish(Ping())
    bus.publish(Ping())

    assert (len(first.calls), len(second.calls)) == (4, 2)


def test_observer_leaves_when_the_body_fails():
    """
    An exception in the body takes the observer away as well.
    """
    bus, seen = EventBus(), Seen()
    bus.subscribe(handler, Ping)

    with pytest.raises(ValueError, match="boom"), bus.observe(seen):
        raise ValueError("boom")
    bus.publish(Ping())

    assert seen.calls == []


async def test_observer_sees_async_calls_of_a_running_bus():
    """
    On a bus that runs already, the calls of async handlers are seen, with the time they waited.
    """
    bus, seen = EventBus(), Seen()
    bus.subscribe(async_handler, Ping)

    async with bus:
        await bus.publish_and_wait(Ping())
        with bus.observe(seen):
            await bus.publish_and_wait(Ping())

    assert seen.calls[0] == "started"
    assert seen.calls[1][0] is async_handler
    assert 0 < seen.calls[1][1] < 60 * 10**9


def test_observer_that_is_there_twice_leaves_once():
    """
    Leaving removes the observer that entering added, also if the bus had the same one before.
    """
    seen = Seen()
    bus = EventBus(observers=[seen])
    bus.subscribe(handler, Ping)

    with bus.observe(seen):
        pass
    bus.publish(Ping())

    assert seen.calls[0] == "started"


class Unhandled(Seen):
    def event_unhandled(self, event, sender, sequence):
        self.calls.append((event, sender, sequence))


def test_observer_sees_events_that_no_handler_took():
    """
    `event_unhandled` is called for an event without a handler, with its sender and number, and for
    no other.
    """
    bus, seen = EventBus(), Unhandled()
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    ping = Ping()

    with bus.observe(seen):
        bus.publish(ping, sender="call-1")
        bus.publish(RealtimeModelExceptionEvent(ValueError("boom")))
        bus.publish(ping)
    bus.publish(ping)

    calls = [call for call in seen.calls if call[0] is ping]
    assert calls == [(ping, "call-1", 1), (ping, None, 3)]


def test_fallback_and_catch_all_decide_whether_an_event_is_unhandled():
    """
    An event that a handler of Other took is handled; one that only the catch-all saw is not.
    """
    bus, seen, everything = EventBus(), Unhandled(), []
    bus.subscribe(everything.append, object)
    ping = Ping()

    with bus.observe(seen):
        bus.publish(ping)
        bus.subscribe(lambda event: None, RealtimeModelOtherEvent)
        bus.publish(ping)

    assert [call[0] for call in seen.calls if len(call) == 3 and call[0] is ping] == [ping]
    assert everything == [ping, ping]


def test_observing_changes_nothing_of_what_has_handlers_says():
    """
    An observer of every event, handled or not, is not a handler.
    """
    bus = EventBus(observers=[Unhandled()])

    with bus.observe(Unhandled()):
        assert not bus.has_handlers(Ping)
        bus.publish(Ping())

    assert bus.stats.unhandled == 1


def test_unhandled_event_is_the_one_that_middleware_passed_on():
    """
    If middleware replaces an event, the observer sees the replacement; an event that middleware
    drops is not unhandled.
    """

    def replace(event, call_next):
        if event == "drop":
            return
        call_next(Ping())

    seen = Unhandled()
    bus = EventBus(middleware=[replace], observers=[seen])

    bus.publish(RealtimeModelOtherEvent(1))

    assert [type(call[0]) for call in seen.calls] == [Ping]


def test_observer_that_fails_on_an_unhandled_event_is_logged(caplog):
    """
    An exception of an observer is logged, and the publish goes on.
    """

    class Failing(Seen):
        def event_unhandled(self, event, sender, sequence):
            raise ValueError("boom")

    bus = EventBus(observers=[Failing()])

    bus.publish(Ping())

    assert [record.observer for record in caplog.records] == [Failing.__qualname__]


def test_what_lacks_a_method_of_an_observer_is_refused():
    """
    An observer that could only fail is refused where it is given, and the missing method named.
    """
    with pytest.raises(HandlerError, match="handler_started"):
        EventBus(observers=[3])
    with pytest.raises(HandlerError, match="handler_started"), EventBus().observe(3):
        pass


async def test_observer_sees_a_timeout_as_the_failure_that_it_is():
    """
    The error of a call that ran out of time is TimeoutError, not the cancellation that ended it.
    """
    errors = []

    class Errors:
        def handler_started(self, call):
            pass

        def handler_finished(self, call):
            errors.append(call.error)

    bus = EventBus(observers=[Errors()])

    @bus.on(Ping, timeout=0.001)
    async def slow(event):
        await anyio.sleep_forever()

    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    async with bus:
        await bus.publish_and_wait(Ping())

    assert isinstance(errors[0], TimeoutError)


class Watching(Seen):
    """
    An observer that sees events, too.
    """

    def __init__(self):
        super().__init__()
        self.events = []
        self.dropped = []

    def event_published(self, event, sender, sequence):
        self.events.append((type(event).__name__, sender, sequence))

    def events_dropped(self, dropped):
        self.dropped.append(dropped)


@pytest.mark.parametrize("options", [{}, {"middleware": [lambda event, call_next: None]}])
def test_observer_sees_events_as_they_are_published(options):
    """
    Each event is seen once, before middleware and handlers, with its sender and its number.
    """
    bus, seen = EventBus(**options), Watching()
    order = []
    bus.subscribe(lambda event: order.append(list(seen.events)), Ping)
    bus.publish(Ping())

    with bus.observe(seen):
        bus.publish(Ping(), sender="call-1")
        bus.publish({"type": "x"})
        with bus.scope("call-2") as call:
            call.on(Ping)(handler)
            call.publish(Ping())
    bus.publish(Ping())

    assert seen.events == [
        ("Ping", "call-1", 2),
        ("RealtimeModelRawServerEvent", None, 3),
        ("Ping", "call-2", 4),
    ]
    if not options:
        assert order[1] == seen.events[:1]


def test_observer_of_events_is_no_handler():
    """
    An event that nobody but an observer sees is unhandled.
    """
    seen = Watching()
    bus = EventBus(observers=[seen])

    bus.publish(Ping())

    assert len(seen.events) == 1
    assert (bus.stats.unhandled, bus.stats.delivered) == (1, 0)


def test_observer_that_fails_to_see_an_event_harms_nobody(caplog):
    """
    Its failure is logged, and the handlers run.
    """

    class Failing(Watching):
        def event_published(self, event, sender, sequence):
            raise ValueError("boom")

    bus, handled = EventBus(observers=[Failing()]), []
    bus.subscribe(handled.append, Ping)

    bus.publish(Ping())

    assert len(handled) == 1
    assert "an observer failed" in caplog.text


async def test_calls_tell_which_event_they_are_of():
    """
    A call has the number of its event, also when that waited in a mailbox behind others.
    """
    numbers = []

    class Numbers(Seen):
        def handler_finished(self, call):
            numbers.append(call.sequence)

    bus = EventBus(observers=[Numbers()])
    bus.subscribe(async_handler, Ping)
    bus.subscribe(handler, Ping)
    async with bus:
        for _ in range(3):
            bus.publish(Ping())

    assert numbers == [1, 2, 3, 1, 2, 3]


async def test_observer_sees_what_a_handler_will_not_get():
    """
    Events that find no room, are purged, cancelled or left behind are told, with the reason.
    """

    class Pong:
        pass

    async def stuck(event):
        await anyio.sleep_forever()

    seen = Watching()
    bus = EventBus(observers=[seen])
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    slow = bus.subscribe(stuck, Ping, mailbox=Mailbox(2, purged_by=(Pong,)))
    async with bus:
        for _ in range(3):
            bus.publish(Ping(), sender="call-1")
        bus.publish(Pong(), sender="call-1")
        bus.publish(Ping(), sender="call-1")
        slow.cancel()
        bus.subscribe(stuck, Ping)
        bus.publish(Ping(), sender="call-1")
        bus.publish(Ping(), sender="call-1")
        await anyio.wait_all_tasks_blocked()
        await bus.aclose(drain=False, timeout=1)

    assert [(d.reason, d.sequences) for d in seen.dropped] == [
        ("full", (1,)),
        ("purged", (2, 3)),
        ("cancelled", (6,)),
        ("closed", (8,)),
    ]
    assert {(d.handler, d.sender) for d in seen.dropped} == {(stuck, "call-1")}
    assert all(type(event) is Ping for d in seen.dropped for event in d.events)
