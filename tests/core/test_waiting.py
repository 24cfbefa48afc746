"""
Waiting for one event, and iterating over all of them, in a task.
"""

from __future__ import annotations

import logging
import weakref

import anyio
import pytest

from eventbus import (
    BusClosed,
    BusNotRunning,
    EventBusError,
    EventTypeError,
    Mailbox,
    MailboxFull,
    OptionError,
    Overflow,
)
from tests.support import LoudPing, Ping, Pong, crashes, raiser, without_collector

blocked = anyio.wait_all_tasks_blocked


class Boxed:
    """
    A place for a task's result.
    """

    def __init__(self):
        self.results = []

    async def put(self, function, *args, **kwargs):
        try:
            self.results.append(await function(*args, **kwargs))
        except Exception as exc:  # noqa: BLE001  # for the test to see
            self.results.append(exc)

    async def put_expected(self, bus, *args, **kwargs):
        await self.put(bus.expect, *args, **kwargs)

    async def put_all(self, stream):
        async for event in stream:
            self.results.append(event.name)
        self.results.append("end")


@pytest.fixture
def box():
    """
    A task's result.
    """
    return Boxed()


# --- expect --------------------------------------------------------------------------------------


async def test_expect_returns_the_next_event(bus, box):
    """
    Earlier events are past; the first event from then on is returned.
    """
    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            bus.publish(Ping("past"))
            tasks.start_soon(box.put_expected, bus, Ping)
            await blocked()
            bus.publish(Ping("first"))
            bus.publish(Ping("second"))

    assert box.results == [Ping("first")]


async def test_expect_takes_subclasses_and_several_classes(bus, box):
    """
    The classes mean the same as for ``on``.
    """
    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(box.put_expected, bus, Pong, Ping)
            await blocked()
            bus.publish(LoudPing("loud"))

    assert box.results == [LoudPing("loud")]


async def test_expect_waits_for_what_its_predicate_accepts(bus):
    """
    With ``when``, events that it says no to are passed over.
    """
    box = Boxed()

    async def wait():
        box.results.append(await bus.expect(Ping, when=lambda event: event.name > 1))

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await blocked()
            for number in range(4):
                bus.publish(Ping(number))

    assert box.results == [Ping(2)]


async def test_expect_waits_for_one_sender(bus):
    """
    With ``sender``, or in a scope, other sessions' events are passed over.
    """
    box = Boxed()

    async def wait():
        box.results.append(await bus.expect(Ping, sender="b"))

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            with bus.scope("b") as call:
                tasks.start_soon(wait)
                tasks.start_soon(box.put, call.expect, Ping)
                await blocked()
                bus.publish(Ping("a"), sender="a")
                bus.publish(Ping("b"), sender="b")
                await blocked()

    assert box.results == [Ping("b"), Ping("b")]


async def test_expect_raises_timeout_error(bus):
    """
    Without such an event in time, TimeoutError names the expected classes.
    """
    async with bus:
        with pytest.raises(TimeoutError, match="Ping"):
            await bus.expect(Ping, timeout=0.001)


@pytest.mark.parametrize("timeout", [0, -1, "soon", True])
async def test_expect_refuses_a_timeout_that_is_none(bus, timeout):
    """
    A timeout is a number of seconds above 0.
    """
    async with bus:
        with pytest.raises(OptionError, match="timeout"):
            await bus.expect(Ping, timeout=timeout)


async def test_expect_refuses_what_is_no_class(bus):
    """
    An event to wait for is named by its class.
    """
    async with bus:
        with pytest.raises(EventTypeError):
            await bus.expect(Ping("one"))


async def test_expect_raises_what_its_predicate_raises(bus):
    """
    A predicate that fails is the waiter's own problem: it gets the error, nobody else does.
    """
    seen, box, error = crashes(bus), Boxed(), ValueError("boom")

    async def wait():
        await box.put(bus.expect, Ping, when=raiser(error))

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await blocked()
            bus.publish(Ping())

    assert box.results == [error]
    assert seen == []


async def test_expect_leaves_nothing_behind(bus):
    """
    After it has returned, raised or been cancelled, its class has no handler any more.
    """
    async with bus:
        with pytest.raises(TimeoutError):
            await bus.expect(Ping, timeout=0.001)
        with anyio.move_on_after(0.001):
            await bus.expect(Ping)
        bus.publish(Ping())

        assert bus.stats.unhandled == 1
        assert not bus._dispatcher.waiters._parked


