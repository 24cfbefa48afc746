"""
The life of a bus: entered, left, closed, entered again; and the scopes in it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import tracemalloc
import weakref

import anyio
import pytest

from eventbus import BusClosed, BusNotRunning, EventBus, EventBusError, OptionError
from eventbus.events import RealtimeModelTurnStartedEvent
from tests.support import Ping, Pong, crashes, without_collector

blocked = anyio.wait_all_tasks_blocked


def collect(bus):
    """
    Return a list that fills with the names of the Pings that an async handler gets.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        await anyio.lowlevel.checkpoint()
        seen.append(event.name)

    return seen


def stubborn(bus, release):
    """
    Subscribe a handler that swallows every cancellation until *release* is set.
    """

    @bus.on(Pong)
    async def handler(event):
        while not release.is_set():
            try:
                await release.wait()
            except BaseException:  # noqa: BLE001  # that is what is wrong with it
                continue


@pytest.fixture
async def release():
    """
    The event that a stubborn handler waits for; it comes at the end of the test at the latest.
    """
    release = anyio.Event()
    yield release
    release.set()


# --- entering ------------------------------------------------------------------------------------


async def test_bus_runs_inside_async_with(bus):
    """
    ``is_running`` is true from entering to leaving.
    """
    assert not bus.is_running
    async with bus as entered:
        assert entered is bus
        assert bus.is_running
    assert not bus.is_running


async def test_running_bus_cannot_be_entered(bus):
    """
    One bus runs once at a time.
    """
    async with bus:
        with pytest.raises(EventBusError, match="running already"):
            await bus.__aenter__()

        assert bus.is_running


async def test_bus_can_be_entered_again(bus):
    """
    A bus that was closed works again when it is entered again, with all its handlers.
    """
    seen = collect(bus)

    for number in range(3):
        async with bus:
            bus.publish(Ping(number))

    assert seen == [0, 1, 2]


async def test_buses_do_not_know_each_other():
    """
    Two buses run side by side, with handlers and states of their own.
    """
    first, second = EventBus(), EventBus()
    seen = collect(first), collect(second)

    async with first:
        async with second:
            first.publish(Ping(1))
            second.publish(Ping(2))
        with pytest.raises(BusClosed):
            second.publish(Ping(2))
        first.publish(Ping(3))

    assert seen == ([1, 3], [2])


def test_bus_is_entered_and_left_in_different_tasks(bus):
    """
    The set-up and the tear-down of a test's fixture may each be a task of its own.
    """
    seen = collect(bus)

    with asyncio.Runner() as runner:
        runner.run(bus.__aenter__())
        runner.run(bus.publish_and_wait(Ping("test")))
        runner.run(bus.__aexit__(None, None, None))

    assert seen == ["test"]


# --- draining ------------------------------------------------------------------------------------


async def test_leaving_drains_what_is_queued(bus):
    """
    At the end of ``async with`` every queued event has been handled.
    """
    seen = collect(bus)

    async with bus:
        for number in range(100):
            bus.publish(Ping(number))

    assert seen == list(range(100))
    assert bus.stats.pending == bus.stats.dropped == 0


async def test_leaving_drains_what_handlers_publish_meanwhile(bus):
    """
    A chain of handlers is followed to its end, over any number of generations.
    """
    seen = collect(bus)

    @bus.on(Ping)
    async def go_on(event):
        await anyio.lowlevel.checkpoint()
        if event.name:
            bus.publish(Ping(event.name - 1))

    async with bus:
        bus.publish(Ping(5))

    assert seen == [5, 4, 3, 2, 1, 0]


async def test_leaving_drains_what_sync_handlers_publish_meanwhile(bus):
    """
    A sync handler in the middle of a chain can publish, too, while the bus drains.
    """
    seen = collect(bus)
    bus.subscribe(lambda event: bus.publish(Ping("from sync")), Pong)

    @bus.on(Ping)
    async def go_on(event):
        await anyio.lowlevel.checkpoint()
        if event.name == "first":
            bus.publish(Pong())

    async with bus:
        bus.publish(Ping("first"))

    assert seen == ["first", "from sync"]


async def test_drain_refuses_events_from_outside(bus):
    """
    While the bus drains, a publish that is not a handler's raises BusClosed.
    """
    seen, refused = collect(bus), []
    go = anyio.Event()

    @bus.on(Pong)
    async def hold(event):
        await go.wait()
        bus.publish(Ping("handler's"))

    async def outside():
        await blocked()
        try:
            bus.publish(Ping("outside's"))
        except BusClosed as exc:
            refused.append(exc)
        go.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:
            bus.publish(Pong())
            await blocked()
            tasks.start_soon(outside)

    assert len(refused) == 1
    assert seen == ["handler's"]


