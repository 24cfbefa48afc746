"""
`EventBus.observe`: an observer that comes to a bus that somebody else has made.
"""

from __future__ import annotations

import anyio
import pytest

from eventbus import EventBus, HandlerError
from eventbus.events import RealtimeModelExceptionEvent


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
    Leaving takes away what entering added, also if the bus had the same observer before.
    """
    seen = Seen()
    bus = EventBus(observers=[seen])
    bus.subscribe(handler, Ping)

    with bus.observe(seen):
        pass
    bus.publish(Ping())

    assert seen.calls[0] == "started"


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
    The error of a call whose time was up is TimeoutError, not the cancellation that ended it.
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