async def test_expect_counts_as_handling(bus, caplog):
    """
    An event that somebody waits for is not unhandled.
    """
    box = Boxed()

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(box.put_expected, bus, Ping)
            await blocked()
            bus.publish(Ping())
            assert bus.stats.unhandled == 0


async def test_expect_needs_a_running_bus(bus):
    """
    On a bus that doesn't run, nobody would ever end the wait.
    """
    with pytest.raises(BusNotRunning, match="Ping"):
        await bus.expect(Ping)


async def test_expect_gets_bus_closed(bus, box):
    """
    A task that waits when the bus is closed gets BusClosed, drained or not.
    """
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for drain in (True, False):
                async with bus:
                    tasks.start_soon(box.put_expected, bus, Ping)
                    await blocked()
                    await bus.aclose(drain=drain)

    assert [type(result) for result in box.results] == [BusClosed, BusClosed]


async def test_event_that_came_before_the_close_is_returned(bus, box):
    """
    An event that was published before the bus was closed wins over BusClosed.
    """
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:
            tasks.start_soon(box.put_expected, bus, Ping)
            await blocked()
            bus.publish(Ping("last"))
            bus._dispatcher.end(bus._dispatcher.runner)  # the loop may end in the same moment

    assert box.results == [Ping("last")]


async def test_several_tasks_expect_the_same_event(bus, box):
    """
    Each of them gets it.
    """
    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(box.put_expected, bus, Ping)
            await blocked()
            bus.publish(Ping("all"))

    assert box.results == [Ping("all")] * 3


# --- streams -------------------------------------------------------------------------------------


async def test_stream_gives_each_event_once_in_order(bus):
    """
    From when it is entered, a stream has every event of its classes, in the order of publication.
    """
    seen = []

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping("past"))
            async with bus.stream(Ping, Pong) as events:
                bus.publish(Ping(1))
                bus.publish(Pong(2))
                bus.publish(LoudPing(3))
                async for event in events:
                    seen.append(event)
                    if len(seen) == 3:
                        break

    assert seen == [Ping(1), Pong(2), LoudPing(3)]


async def test_event_of_two_classes_of_a_stream_comes_once(bus, box):
    """
    A stream of a class and its base sees an instance of both only once.
    """
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:
            stream = bus.stream(Ping, LoudPing)
            async with stream:
                bus.publish(LoudPing("loud"))
            tasks.start_soon(box.put_all, stream)

    assert box.results == ["loud", "end"]


async def test_streams_have_buffers_of_their_own(bus):
    """
    A stream that nobody reads keeps nothing from another one.
    """
    with anyio.fail_after(10):
        async with bus, bus.stream(Ping) as idle, bus.stream(Ping) as read:
            bus.publish(Ping(1))
            assert await anext(read) == Ping(1)
            bus.publish(Ping(2))
            assert await anext(read) == Ping(2)
            assert await anext(idle) == Ping(1)


async def test_slow_reader_delays_no_publisher(bus):
    """
    Events that a stream has not given out wait in its buffer, and publishing goes on.
    """
    async with bus, bus.stream(Ping) as events:
        for number in range(1000):
            bus.publish(Ping(number))

        assert [(await anext(events)).name for _ in range(1000)] == list(range(1000))


async def test_two_readers_of_one_stream_share_its_events(bus):
    """
    Each event goes to one of them, and the end to both.
    """
    boxes = [Boxed(), Boxed()]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with bus:
                stream = await bus.stream(Ping).__aenter__()
                for box in boxes:
                    tasks.start_soon(box.put_all, stream)
                await blocked()
                for number in range(5):
                    bus.publish(Ping(number))
                    await blocked()
                bus.publish(Ping(5))
                bus.publish(Ping(6))
            await blocked()
            await stream.__aexit__(None, None, None)

    assert [box.results[-1] for box in boxes] == ["end", "end"]
    assert sorted(n for box in boxes for n in box.results[:-1]) == list(range(7))


async def test_cancelled_reader_costs_the_other_one_nothing(bus):
    """
    A reader that was woken for an event, and cancelled before it took it, leaves it to others.
    """
    box = Boxed()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus, bus.stream(Ping) as stream:
            cancelled = anyio.CancelScope()

            async def read_once():
                with cancelled:
                    await anext(stream)

            tasks.start_soon(read_once)
            await blocked()
            tasks.start_soon(box.put_all, stream)
            await blocked()
            bus.publish(Ping("event"))
            cancelled.cancel()
            await blocked()
            bus.publish(Ping("next"))
            await blocked()

    assert box.results[-2:] == ["next", "end"]