async def test_drain_allows_tasks_and_threads_of_handlers(bus):
    """
    A task that a handler has started, and waits for, publishes like the handler itself.
    """
    seen = collect(bus)

    async def child():
        bus.publish(Ping("task's"))

    @bus.on(Pong)
    async def handler(event):
        await blocked()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
        await anyio.to_thread.run_sync(bus.publish, Ping("thread's"))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())

    assert seen == ["task's", "thread's"]


async def test_exception_in_the_body_drains(bus):
    """
    A body that fails costs no event that was published before.
    """
    seen = collect(bus)

    with pytest.raises(ValueError, match="boom"):  # noqa: PT012  # what leaving it does
        async with bus:
            bus.publish(Ping(1))
            raise ValueError("boom")

    assert seen == [1]


# --- closing -------------------------------------------------------------------------------------


async def test_publish_after_the_end_raises_bus_closed(bus):
    """
    A closed bus refuses events, also those for sync handlers only or for nobody.
    """
    seen = []
    bus.subscribe(seen.append, Ping)
    async with bus:
        bus.publish(Ping())

    for event in (Ping(), Pong()):
        with pytest.raises(BusClosed):
            bus.publish(event)
    with pytest.raises(BusClosed):
        await bus.publish_async(Ping())
    with pytest.raises(BusClosed):
        await bus.publish_and_wait(Ping())

    assert seen == [Ping()]


async def test_aclose_without_drain_cancels_and_drops(bus):
    """
    ``aclose(drain=False)`` cancels running handlers, gives up waiting events, and counts them.
    """
    started, cancelled, reported = [], [], crashes(bus)

    @bus.on(Ping)
    async def stuck(event):
        started.append(event.name)
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            for number in range(3):
                bus.publish(Ping(number))
            await blocked()
            await bus.aclose(drain=False)
            assert not bus.is_running

    assert started == cancelled == [0]
    assert bus.stats.dropped == 2
    assert bus.stats.pending == 0
    assert reported == []


async def test_aclose_waits_for_the_cleanup_of_cancelled_handlers(bus):
    """
    When ``aclose(drain=False)`` returns, the ``finally`` blocks of handlers have run.
    """
    cleaned = []

    @bus.on(Ping)
    async def careful(event):
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(10):
                    await anyio.lowlevel.checkpoint()
            cleaned.append(event.name)

    async with bus:
        bus.publish(Ping(1))
        await blocked()
        await bus.aclose(drain=False)
        assert cleaned == [1]


async def test_aclose_leaves_a_stubborn_handler_behind(bus, caplog, release):
    """
    A handler that swallows its cancellation does not keep ``aclose`` longer than its timeout,
    and is mentioned in the log.
    """
    stubborn(bus, release)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())
            await blocked()
            with anyio.fail_after(1):
                await bus.aclose(drain=False, timeout=0.01)
            assert not bus.is_running
            with pytest.raises(BusClosed):
                bus.publish(Ping())
            release.set()
            await blocked()

    assert [r.levelno for r in caplog.records] == [logging.WARNING]


async def test_bus_works_again_although_a_handler_was_left_behind(bus, caplog, release):
    """
    A handler that was left behind in one life of the bus gets its events in the next one.
    """
    stubborn(bus, release)
    handled = []

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())
            await blocked()
            await bus.aclose(drain=False, timeout=0.01)
        async with bus:
            release.set()
            await bus.publish_and_wait(Pong())
            handled.append(True)
            assert bus.stats.pending == 0

    assert handled == [True]


async def test_aclose_gives_up_draining_after_its_timeout(bus):
    """
    ``aclose(timeout=…)`` drains as long, and aborts then.
    """
    cancelled = []

    @bus.on(Ping)
    async def stuck(event):
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(1))
            bus.publish(Ping(2))
            await blocked()
            await bus.aclose(timeout=0.01)

    assert cancelled == [1]
    assert bus.stats.dropped == 1


async def test_aclose_is_idempotent(bus):
    """
    Closing a closed bus does nothing; one that never ran is closed by it.
    """
    await bus.aclose()
    await bus.aclose(drain=False)
    with pytest.raises(BusClosed):
        bus.publish(Ping())
    async with bus:
        await bus.aclose()
        await bus.aclose()


