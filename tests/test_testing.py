"""
Captured events, and time that passes on command. Nothing here waits for real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import subprocess
import sys
import threading
import time
from unittest.mock import ANY as ANYTHING

import anyio
import anyio.to_thread
import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from eventbus import EventBus, EventBusError, EventTypeError
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelRawServerEvent,
)
from eventbus.testing import FakeClock, capture


@attrs.frozen
class Ping:
    text: str
    size: int = 0


@attrs.frozen
class LoudPing(Ping):
    volume: int = 11


@attrs.frozen
class Pong:
    text: str


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


@pytest.fixture
def autojump() -> bool:
    """
    True if the clock of `clock` jumps; tests override it by parametrizing.
    """
    return False


@pytest.fixture
def clock(autojump) -> FakeClock:
    return FakeClock(autojump=autojump)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request, clock):
    """
    Both event loops; trio is started with the clock, asyncio gets it when a test enters it.
    """
    return "asyncio" if request.param == "asyncio" else ("trio", {"clock": clock})


# --- capture ---------------------------------------------------------------------------------


def test_captures_in_the_order_of_publication(bus):
    """
    An event comes before those that its handlers publish.
    """
    bus.subscribe(lambda event: bus.publish(Pong(event.text)), Ping, priority=100)

    with capture(bus) as captured:
        bus.publish(Ping("a"))
        bus.publish(Ping("b"))

    assert captured.events == [Ping("a"), Pong("a"), Ping("b"), Pong("b")]


def test_captures_only_while_it_is_entered(bus):
    """
    Events published before and after the block are not among the events.
    """
    captured = capture(bus)
    bus.publish(Ping("before"))
    with captured:
        bus.publish(Ping("inside"))
    bus.publish(Ping("after"))

    assert captured.events == [Ping("inside")]


def test_captures_the_classes_asked_for(bus):
    """
    With classes or unions, only their instances are captured, those of subclasses too.
    """
    with capture(bus, Ping) as pings, capture(bus, Ping | Pong) as both:
        bus.publish(LoudPing("a"))
        bus.publish(Pong("b"))
        bus.publish({"type": "other"})

    assert pings.events == [LoudPing("a")]
    assert both.events == [LoudPing("a"), Pong("b")]


def test_captures_the_sender_asked_for(bus):
    """
    With a sender, other sessions' events are not captured; without one, everybody's are.
    """
    with capture(bus, sender="call-1") as one, capture(bus) as everybody:
        bus.publish(Ping("a"), sender="call-1")
        bus.publish(Ping("b"), sender="call-2")
        bus.publish(Ping("c"))

    assert one.events == [Ping("a")]
    assert everybody.events == [Ping("a"), Ping("b"), Ping("c")]


@pytest.mark.parametrize("classes", [(), (Ping,)])
def test_capturing_does_not_count_as_handling(bus, classes):
    """
    An event that only a capture sees is unhandled, and still goes to the fallback.
    """
    others = []
    bus.subscribe(others.append, RealtimeModelOtherEvent)

    with capture(bus, *classes):
        bus.publish(Ping("a"))
        bus.unsubscribe(others.append)
        bus.publish(Ping("b"))

    assert others == [RealtimeModelOtherEvent(Ping("a"))]
    assert bus.stats.unhandled == 1


def test_captured_failure_is_still_logged(bus, caplog):
    """
    Capturing an Exception event does not keep it from the log.
    """
    bus.subscribe(lambda event: 1 / event.size, Ping)

    with capture(bus) as captured, caplog.at_level(logging.ERROR):
        bus.publish(Ping("a"))

    assert captured.assert_published(RealtimeModelExceptionEvent, event=Ping("a"))
    assert len(caplog.records) == 1


def test_bare_payload_is_captured_as_raw(bus):
    """
    A dict is captured as the event that it is published as.
    """
    with capture(bus) as captured:
        bus.publish({"type": "x"})

    assert captured.events == [RealtimeModelRawServerEvent({"type": "x"})]


def test_captures_what_middleware_passes_on():
    """
    Events that middleware drops aren't captured, and replaced ones are captured replaced.
    """

    def shout(event, call_next):
        if event.text:
            call_next(Ping(event.text.upper()))

    bus = EventBus(middleware=[shout])

    with capture(bus) as captured:
        bus.publish(Ping(""))
        bus.publish(Ping("a"))

    assert captured.events == [Ping("A")]


def test_captures_from_other_threads(bus):
    """
    A bus that doesn't run is captured whichever thread publishes.
    """
    with capture(bus) as captured:
        thread = threading.Thread(target=bus.publish, args=[Ping("a")])
        thread.start()
        thread.join()

    assert captured.events == [Ping("a")]


async def test_captures_a_running_bus(bus):
    """
    Events that async handlers publish are captured, too.
    """

    async def answer(event):
        bus.publish(Pong(event.text))

    bus.subscribe(answer, Ping)

    with capture(bus) as captured:
        async with bus:
            bus.publish(Ping("a"))

    captured.assert_order(Ping, Pong)


def test_capture_is_entered_once(bus):
    """
    Entering a capture again is refused, so that its events are those of one block.
    """
    with capture(bus) as captured:
        pass

    with pytest.raises(EventBusError, match="once"), captured:
        pass


def test_capture_refuses_what_is_no_class(bus):
    """
    An event instead of its class is refused at once.
    """
    with pytest.raises(EventTypeError, match="not an event class"):
        capture(bus, Ping("a"))


def test_capture_tells_how_much_it_has(bus):
    """
    The repr counts the events.
    """
    with capture(bus) as captured:
        bus.publish(Ping("a"))

    assert repr(captured) == "<Capture of 1 events>"


# --- assert_published ------------------------------------------------------------------------


@pytest.fixture
def captured(bus):
    """
    Two Pings, a LoudPing and a Pong.
    """
    with capture(bus) as captured:
        for event in Ping("a", 1), Ping("b", 2), LoudPing("c", 3), Pong("d"):
            bus.publish(event)
    return captured


def test_assert_published_returns_the_first_match(captured):
    """
    Of several events that fit, the first one comes back.
    """
    assert captured.assert_published(Ping) == Ping("a", 1)
    assert captured.assert_published(Ping, text="b") == Ping("b", 2)
    assert captured.assert_published(Ping, text=ANYTHING, size=3) == LoudPing("c", 3)
    assert captured.assert_published(Ping, volume=11) == LoudPing("c", 3)


def test_assert_published_names_class_and_fields(captured):
    """
    For a class that was published with other fields, the failure shows those.
    """
    with pytest.raises(AssertionError) as failure:
        captured.assert_published(Ping, text="x", size=2)

    assert str(failure.value).splitlines() == [
        "Ping(text='x', size=2) was not published; 3 with other fields were, the last ones with",
        "  text='a', size=1",
        "  text='b'",
        "  text='c', size=3",
        "All 4 captured events:",
        "  Ping(text='a', size=1)",
        "  Ping(text='b', size=2)",
        "  LoudPing(text='c', size=3, volume=11)",
        "  Pong(text='d')",
    ]


def test_failure_is_short_however_much_was_published(bus):
    """
    A message lists the last ten events, each on one short line.
    """
    with capture(bus) as captured:
        for number in range(1000):
            bus.publish(Ping("x" * 10_000, number))

    with pytest.raises(AssertionError) as failure:
        captured.assert_published(Pong)

    lines = str(failure.value).splitlines()
    assert lines[:2] == ["Pong was not published", "The last 10 of 1000 captured events:"]
    assert len(lines) == 12
    assert max(map(len, lines)) <= 102


def test_failure_with_many_near_misses_is_short(bus):
    """
    Of a thousand events with other fields, a message shows a few.
    """
    with capture(bus) as captured:
        for number in range(1000):
            bus.publish(Ping("a", number))

    with pytest.raises(AssertionError) as failure:
        captured.assert_published(Ping, size=-1)

    assert len(str(failure.value).splitlines()) < 30


def test_failure_says_when_nothing_was_captured(bus):
    """
    Without any event, the message says so.
    """
    with capture(bus) as captured:
        pass

    with pytest.raises(AssertionError, match=r"^Ping was not published\nNothing was captured\.$"):
        captured.assert_published(Ping)


def test_unknown_field_is_no_failed_assertion(captured):
    """
    A field that the class doesn't have is a TypeError with the name that was meant.
    """
    with pytest.raises(TypeError, match="Ping has no field 'txt'; did you mean text="):
        captured.assert_published(Ping, txt="a")
    with pytest.raises(TypeError, match="Pong has no field 'zzz'; it has text"):
        captured.assert_not_published(Pong, zzz="a")


def test_any_class_can_be_asserted(bus):
    """
    Events of a plain class are compared by their attributes.
    """

    class Plain:
        def __init__(self, number):
            self.number = number

    with capture(bus) as captured:
        bus.publish(Plain(1))

    assert captured.assert_published(Plain, number=1) is captured.events[0]
    with pytest.raises(AssertionError, match="no text"):
        captured.assert_published(Plain, text="a")


def test_assert_not_published_fails_with_the_event(captured):
    """
    It passes for fields that no event has, and otherwise shows the first that has them.
    """
    captured.assert_not_published(Ping, text="d")

    with pytest.raises(AssertionError) as failure:
        captured.assert_not_published(Ping)

    assert str(failure.value) == "Ping was published 3 times, first as:\n  Ping(text='a', size=1)"


# --- assert_order ----------------------------------------------------------------------------


def test_assert_order_returns_what_matched(captured):
    """
    Classes and predicates match one after the other, with other events between.
    """
    found = captured.assert_order(Ping, lambda event: event.text == "c", Pong)

    assert found == [Ping("a", 1), LoudPing("c", 3), Pong("d")]


def test_assert_order_wants_one_event_for_each(captured):
    """
    An event matches once: two of a class need two events.
    """
    captured.assert_order(Ping, Ping, Ping)

    with pytest.raises(AssertionError, match="Ping, number 4 of 4, was not published after Loud"):
        captured.assert_order(Ping, Ping, Ping, Ping)


def test_assert_order_tells_what_came_too_early(captured):
    """
    If an event was published, but before its turn, the failure says so.
    """
    with pytest.raises(AssertionError, match=r"after Pong\(text='d'\), only before\nAll 4"):
        captured.assert_order(Pong, Ping)


@given(st.lists(st.sampled_from([Ping("a"), Pong("b"), LoudPing("c")])), st.data())
def test_assert_order_accepts_every_subsequence(events, data):
    """
    The classes of any part of the events, in their order, are in order.
    """
    bus = EventBus()
    with capture(bus) as captured:
        for event in events:
            bus.publish(event)
    kept = [event for event in events if data.draw(st.booleans())]

    found = captured.assert_order(*map(type, kept))

    assert len(found) == len(kept)
    assert all(map(isinstance, found, map(type, kept)))


# --- wait_for --------------------------------------------------------------------------------


async def test_wait_for_finds_what_was_captured_before(bus):
    """
    An event that was published before it is waited for is returned.
    """
    with capture(bus) as captured:
        bus.publish(Ping("a"))
        bus.publish(Ping("b"))

        assert await captured.wait_for(Ping, lambda event: event.text == "b") == Ping("b")


async def test_wait_for_waits(bus):
    """
    An event that is published later ends the wait, one that doesn't fit doesn't.
    """
    found = []

    async def wait():
        found.append(await captured.wait_for(Ping, lambda event: event.size > 1))

    with capture(bus) as captured:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            for event in Pong("x"), Ping("a", 1), Ping("b", 2), Ping("c", 3):
                await anyio.wait_all_tasks_blocked()
                assert not found or event.size == 3
                bus.publish(event)

    assert found == [Ping("b", 2)]


async def test_wait_for_is_woken_from_other_threads(bus):
    """
    A bus that doesn't run may be published on by a thread, while a task waits.
    """
    with capture(bus) as captured:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, bus.publish, Ping("a"))

            assert await captured.wait_for(Ping, timeout=None) == Ping("a")


async def test_wait_for_works_with_a_running_bus(bus):
    """
    An event that an async handler publishes ends the wait.
    """

    async def answer(event):
        bus.publish(Pong(event.text))

    bus.subscribe(answer, Ping)
    async with bus:
        with capture(bus) as captured:
            bus.publish(Ping("a"))

            assert await captured.wait_for(Pong) == Pong("a")


@pytest.mark.parametrize("autojump", [True])
async def test_wait_for_gives_up(bus, clock):
    """
    When the time is up it raises TimeoutError, with the events that there were.
    """
    with clock, capture(bus) as captured:
        bus.publish(Ping("a"))
        with pytest.raises(TimeoutError) as failure:
            await captured.wait_for(Pong, timeout=3)

    assert str(failure.value) == (
        "Pong was not published within 3 s\nAll 1 captured events:\n  Ping(text='a', size=0)"
    )
    assert clock.now == 3


@pytest.mark.parametrize("autojump", [True])
async def test_wait_for_names_its_predicate(bus, clock):
    """
    A predicate that never said yes is named.
    """

    def is_large(event):
        return event.size > 100

    with clock, capture(bus) as captured:
        bus.publish(Ping("a"))
        with pytest.raises(TimeoutError, match=r"Ping that .*is_large says yes to was not"):
            await captured.wait_for(Ping, is_large)


# --- FakeClock -------------------------------------------------------------------------------


async def test_time_stands_still(clock):
    """
    Without an advance, no timer is ever due.
    """
    done = []

    async def sleep():
        await anyio.sleep(0.001)
        done.append("slept")

    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep)
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            assert done == []
            await clock.advance(0.001)
            assert done == ["slept"]


async def test_hours_pass_in_no_time(clock):
    """
    The event loop's time advances by exactly the given seconds, and real time doesn't.
    """
    started = time.monotonic()
    with clock:
        before = anyio.current_time()
        await clock.advance(100_000)

        assert anyio.current_time() - before == 100_000
    assert clock.now == 100_000
    assert time.monotonic() - started < 1000


async def test_timers_are_due_in_order(clock):
    """
    One advance over several timers runs each one at its own time, the earliest first.
    """
    log = []

    async def sleep(seconds):
        await anyio.sleep(seconds)
        log.append((seconds, clock.now))

    with clock:
        async with anyio.create_task_group() as tasks:
            for seconds in (3, 1, 2, 7):
                tasks.start_soon(sleep, seconds)
            await clock.advance(5)
            assert log == [(1, 1), (2, 2), (3, 3)]
            await clock.advance(5)

    assert log[3:] == [(7, 7)]
    assert clock.now == 10


async def test_timers_set_on_the_way_are_due_too(clock):
    """
    Everything that a task does after a timer, a further sleep included, happens within the same
    advance.
    """
    log = []

    async def tick():
        for _ in range(10):
            await anyio.sleep(1)
            await anyio.lowlevel.checkpoint()
            log.append(clock.now)

    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            await clock.advance(4.5)
            assert log == [1, 2, 3, 4]
            await clock.advance(20)

    assert log == list(range(1, 11))


async def test_advance_ends_when_everything_due_has_run(clock):
    """
    A timer that is due exactly at the end has run, with all that follows from it.
    """
    log = []

    async def first(woken):
        await anyio.sleep(5)
        woken.set()

    async def second(woken):
        await woken.wait()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        log.append("done")

    with clock:
        async with anyio.create_task_group() as tasks:
            woken = anyio.Event()
            tasks.start_soon(first, woken)
            tasks.start_soon(second, woken)
            await clock.advance(5)
            assert log == ["done"]


async def test_advance_by_nothing_runs_what_is_ready(clock):
    """
    advance(0) lets tasks run until all of them wait, and takes no time.
    """
    log = []

    async def work():
        for number in range(20):
            await anyio.lowlevel.checkpoint()
            log.append(number)

    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await clock.advance(0)
            assert log == list(range(20))
    assert clock.now == 0


async def test_nested_timeouts_fire_from_the_inside(clock):
    """
    Of two timeouts around a sleep, each ends it at its own time.
    """
    log = []

    async def work():
        with anyio.move_on_after(10) as outer:
            with anyio.move_on_after(3) as inner:
                await anyio.sleep(100)
            log.append((inner.cancelled_caught, clock.now))
            await anyio.sleep(100)
        log.append((outer.cancelled_caught, clock.now))

    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await clock.advance(50)

    assert log == [(True, 3), (True, 10)]


async def test_timeout_around_advance_ends_it(clock):
    """
    A deadline in the advancing task is kept: time stops there.
    """
    with clock:
        with anyio.move_on_after(2):
            await clock.advance(5)
        assert clock.now == 2
        await clock.advance(1)
        assert clock.now == 3


async def test_two_tasks_may_advance(clock):
    """
    Advances that overlap end each at its own time, as if they were sleeps.
    """
    log = []

    async def advance(seconds):
        await clock.advance(seconds)
        log.append((seconds, clock.now))

    with clock:
        async with anyio.create_task_group() as tasks:
            for seconds in (3, 1, 2):
                tasks.start_soon(advance, seconds)

    assert log == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("autojump", [True])
async def test_autojump_goes_to_the_next_timer(clock):
    """
    With autojump a sleep is over at once, and time has passed.
    """
    with clock:
        await anyio.sleep(10)
        assert clock.now == 10
        with anyio.move_on_after(5):
            await anyio.sleep_forever()
        assert clock.now == 15


@pytest.mark.parametrize("autojump", [True])
async def test_autojump_stays_within_an_advance(clock):
    """
    While something advances, time does not jump past where that ends.
    """
    with clock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 100)
            await clock.advance(5)
            assert clock.now == 5
            tasks.cancel_scope.cancel()


async def test_advance_sees_what_threads_have_sent(clock):
    """
    Callbacks that another thread has handed to the loop run before time moves on.
    """
    log = []
    bus = EventBus()
    bus.subscribe(lambda event: log.append(clock.now), Ping)

    async def handle(event):
        log.append(clock.now)

    bus.subscribe(handle, Ping)
    with clock:
        async with bus:
            thread = threading.Thread(target=bus.publish, args=[Ping("a")])
            thread.start()
            thread.join()
            await clock.advance(10)

    assert log == [0, 0]


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
async def test_advance_refuses_what_is_no_time(clock, seconds):
    """
    Time goes forward, by a number of seconds.
    """
    with clock, pytest.raises(ValueError, match="from 0 on, not"):
        await clock.advance(seconds)


@given(
    st.lists(st.integers(1, 1000).map(lambda tenths: tenths / 10), min_size=1, max_size=8),
    st.lists(st.integers(0, 500).map(lambda tenths: tenths / 10), max_size=8),
)
def test_what_has_run_is_what_is_due(sleeps, advances):
    """
    After any sequence of advances, exactly the sleeps that are over have ended, in order.
    """
    woken = []

    async def sleep(seconds):
        await anyio.sleep(seconds)
        woken.append(seconds)

    async def main():
        with FakeClock() as clock:
            async with anyio.create_task_group() as tasks:
                for seconds in sleeps:
                    tasks.start_soon(sleep, seconds)
                for seconds in advances:
                    await clock.advance(seconds)
                    now = clock.now
                    clear = [s for s in sorted(sleeps) if abs(s - now) > 1e-6]
                    seen = [s for s in woken if abs(s - now) > 1e-6]
                    assert seen == [s for s in clear if s < now]
                tasks.cancel_scope.cancel()

    asyncio.run(main())


# --- where it works --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_advance_outside_of_its_loop_is_refused(backend):
    """
    A clock that the loop does not use says how to make it.
    """
    with pytest.raises(EventBusError, match=r"with clock:.*trio\.run\(main, clock=clock\)"):
        anyio.run(FakeClock().advance, 1, backend=backend)


def test_clock_that_trio_was_not_started_with_is_refused():
    """
    Entering a clock in a trio loop that has another one fails, rather than wait forever.
    """

    async def main():
        with FakeClock():
            pass

    with pytest.raises(EventBusError, match="trio"):
        trio.run(main)


def test_trio_runs_on_it_without_a_block():
    """
    `trio.run(main, clock=FakeClock())` is all that trio needs.
    """
    clock = FakeClock(autojump=True)

    trio.run(trio.sleep, 1000, clock=clock)

    assert clock.now == 1000


def test_asyncio_gets_its_time_back():
    """
    After the block, the loop has its own time and its own selector again.
    """

    async def main():
        loop = asyncio.get_running_loop()
        before = vars(loop).keys() | vars(loop._selector).keys()
        with FakeClock() as clock:
            await clock.advance(1_000_000)
            virtual = loop.time()
        assert loop.time() < virtual
        assert vars(loop).keys() | vars(loop._selector).keys() == before

    asyncio.run(main())


def test_timers_of_before_are_not_due_early():
    """
    A timer that was set before the block runs within it, when its time has passed.
    """
    log = []

    async def main():
        asyncio.get_running_loop().call_later(1000, log.append, "due")
        with FakeClock() as clock:
            await clock.advance(900)
            assert log == []
            await clock.advance(100)
            assert log == ["due"]

    asyncio.run(main())


def test_clock_can_be_entered_again():
    """
    In another loop, a clock goes on from where it was.
    """
    clock = FakeClock()

    async def main():
        with clock:
            await clock.advance(5)

    asyncio.run(main())
    asyncio.run(main())

    assert clock.now == 10
    assert repr(clock) == "<FakeClock at 10 s>"


def test_one_clock_at_a_time():
    """
    A second clock in the same loop is refused, and the first one goes on.
    """

    async def main():
        with FakeClock() as clock:
            with pytest.raises(EventBusError, match="already"), FakeClock():
                pass
            await clock.advance(5)
            assert clock.now == 5

    asyncio.run(main())


def test_foreign_event_loops_are_refused(monkeypatch):
    """
    A loop without a selector, like uvloop's, is refused with the reason.
    """

    async def main():
        loop = asyncio.get_running_loop()
        selector = loop._selector
        del loop._selector
        try:
            with FakeClock():
                pass
        finally:
            loop._selector = selector

    with pytest.raises(EventBusError, match="asyncio's own event loops"):
        asyncio.run(main())


def test_leaving_the_block_ends_an_advance():
    """
    A task that advances when the clock is left does not wait forever.
    """

    async def main():
        clock = FakeClock()
        async with anyio.create_task_group() as tasks:
            with clock:
                tasks.start_soon(clock.advance, 10)
                while not clock._targets:  # until it waits; there is no other sign of it
                    await anyio.lowlevel.checkpoint()

    asyncio.run(main())


def test_importing_it_loads_no_event_loop():
    """
    `import eventbus.testing` imports neither asyncio nor trio.
    """
    script = (
        "import sys, eventbus.testing; print([n for n in ('asyncio', 'trio') if n in sys.modules])"
    )

    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert result.stdout == "[]\n"


# --- with a bus ------------------------------------------------------------------------------


async def test_handler_times_out_in_virtual_time(bus, clock):
    """
    A handler with timeout=10 is cancelled after ten virtual seconds, and not before.
    """

    async def slow(event):
        await anyio.sleep_forever()

    bus.subscribe(slow, Ping, timeout=10)
    with clock, capture(bus, RealtimeModelExceptionEvent) as captured:
        async with bus:
            bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
            bus.publish(Ping("a"))
            await clock.advance(9.9)
            assert captured.events == []
            await clock.advance(0.1)

            failure = captured.assert_published(RealtimeModelExceptionEvent, event=Ping("a"))
            assert isinstance(failure.exception, TimeoutError)
            assert bus.stats.timed_out == 1


async def test_expect_times_out_in_virtual_time(bus, clock):
    """
    `bus.expect` gives up when its timeout has passed on the clock.
    """
    log = []

    async def wait():
        with contextlib.suppress(TimeoutError):
            await bus.expect(Ping, timeout=30)
        log.append(clock.now)

    with clock:
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await clock.advance(60)

    assert log == [30]


@pytest.mark.parametrize("autojump", [True])
async def test_leaving_a_bus_waits_in_virtual_time(bus, clock):
    """
    With autojump, a bus drains a handler that sleeps for an hour.
    """
    log = []

    async def slow(event):
        await anyio.sleep(3600)
        log.append(event)

    bus.subscribe(slow, Ping)
    with clock:
        async with bus:
            bus.publish(Ping("a"))
            bus.publish(Ping("b"))

    assert log == [Ping("a"), Ping("b")]
    assert clock.now == 7200


def test_callbacks_of_trio_run_before_time_moves():
    """
    However often tasks have waited before, a callback that is due now is called at this time.
    """
    clock = FakeClock(autojump=True)
    times = []

    async def main():
        token = trio.lowlevel.current_trio_token()
        for _ in range(4):
            called = trio.Event()
            token.run_sync_soon(called.set)
            with trio.move_on_after(5):
                await called.wait()
            times.append(clock.now)

    trio.run(main, clock=clock)

    assert times == [0, 0, 0, 0]