async def test_stream_ends_when_the_bus_is_closed(bus, box):
    """
    A parked iterator ends, once it has given out its events.
    """
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with bus:
                stream = await bus.stream(Ping).__aenter__()
                bus.publish(Ping(1))
                bus.publish(Ping(2))
            tasks.start_soon(box.put_all, stream)
            await blocked()
            await stream.__aexit__(None, None, None)

    assert box.results == [1, 2, "end"]


@pytest.mark.parametrize("drain", [True, False])
async def test_parked_iterator_is_woken_by_the_close(bus, box, drain):
    """
    A task that waits in a stream, when nothing comes any more, does not wait forever.
    """
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:

            async def read():
                async with bus.stream(Ping) as stream:
                    await box.put_all(stream)

            tasks.start_soon(read)
            await blocked()
            await bus.aclose(drain=drain)

    assert box.results == ["end"]


async def test_stream_sees_what_handlers_publish_in_the_drain(bus, box):
    """
    While the bus drains, a stream still gets events.
    """

    @bus.on(Pong)
    async def answer(event):
        await anyio.lowlevel.checkpoint()
        bus.publish(Ping("late"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with bus:
                stream = await bus.stream(Ping).__aenter__()
                tasks.start_soon(box.put_all, stream)
                bus.publish(Pong())
            await blocked()
            await stream.__aexit__(None, None, None)

    assert box.results == ["late", "end"]


async def test_stream_leaves_nothing_behind(bus):
    """
    After its exit, a stream's class has no handler, and the bus knows nothing of it.
    """
    async with bus:
        for _ in range(100):
            async with bus.stream(Ping):
                bus.publish(Ping())
        bus.publish(Ping())

        assert bus.stats.unhandled == 1
        assert not bus._dispatcher.waiters._parked


async def test_stream_and_its_events_are_gone_after_its_exit(bus):
    """
    Neither the stream nor its events are kept, and the collector has nothing to do.
    """

    class Tracked:
        """
        An event that can be watched.
        """

    async with bus:
        with without_collector():
            async with bus.stream(Tracked) as stream:
                event = Tracked()
                watched = [weakref.ref(event), weakref.ref(stream)]
                bus.publish(event)
            del event, stream
            await blocked()

            assert [ref() for ref in watched] == [None, None]


async def test_stream_that_overflows_drops_and_reports(bus):
    """
    A full buffer drops by its policy; one burst is one report.
    """
    seen = crashes(bus)

    async with bus, bus.stream(Ping, mailbox=Mailbox(2)) as events:
        for burst in (1, 2):
            for number in range(5):
                bus.publish(Ping(number))
            assert [(await anext(events)).name for _ in range(2)] == [3, 4]
            assert len(seen) == burst

    assert isinstance(seen[0].exception, MailboxFull)
    assert "stream(Ping)" in seen[0].context
    assert bus.stats.dropped == 6


@pytest.mark.parametrize(
    "mailbox",
    [
        Mailbox(overflow=Overflow.BLOCK),
        Mailbox(overflow=Overflow.RAISE),
        Mailbox(purged_by=Pong),
    ],
    ids=["BLOCK", "RAISE", "purged_by"],
)
async def test_stream_refuses_a_mailbox_that_it_cannot_be(bus, mailbox):
    """
    A stream drops or keeps; other wishes are refused when they are made.
    """
    with pytest.raises(OptionError, match="stream"):
        bus.stream(Ping, mailbox=mailbox)


async def test_stream_filters_by_its_predicate(bus):
    """
    Events that ``when`` rejects are left out; a predicate that fails is a crash, not the end.
    """
    seen = crashes(bus)

    def is_even(event):
        if event.name == 3:
            raise ValueError("three")
        return event.name % 2 == 0

    async with bus, bus.stream(Ping, when=is_even) as events:
        for number in range(5):
            bus.publish(Ping(number))
        assert [(await anext(events)).name for _ in range(3)] == [0, 2, 4]

    assert [str(crash.exception) for crash in seen] == ["three"]


async def test_stream_of_a_scope_sees_its_sender_only(bus):
    """
    ``call.stream`` has the session's events.
    """
    with anyio.fail_after(10):
        async with bus:
            with bus.scope("b") as call:
                async with call.stream(Ping) as events:
                    bus.publish(Ping("none"))
                    bus.publish(Ping("a"), sender="a")
                    call.publish(Ping("b"))
                    assert await anext(events) == Ping("b")


async def test_stream_is_entered_before_it_is_read(bus):
    """
    Iterating over a stream that was not entered says so, instead of waiting.
    """
    async with bus:
        with pytest.raises(EventBusError, match="async with"):
            await anext(bus.stream(Ping))


async def test_stream_is_entered_once(bus):
    """
    A stream is for one use; the bus makes as many as are needed.
    """
    async with bus:
        stream = bus.stream(Ping)
        async with stream:
            with pytest.raises(EventBusError, match="once"):
                await stream.__aenter__()


async def test_stream_needs_a_running_bus(bus):
    """
    Entering a stream of a bus that doesn't run is refused.
    """
    with pytest.raises(BusNotRunning, match=r"stream\(Ping\)"):
        async with bus.stream(Ping):
            pytest.fail("it was entered")


async def test_stream_of_exception_events_silences_the_log(bus, caplog):
    """
    A crash that a stream takes is handled.
    """
    from eventbus.events import RealtimeModelExceptionEvent

    bus.subscribe(raiser(ValueError("boom")), Ping)

    async with bus, bus.stream(RealtimeModelExceptionEvent) as events:
        bus.publish(Ping())
        assert str((await anext(events)).exception) == "boom"

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_expect_without_a_sender_means_any(bus):
    """
    ``sender=None`` is no sender in particular, as in `on`.
    """
    async with bus:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                seen = []

                async def wait():
                    seen.append(await bus.expect(Ping, sender=None))

                tasks.start_soon(wait)
                await blocked()
                bus.publish(Ping("p1"), sender="call-1")

    assert seen == [Ping("p1")]


async def test_unknown_options_get_a_hint(bus):
    """
    An option that expect or stream doesn't have is refused with the one that was meant.
    """
    with pytest.raises(TypeError, match="did you mean timeout"):
        await bus.expect(Ping, timeuot=1)
    with pytest.raises(TypeError, match="did you mean mailbox"):
        bus.stream(Ping, mailboxx=None)


# --- who waits while the bus drains ---------------------------------------------------------------


async def test_handlers_that_wait_for_events_do_not_keep_the_bus_open(bus):
    """
    When all that is left waits for events that nobody can publish any more, it is let go.
    """
    steps = []

    @bus.on(Ping)
    async def expects(event):
        with pytest.raises(BusClosed):
            await bus.expect(LoudPing)
        steps.append("expect")

    @bus.on(Ping)
    async def iterates(event):
        async with bus.stream(LoudPing) as stream:
            async for _ in stream:
                pass
        steps.append("stream")

    @bus.on(Ping)
    async def waits_for_one_that_expects(event):
        await bus.publish_and_wait(Pong())
        steps.append("publish_and_wait")

    @bus.on(Pong)
    async def expects_too(event):
        with pytest.raises(BusClosed):
            await bus.expect(LoudPing)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping())
            await blocked()

    assert sorted(steps) == ["expect", "publish_and_wait", "stream"]


async def test_handler_gets_what_another_one_publishes_while_the_bus_drains(bus):
    """
    As long as a handler is left that may publish, those that wait for events go on waiting.
    """
    seen = []
    released = anyio.Event()

    @bus.on(Ping)
    async def expects(event):
        seen.append(await bus.expect(Pong))

    @bus.on(Ping)
    async def publishes_late(event):
        await released.wait()
        bus.publish(Pong("p1"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:
            bus.publish(Ping())
            await blocked()

            async def release():
                await blocked()
                released.set()

            tasks.start_soon(release)

    assert seen == [Pong("p1")]


async def test_a_closed_bus_has_nothing_to_wait_for(bus):
    """
    After the end, expect and a stream say that the bus is closed, as publish does.
    """
    async with bus:
        pass

    with pytest.raises(BusClosed):
        await bus.expect(Ping)
    with pytest.raises(BusClosed):
        await bus.stream(Ping).__aenter__()


async def test_what_waits_through_a_scope_ends_with_it(bus):
    """
    At the end of a scope its streams end, and a task that waits in expect gets BusClosed.
    """
    steps = []

    async def iterate(call):
        async with call.stream(Ping) as stream:
            steps.extend([event async for event in stream])
        steps.append("over")

    async def expect(call):
        with pytest.raises(BusClosed):
            await call.expect(Pong)
        steps.append("closed")

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            with bus.scope("call-1") as call:
                tasks.start_soon(iterate, call)
                tasks.start_soon(expect, call)
                await blocked()
                call.publish(Ping("p1"))

    assert sorted(map(str, steps)) == sorted([str(Ping("p1")), "closed", "over"])