async def test_aclose_from_several_tasks(bus):
    """
    All callers return when the bus is closed, and none before.
    """
    go, closed = anyio.Event(), []

    @bus.on(Ping)
    async def hold(event):
        await go.wait()

    async def close():
        await bus.aclose()
        closed.append(bus.is_running)

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            bus.publish(Ping())
            for _ in range(3):
                tasks.start_soon(close)
            await blocked()
            assert closed == []
            go.set()

    assert closed == [False, False, False]


async def test_abort_overtakes_a_drain(bus):
    """
    A second ``aclose(drain=False)`` ends a drain that takes too long, for both callers.
    """
    closed = []

    @bus.on(Ping)
    async def stuck(event):
        await anyio.sleep_forever()

    async def close():
        await bus.aclose()
        closed.append("drained")

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            bus.publish(Ping())
            tasks.start_soon(close)
            await blocked()
            await bus.aclose(drain=False)

    assert closed == ["drained"]


async def test_aclose_inside_a_handler(bus):
    """
    A handler that closes the bus does not wait for itself; it finishes, and so do queued events.
    """
    seen = collect(bus)

    @bus.on(Pong)
    async def hang_up(event):
        await bus.aclose()
        seen.append("after aclose")

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())
            bus.publish(Ping(1))

    assert sorted(seen, key=str) == [1, "after aclose"]


async def test_aclose_without_drain_inside_a_handler(bus):
    """
    A handler that aborts the bus is cancelled itself, and the bus ends.
    """
    steps = []

    @bus.on(Pong)
    async def hang_up(event):
        await bus.aclose(drain=False)
        steps.append("returned")
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())
            await blocked()
            assert not bus.is_running

    assert steps == ["returned"]


async def test_aclose_in_a_task_of_a_handler(bus):
    """
    A handler that waits for a task which closes the bus does not deadlock either.
    """
    steps = []

    @bus.on(Pong)
    async def hang_up(event):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.aclose)
        steps.append("closed")

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong())
            await blocked()
            assert not bus.is_running

    assert steps == ["closed"]


async def test_cancelled_aclose_has_closed_without_draining(bus):
    """
    A cancellation while the bus drains leaves a closed bus behind, not half of one.
    """
    cancelled = []

    @bus.on(Ping)
    async def stuck(event):
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(1))
            await blocked()
            with anyio.move_on_after(0.01) as scope:
                await bus.aclose()
            assert scope.cancelled_caught
            assert not bus.is_running

    assert cancelled == [1]


async def test_cancelled_aclose_with_a_stubborn_handler_ends_waiters(bus, monkeypatch, release):
    """
    Waiters are let go even if ``aclose`` is cancelled and a handler ignores its cancellation.
    """
    monkeypatch.setattr("eventbus._core.workers.GRACE", 0.01)
    is_told = anyio.Event()
    stubborn(bus, release)

    async def wait():
        with pytest.raises(BusClosed):
            await bus.expect(Ping)
        is_told.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, bus:
            tasks.start_soon(wait)
            await blocked()
            bus.publish(Pong())
            with anyio.move_on_after(0.01):
                await bus.aclose()
            await is_told.wait()
            release.set()


async def test_async_handler_of_a_closed_bus_is_not_reached_by_a_late_publisher(bus):
    """
    A task that publishes after the end gets BusClosed, not BusNotRunning: it is told the cause.
    """
    collect(bus)
    with pytest.raises(BusNotRunning):
        bus.publish(Ping())
    async with bus:
        pass

    with pytest.raises(BusClosed):
        bus.publish(Ping())


# --- scopes --------------------------------------------------------------------------------------


async def test_scope_binds_the_sender(bus):
    """
    Events that a scope publishes are its sender's, and its handlers see that sender's events only.
    """
    seen = []

    async with bus:
        with bus.scope("call-42") as call:

            @call.on(Ping)
            async def handler(event, context):
                seen.append((event.name, context.sender))

            call.publish(Ping("publish"))
            await call.publish_async(Ping("publish_async"))
            await call.publish_and_wait(Ping("publish_and_wait"))
            bus.publish(Ping("other"), sender="call-43")
            bus.publish(Ping("none"))

    assert seen == [
        ("publish", "call-42"),
        ("publish_async", "call-42"),
        ("publish_and_wait", "call-42"),
    ]


async def test_handlers_of_the_bus_see_the_events_of_scopes(bus):
    """
    A handler without ``sender=`` gets every sender's events.
    """
    seen = collect(bus)

    async with bus:
        with bus.scope("a") as first, bus.scope("b") as second:
            first.publish(Ping("a"))
            second.publish(Ping("b"))
        await blocked()

    assert sorted(seen) == ["a", "b"]


async def test_scope_takes_its_subscriptions_and_mailboxes_with_it(bus):
    """
    After its exit a scope's handlers start no more, also for queued events.
    """
    go, started, finished = anyio.Event(), [], []

    async with bus:
        with bus.scope("call") as call:

            @call.on(Ping)
            async def handler(event):
                started.append(event.name)
                await go.wait()
                finished.append(event.name)

            call.publish(Ping(1))
            call.publish(Ping(2))
            await blocked()
        call.publish(Ping(3))
        go.set()

    assert started == finished == [1]


async def test_scope_ends_inside_its_own_handler(bus):
    """
    A call that ends while its event is being handled takes the rest of its handlers with it.
    """
    seen = []

    async with bus:
        scope = bus.scope("call")
        with scope as call:

            @call.on(Ping)
            def end(event):
                scope.__exit__(None, None, None)
                seen.append("end")

            call.on(Ping)(lambda event: seen.append("never"))
            call.publish(Ping())

    assert seen == ["end"]


def test_scope_needs_a_sender(bus):
    """
    None stands for no sender, so it can't be one.
    """
    with pytest.raises(TypeError, match="sender"):
        bus.scope(None)


def test_scope_is_entered_before_handlers_are_registered(bus):
    """
    Without an exit the subscriptions would stay: a scope that isn't entered refuses them.
    """
    with pytest.raises(EventBusError, match="not entered"):
        bus.scope("call").on(Ping)(lambda event: None)


def test_scope_refuses_another_sender(bus):
    """
    A scope's handlers are its sender's.
    """
    with bus.scope("call") as call, pytest.raises(OptionError, match="own sender"):
        call.on(Ping, sender="other")(lambda event: None)


@pytest.mark.slow
async def test_ten_thousand_scopes_leave_nothing(bus):
    """
    Calls come and go: the memory of the bus, and the number of objects, does not grow.
    """

    def one(number):
        with bus.scope(f"call-{number}") as call:

            @call.on(Ping)
            async def handler(event): ...

            call.publish(Ping())

    async with bus:
        for number in range(500):
            one(number)
        await blocked()
        gc.collect()
        before = len(gc.get_objects())
        for number in range(10_000):
            one(number)
        await blocked()
        gc.collect()

        assert len(gc.get_objects()) - before < 1000
        assert bus.stats.pending == 0


def test_idle_scope_is_small(bus):
    """
    An open scope with a handler takes at most 4 kB, also when its handler has had an event.
    """
    senders = [f"call-{number}" for number in range(200)]

    def use(sender):
        def handler(event): ...

        scope = bus.scope(sender).__enter__()
        scope.subscribe(handler, RealtimeModelTurnStartedEvent)
        scope.publish(RealtimeModelTurnStartedEvent("resp_1"))
        return scope

    scopes = [use("before")]  # what the first one needs, and the others share
    gc.collect()
    tracemalloc.start()
    try:
        scopes += map(use, senders)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken / len(senders) <= 4_096


async def test_scope_keeps_no_sender_alive(bus):
    """
    A session object that was a sender is gone with its scope, without help from the collector.
    """

    class Session:
        """
        A sender.
        """

    async with bus:
        with without_collector():
            session = Session()
            watched = weakref.ref(session)
            with bus.scope(session) as call:

                @call.on(Ping)
                async def handler(event): ...

                call.publish(Ping())
                await blocked()
            del session, call, handler
            await blocked()

            assert watched() is None


# --- the rest ------------------------------------------------------------------------------------


def test_bus_refuses_to_be_pickled(bus):
    """
    A bus belongs to one process: the error names the objects that can travel instead.
    """
    with pytest.raises(TypeError, match="events can"):
        pickle.dumps(bus)


async def test_repr_tells_the_state(bus):
    """
    The repr of a bus shows that it runs, or doesn't.
    """
    texts = [repr(bus)]
    async with bus:
        texts.append(repr(bus))
    texts.append(repr(bus))

    assert [text.rpartition(" ")[2] for text in texts] == ["idle>", "running>", "closed>"]
