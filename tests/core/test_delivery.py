"""
The async half: each handler works through a mailbox for each sender, alone and in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections import Counter, deque
from contextvars import ContextVar

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus import BusClosed, EventBus, Mailbox, MailboxFull, Overflow
from eventbus.events import RealtimeModelAudioInterruptedEvent, RealtimeModelExceptionEvent
from tests.support import LoudPing, Ping, Pong, crashes, raiser, without_collector

VAR: ContextVar[str] = ContextVar("VAR", default="unset")

INTERRUPTED = RealtimeModelAudioInterruptedEvent("item", 0)


class Gate:
    """
    An async handler that is held up until it is let go, event by event.
    """

    def __init__(self):
        self.started = []
        self.finished = []
        self.send, self.receive = anyio.create_memory_object_stream(10_000)

    def let_go(self, times=1):
        for _ in range(times):
            self.send.send_nowait(None)

    def open(self):
        self.send.close()

    async def handle(self, event):
        self.started.append(event.name)
        with contextlib.suppress(anyio.EndOfStream):
            await self.receive.receive()
        self.finished.append(event.name)


@pytest.fixture
async def gate():
    """
    A handler that is held up.
    """
    gate = Gate()
    yield gate
    gate.send.close()
    gate.receive.close()


blocked = anyio.wait_all_tasks_blocked


# --- order, and no stall ---------------------------------------------------------------------


async def test_async_handler_has_not_run_when_publish_returns(bus):
    """
    A publish puts the event into the mailbox, and that is all.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        seen.append(event)

    async with bus:
        bus.publish(Ping())
        assert seen == []

    assert seen == [Ping()]


async def test_async_handler_sees_the_order_of_publication(bus):
    """
    A handler that waits differently long for each event still gets one after another.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        for _ in range(event.name % 3):
            await anyio.lowlevel.checkpoint()
        seen.append(event.name)

    async with bus:
        for number in range(20):
            bus.publish(Ping(number))

    assert seen == list(range(20))


async def test_async_handler_handles_one_event_at_a_time(bus, gate):
    """
    The next event of a sender starts when the present one has finished.
    """
    bus.subscribe(gate.handle, Ping)

    async with bus:
        bus.publish(Ping(1))
        bus.publish(Ping(2))
        await blocked()
        assert gate.started == [1]
        gate.let_go()
        await blocked()
        assert gate.started == [1, 2]
        gate.open()


async def test_slow_handler_delays_no_other_handler(bus, gate):
    """
    While one handler is stuck, others get the same events and later ones.
    """
    seen = []
    bus.subscribe(gate.handle, Ping, priority=1)

    @bus.on(Ping)
    async def quick(event):
        seen.append(event.name)

    async with bus:
        for number in range(3):
            bus.publish(Ping(number))
        await blocked()
        assert seen == [0, 1, 2]
        gate.open()


async def test_slow_handler_delays_no_other_sender(bus, gate):
    """
    A handler that is stuck with one sender's event starts with another one's.
    """
    bus.subscribe(gate.handle, Ping)

    async with bus:
        bus.publish(Ping("a1"), sender="a")
        bus.publish(Ping("a2"), sender="a")
        bus.publish(Ping("b1"), sender="b")
        bus.publish(Ping("none"))
        await blocked()
        assert sorted(gate.started) == ["a1", "b1", "none"]
        gate.open()


async def test_handler_that_never_waits_lets_others_run(bus):
    """
    A handler without an await, that feeds itself, does not keep the event loop.
    """
    is_over = False

    @bus.on(Ping)
    async def busy(event):
        if not is_over and event.name < 1_000_000:
            bus.publish(Ping(event.name + 1))
        if event.name >= 1_000_000:
            pytest.fail("nobody else was let run")

    # It is counted, too: whatever the bus counts must not decide when others get to run.
    bus.subscribe(lambda event, context: None, Ping)

    async with bus:
        bus.publish(Ping(0))
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        is_over = True

    assert bus.stats.crashed == 0


async def test_chain_of_50_000_events_through_an_async_handler(bus):
    """
    An async handler that publishes the next event, 50,000 times, exhausts nothing.
    """
    seen = 0

    @bus.on(Ping)
    async def go_on(event):
        nonlocal seen
        seen += 1
        if event.name:
            bus.publish(Ping(event.name - 1))

    async with bus:
        bus.publish(Ping(50_000))

    assert seen == 50_001


async def test_handlers_see_sync_and_async_publishes_in_one_order(bus):
    """
    `publish` and `publish_async` stand in the same line.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        seen.append(event.name)

    async with bus:
        bus.publish(Ping(1))
        await bus.publish_async(Ping(2))
        bus.publish(Ping(3))
        await bus.publish_and_wait(Ping(4))

    assert seen == [1, 2, 3, 4]


Publications = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3)), max_size=25
)


@settings(max_examples=40)
@given(publications=Publications, delays=st.lists(st.integers(0, 4), min_size=1, max_size=4))
async def test_every_handler_sees_each_senders_order(publications, delays):
    """
    Several senders, slow and quick handlers, events that handlers publish themselves: each
    handler sees the events of each sender in the order of publication, each of them once.
    """
    bus = EventBus()
    published, seen = [], [[] for _ in delays]

    def publish(sender, number, rest):
        published.append((sender, number))
        bus.publish(Ping((number, rest)), sender=sender)

    def make(index, delay):
        async def handler(event, context):
            number, rest = event.name
            seen[index].append((context.sender, number))
            for _ in range((delay * number) % 5):
                await anyio.lowlevel.checkpoint()
            if index == 0 and rest:
                publish(context.sender, number + 1000, rest - 1)

        return handler

    for index, delay in enumerate(delays):
        bus.subscribe(make(index, delay), Ping, priority=delay)

    async with bus:
        for number, (sender, rest) in enumerate(publications):
            publish(sender, number, rest)
            await anyio.lowlevel.checkpoint()

    for calls in seen:
        for sender in ("a", "b", None):
            assert [c for c in calls if c[0] == sender] == [p for p in published if p[0] == sender]


# --- cancelling a subscription -----------------------------------------------------------------


async def test_cancelled_handler_finishes_its_call_and_starts_no_other(bus, gate):
    """
    ``cancel()`` gives up the queued events, and lets the running call finish.
    """
    subscription = bus.subscribe(gate.handle, Ping)

    async with bus:
        for number in range(3):
            bus.publish(Ping(number))
        await blocked()
        subscription.cancel()
        gate.open()

    assert gate.started == gate.finished == [0]


async def test_once_handler_gets_its_one_event(bus):
    """
    A ``once`` handler that has its event queued gets it, and no other.
    """
    seen = []

    @bus.on(Ping, once=True)
    async def handler(event):
        seen.append(event.name)

    async with bus:
        bus.publish(Ping(1))
        bus.publish(Ping(2))

    assert seen == [1]


# --- overflow ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overflow", "expected"),
    [
        (Overflow.DROP_OLDEST, [0, 4, 5]),
        (Overflow.DROP_NEWEST, [0, 1, 2]),
        (Overflow.LATEST, [0, 5]),
        (Overflow.BLOCK, [0, 1, 2, 3, 4, 5]),
    ],
    ids=lambda value: value.name if isinstance(value, Overflow) else None,
)
async def test_full_mailbox_drops_by_its_policy(bus, gate, overflow, expected):
    """
    With room for two beside the one that is being handled, six events leave those that the policy
    keeps.
    """
    crashes(bus)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(2, overflow))

    async with bus:
        bus.publish(Ping(0))
        await blocked()
        for number in range(1, 6):
            bus.publish(Ping(number))
        gate.open()

    assert gate.finished == expected
    assert bus.stats.dropped == 6 - len(expected)


async def test_burst_of_drops_is_one_report(bus, gate):
    """
    However many events a full mailbox drops, it is reported once until it has run dry.
    """
    seen = crashes(bus)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(1))

    async with bus:
        for burst in (1, 2):
            for number in range(10):
                bus.publish(Ping(number), sender="call-1")
            await blocked()
            assert len(seen) == burst
            gate.let_go(2)
            await blocked()
        gate.open()

    assert bus.stats.dropped == 18
    assert isinstance(seen[0].exception, MailboxFull)
    assert seen[0].exception.capacity == 1
    assert seen[0].handler == gate.handle
    assert seen[0].sender == "call-1"
    assert seen[0].event == Ping(0)


async def test_drop_is_no_crash(bus, gate):
    """
    ``stats.crashed`` counts failures of handlers, and a drop is none.
    """
    crashes(bus)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(1))

    async with bus:
        for number in range(5):
            bus.publish(Ping(number))
        gate.open()

    assert bus.stats.crashed == 0


async def test_mailboxes_of_senders_are_full_one_by_one(bus, gate):
    """
    One sender's flood costs another sender nothing.
    """
    crashes(bus)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(1))

    async with bus:
        for number in range(5):
            bus.publish(Ping(("flood", number)), sender="a")
        bus.publish(Ping("quiet"), sender="b")
        gate.open()

    assert "quiet" in gate.finished


async def test_raise_tells_the_publisher_and_costs_others_nothing(bus, gate):
    """
    `Overflow.RAISE`: the publisher gets MailboxFull, the other handlers get the event.
    """
    reported, seen = crashes(bus), []
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(1, Overflow.RAISE), priority=1)
    bus.subscribe(lambda event: seen.append(event.name), Ping)

    async with bus:
        bus.publish(Ping(0))
        await blocked()
        bus.publish(Ping(1))
        with pytest.raises(MailboxFull, match="handle") as caught:
            bus.publish(Ping(2))
        gate.open()

    assert caught.value.capacity == 1
    assert seen == [0, 1, 2]
    assert gate.finished == [0, 1]
    assert reported == []


async def test_raise_for_an_event_of_a_handler_is_reported(bus, gate):
    """
    If the publisher has gone on, as in a handler, a full mailbox is reported like a drop.
    """
    reported = crashes(bus)
    bus.subscribe(gate.handle, Pong, mailbox=Mailbox(1, Overflow.RAISE))

    @bus.on(Ping)
    def flood(event):
        for number in range(3):
            bus.publish(Pong(number))

    async with bus:
        bus.publish(Ping())
        gate.open()

    assert [type(crash.exception) for crash in reported] == [MailboxFull]


async def test_raise_reaches_the_publisher_through_middleware(gate):
    """
    MailboxFull is raised by the publish that it belongs to, also if middleware has replaced the
    event.
    """

    def swap(event, call_next):
        call_next(Pong(event.name) if isinstance(event, Ping) else event)

    bus = EventBus(middleware=[swap])
    bus.subscribe(gate.handle, Pong, mailbox=Mailbox(1, Overflow.RAISE))

    async with bus:
        bus.publish(Ping(0))
        await blocked()
        bus.publish(Ping(1))
        with pytest.raises(MailboxFull):
            bus.publish(Ping(2))
        gate.open()


async def test_publish_async_waits_for_room(bus, gate):
    """
    With `Overflow.BLOCK`, `publish_async` returns when the mailbox has room, and loses nothing.
    """
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(2, Overflow.BLOCK))
    published = []

    async def publish():
        for number in range(6):
            await bus.publish_async(Ping(number))
            published.append(number)

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await blocked()
            assert published == [0, 1, 2]  # one is being handled, two wait
            gate.let_go()
            await blocked()
            assert published == [0, 1, 2, 3]
            gate.open()

    assert gate.finished == [0, 1, 2, 3, 4, 5]


async def test_publish_async_that_is_cancelled_has_published(bus, gate):
    """
    Giving up to wait for room doesn't take the event back.
    """
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(1, Overflow.BLOCK))

    async with bus:
        bus.publish(Ping(0))
        await blocked()
        bus.publish(Ping(1))
        with anyio.move_on_after(0.001) as scope:
            await bus.publish_async(Ping(2))
        assert scope.cancelled_caught
        gate.open()

    assert gate.finished == [0, 1, 2]


async def test_handler_does_not_wait_for_room_in_its_own_mailbox(bus):
    """
    A handler that publishes more of its own events than there is room for goes on.
    """
    seen = []

    @bus.on(Ping, mailbox=Mailbox(1, Overflow.BLOCK))
    async def multiply(event):
        seen.append(event.name)
        if event.name < 3:
            for _ in range(2):
                await bus.publish_async(Ping(event.name + 1))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(1))

    assert Counter(seen) == {1: 1, 2: 2, 3: 4}


async def test_handlers_do_not_wait_for_room_in_each_others_mailboxes(bus):
    """
    Two handlers that fill each other's mailboxes beyond their capacity both finish.
    """
    seen = Counter()

    @bus.on(Ping, mailbox=Mailbox(1, Overflow.BLOCK))
    async def answer(event):
        seen["ping"] += 1
        if event.name:
            for _ in range(3):
                await bus.publish_async(Pong(event.name - 1))

    @bus.on(Pong, mailbox=Mailbox(1, Overflow.BLOCK))
    async def serve(event):
        seen["pong"] += 1
        if event.name:
            for _ in range(3):
                await bus.publish_async(Ping(event.name - 1))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(1))
            bus.publish(Pong(1))

    assert seen == {"ping": 4, "pong": 4}


async def test_waiting_for_room_ends_with_the_bus(bus):
    """
    A publisher that waits for room in the mailbox of a stuck handler gets BusClosed by an abort.
    """
    let_go = []

    @bus.on(Ping, mailbox=Mailbox(1, Overflow.BLOCK))
    async def stuck(event):
        await anyio.sleep_forever()

    async def publish():
        for number in range(2):
            await bus.publish_async(Ping(number))
            let_go.append(number)
        with pytest.raises(BusClosed, match="room for Ping"):
            await bus.publish_async(Ping(2))
        let_go.append("closed")

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(publish)
            await blocked()
            assert let_go == [0, 1]
            await bus.aclose(drain=False)

    assert let_go == [0, 1, "closed"]


# --- purge -------------------------------------------------------------------------------------


async def test_purge_empties_the_queue_of_its_sender_only(bus, gate):
    """
    An event of ``purged_by`` drops that sender's waiting events, and the running call goes on.
    """
    purged_by = (RealtimeModelAudioInterruptedEvent,)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(purged_by=purged_by))

    async with bus:
        for number in range(3):
            bus.publish(Ping(("a", number)), sender="a")
            bus.publish(Ping(("b", number)), sender="b")
            bus.publish(Ping(("none", number)))
        await blocked()
        bus.publish(INTERRUPTED, sender="a")
        bus.publish(Ping(("a", "after")), sender="a")
        gate.open()

    assert [n for sender, n in gate.finished if sender == "a"] == [0, "after"]
    assert [n for sender, n in gate.finished if sender == "b"] == [0, 1, 2]
    assert [n for sender, n in gate.finished if sender == "none"] == [0, 1, 2]
    assert bus.stats.purged == 2
    assert bus.stats.dropped == 0


async def test_purge_happens_before_any_handler_of_the_purging_event(bus, gate):
    """
    A handler of the event that purges finds the queue empty, at any priority.
    """
    pending = []
    purged_by = (RealtimeModelAudioInterruptedEvent,)
    bus.subscribe(gate.handle, Ping, mailbox=Mailbox(purged_by=purged_by))
    bus.subscribe(
        lambda event: pending.append(bus.stats.pending),
        RealtimeModelAudioInterruptedEvent,
        priority=1000,
    )

    async with bus:
        for number in range(5):
            bus.publish(Ping(number))
        await blocked()
        bus.publish(INTERRUPTED)
        gate.open()

    assert pending == [1]  # the one that runs


async def test_purge_by_a_base_class(bus, gate):
    """
    ``purged_by`` is by inheritance, like subscribing.
    """
    bus.subscribe(gate.handle, Pong, mailbox=Mailbox(purged_by=Ping))

    async with bus:
        for number in range(3):
            bus.publish(Pong(number))
        await blocked()
        bus.publish(LoudPing())
        gate.open()

    assert gate.finished == [0]


async def test_event_that_purges_its_own_mailbox_is_kept(bus, gate):
    """
    A handler that takes the interruption too finds it alone in its mailbox.
    """
    seen = []

    @bus.on(Ping, RealtimeModelAudioInterruptedEvent,
            mailbox=Mailbox(purged_by=RealtimeModelAudioInterruptedEvent))  # fmt: skip
    async def player(event):
        seen.append(event)

    async with bus:
        bus.publish(Ping())
        bus.publish(INTERRUPTED)

    assert seen == [INTERRUPTED]


# --- context variables -------------------------------------------------------------------------


async def test_async_handler_sees_variables_as_they_were_at_publish(bus):
    """
    A context variable set by the publisher after the publish is too late for the handler.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        seen.append(VAR.get())
        await anyio.lowlevel.checkpoint()
        seen.append(VAR.get())

    async with bus:
        for value in ("one", "two"):
            VAR.set(value)
            bus.publish(Ping())
        VAR.set("three")

    assert seen == ["one", "one", "two", "two"]


async def test_variables_that_a_handler_sets_stay_its_own(bus):
    """
    Context variables set by a handler are seen neither by the publisher nor in the next event's
    call.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        seen.append(VAR.get())
        VAR.set("handler's")
        await anyio.lowlevel.checkpoint()
        seen.append(VAR.get())

    VAR.set("publisher's")
    async with bus:
        await bus.publish_and_wait(Ping())
        await bus.publish_and_wait(Ping())

    assert seen == ["publisher's", "handler's"] * 2
    assert VAR.get() == "publisher's"


async def test_task_of_a_handler_inherits_its_variables(bus):
    """
    A task that a handler starts sees the publisher's variables and the handler's.
    """
    seen = []

    async def child():
        seen.append(VAR.get())

    @bus.on(Ping)
    async def handler(event):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            VAR.set("handler's")
            tasks.start_soon(child)

    VAR.set("publisher's")
    async with bus:
        bus.publish(Ping())

    assert sorted(seen) == ["handler's", "publisher's"]


# --- crashes and cancellation ------------------------------------------------------------------


async def test_crash_of_an_async_handler_is_an_exception_event(bus):
    """
    It tells the exception, the event, the handler and the sender, like a sync one's.
    """
    seen = crashes(bus)
    error = ValueError("boom")

    @bus.on(Ping)
    async def fail(event):
        await anyio.lowlevel.checkpoint()
        raise error

    async with bus:
        bus.publish(Ping("p1"), sender="call-1")

    [crash] = seen
    assert crash.exception is error
    assert (crash.event, crash.handler, crash.sender) == (Ping("p1"), fail, "call-1")
    assert "fail" in crash.context


@pytest.mark.parametrize(
    "error",
    [
        TypeError("missing 1 required positional argument"),
        ExceptionGroup("two", [ValueError("a"), TypeError("b")]),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        BaseException("own"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("timeout", [None, 10])
async def test_handler_goes_on_after_any_failure(bus, error, timeout):
    """
    Any exception of a handler, CancelledError and groups included, is one failure, kept whole; the
    next event reaches it.
    """
    seen, handled = crashes(bus), []

    @bus.on(Ping, timeout=timeout)
    async def fail_first(event):
        handled.append(event.name)
        if event.name == 1:
            raise error

    async with bus:
        bus.publish(Ping(1))
        bus.publish(Ping(2))

    assert handled == [1, 2]
    assert [crash.exception for crash in seen] == [error]


async def test_crash_cancels_no_sibling(bus, gate):
    """
    While one handler crashes, another one of the same event runs to its end.
    """
    crashes(bus)
    bus.subscribe(gate.handle, Ping)

    @bus.on(Ping)
    async def fail(event):
        raise ValueError("boom")

    async with bus:
        bus.publish(Ping(1))
        await blocked()
        assert bus.stats.crashed == 1
        gate.open()

    assert gate.finished == [1]


async def test_crash_of_an_async_exception_handler_is_logged_once(bus, caplog):
    """
    An async handler of RealtimeModelExceptionEvent that fails starts no loop either.
    """

    @bus.on(RealtimeModelExceptionEvent)
    async def fail_too(event):
        raise RuntimeError("again")

    bus.subscribe(raiser(ValueError("boom")), Ping)

    async with bus:
        bus.publish(Ping())

    [record] = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info[1].args == ("again",)


async def test_strict_bus_raises_async_failures_on_leaving():
    """
    With ``strict=True`` the exceptions of async handlers leave ``async with``.
    """
    bus = EventBus(strict=True)
    crashes(bus)
    error = ValueError("boom")

    @bus.on(Ping)
    async def fail(event):
        raise error

    with pytest.raises(ValueError, match="boom") as caught:
        async with bus:
            bus.publish(Ping())

    assert caught.value is error


# --- timeout -----------------------------------------------------------------------------------


async def test_timeout_cancels_the_handler_and_the_mailbox_goes_on(bus):
    """
    A handler that takes too long is cancelled, TimeoutError is its failure, the next event comes.
    """
    seen, finished, cancelled = crashes(bus), [], []

    @bus.on(Ping, timeout=0.001)
    async def slow(event):
        if event.name == 1:
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(event.name)
        finished.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(1))
            bus.publish(Ping(2))

    assert cancelled == [1]
    assert finished == [2]
    [crash] = seen
    assert isinstance(crash.exception, TimeoutError)
    assert "slow" in str(crash.exception)
    assert (bus.stats.timed_out, bus.stats.crashed) == (1, 1)


async def test_timeout_of_a_handler_that_swallows_cancellation(bus):
    """
    A handler that catches its cancellation, and returns, was too slow all the same.
    """
    seen = crashes(bus)

    @bus.on(Ping, timeout=0.001)
    async def stubborn(event):
        try:
            await anyio.sleep_forever()
        except BaseException:  # noqa: BLE001  # that is what is wrong with it
            return

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping())

    assert [type(crash.exception) for crash in seen] == [TimeoutError]


async def test_failure_in_the_cleanup_after_a_timeout_is_its_cause(bus):
    """
    An exception of a handler while it is cancelled for its timeout is kept as ``__cause__``.
    """
    seen = crashes(bus)
    error = ValueError("cleanup")

    @bus.on(Ping, timeout=0.001)
    async def slow(event):
        try:
            await anyio.sleep_forever()
        finally:
            raise error

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping())

    [crash] = seen
    assert isinstance(crash.exception, TimeoutError)
    assert crash.exception.__cause__ is error


async def test_own_timeout_of_a_handler_is_not_the_buss(bus):
    """
    A TimeoutError that the handler raises itself, in time, is a crash and no timeout.
    """
    seen = crashes(bus)

    @bus.on(Ping, timeout=10)
    async def impatient(event):
        with anyio.fail_after(0):
            await anyio.sleep_forever()

    async with bus:
        bus.publish(Ping())

    assert [type(crash.exception) for crash in seen] == [TimeoutError]
    assert (bus.stats.timed_out, bus.stats.crashed) == (0, 1)


# --- publish_and_wait --------------------------------------------------------------------------


async def test_publish_and_wait_returns_when_every_handler_has_finished(bus, gate):
    """
    It waits for async handlers, those that were busy with other events included.
    """
    done = []
    bus.subscribe(gate.handle, Ping)

    async def wait():
        await bus.publish_and_wait(Ping(2))
        done.append(list(gate.finished))

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            bus.publish(Ping(1))
            tasks.start_soon(wait)
            await blocked()
            gate.let_go()
            await blocked()
            assert done == []
            gate.let_go()
            await blocked()
            assert done == [[1, 2]]
            gate.open()


async def test_publish_and_wait_does_not_wait_for_later_events(bus, gate):
    """
    Events queued behind its own don't concern it.
    """
    bus.subscribe(gate.handle, Ping)
    done = []

    async def wait():
        await bus.publish_and_wait(Ping(1))
        done.append(list(gate.started))

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await blocked()
            bus.publish(Ping(2))
            gate.let_go()
            await blocked()
            assert done == [[1, 2]]
            gate.open()


async def test_publish_and_wait_works_without_async_handlers(bus):
    """
    With sync handlers only it returns after they have run, also on a bus that doesn't run.
    """
    seen = []
    bus.subscribe(seen.append, Ping)

    with anyio.fail_after(10):
        await bus.publish_and_wait(Ping())

    assert seen == [Ping()]


async def test_publish_and_wait_raises_one_group_of_all_failures(bus):
    """
    With ``raise_errors=True`` sync and async failures come together, the events go on, too.
    """
    reported = crashes(bus)
    bus.subscribe(raiser(ValueError("sync")), Ping)

    @bus.on(Ping)
    async def fail(event):
        raise TypeError("async")

    async with bus:
        with pytest.raises(ExceptionGroup) as caught:
            await bus.publish_and_wait(Ping(), raise_errors=True)

    assert [type(error) for error in caught.value.exceptions] == [ValueError, TypeError]
    assert len(reported) == 2


async def test_publish_and_wait_raises_a_group_of_one(bus):
    """
    A single failure is in a group, too, so that there is one way to catch it.
    """
    crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    async with bus:
        with pytest.raises(ExceptionGroup) as caught:
            await bus.publish_and_wait(Ping(), raise_errors=True)

    assert len(caught.value.exceptions) == 1


async def test_publish_and_wait_does_not_raise_by_default(bus):
    """
    Without ``raise_errors`` a failing handler is the Exception event's business.
    """
    seen = crashes(bus)
    bus.subscribe(raiser(ValueError("boom")), Ping)

    async with bus:
        await bus.publish_and_wait(Ping())

    assert len(seen) == 1


async def test_publish_and_wait_that_is_cancelled_leaves_handlers_running(bus, gate):
    """
    Giving up to wait cancels nobody.
    """
    bus.subscribe(gate.handle, Ping)

    async with bus:
        with anyio.move_on_after(0.001) as scope:
            await bus.publish_and_wait(Ping(1))
        assert scope.cancelled_caught
        gate.open()

    assert gate.finished == [1]


@pytest.mark.parametrize("how", ["dropped", "purged", "cancelled", "refused"])
async def test_publish_and_wait_ends_when_the_event_is_given_up(bus, gate, how):
    """
    An event that a full mailbox drops, a purge or the end of a subscription takes away is not
    waited for any longer.
    """
    crashes(bus)
    overflow = Overflow.DROP_NEWEST if how == "refused" else Overflow.DROP_OLDEST
    mailbox = Mailbox(1, overflow, RealtimeModelAudioInterruptedEvent)
    subscription = bus.subscribe(gate.handle, Ping, mailbox=mailbox)
    done = []

    async def wait():
        await bus.publish_and_wait(Ping("waited for"), raise_errors=True)
        done.append(how)

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            bus.publish(Ping("runs"))
            await blocked()
            if how == "refused":
                bus.publish(Ping("waits"))
            tasks.start_soon(wait)
            await blocked()
            match how:
                case "dropped":
                    bus.publish(Ping("newer"))
                case "purged":
                    bus.publish(INTERRUPTED)
                case "cancelled":
                    subscription.cancel()
            await blocked()
            assert done == [how]
            gate.open()

    assert "waited for" not in gate.started


async def test_publish_and_wait_gets_bus_closed_by_an_abort(bus):
    """
    Waiters of a bus that is closed without draining get BusClosed, whether their event ran or not.
    """
    failed = []

    @bus.on(Ping)
    async def stuck(event):
        await anyio.sleep_forever()

    async def wait(name):
        try:
            await bus.publish_and_wait(Ping(name))
        except BusClosed:
            failed.append(name)

    with anyio.fail_after(10):
        async with bus, anyio.create_task_group() as tasks:
            tasks.start_soon(wait, "runs")
            await blocked()
            tasks.start_soon(wait, "queued")
            await blocked()
            await bus.aclose(drain=False)

    assert sorted(failed) == ["queued", "runs"]


# --- waiting inside handlers -------------------------------------------------------------------


async def test_handler_may_wait_for_its_own_event(bus):
    """
    `publish_and_wait` of an event that comes back to the waiting handler does not deadlock.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        if event.name:
            await bus.publish_and_wait(Ping(event.name - 1))
        seen.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            await bus.publish_and_wait(Ping(5))

    assert seen == [0, 1, 2, 3, 4, 5]


async def test_two_handlers_may_wait_for_each_other(bus):
    """
    A handler waits for another one, which waits for the first one: both come to an end.
    """
    seen = []

    @bus.on(Ping)
    async def ping(event):
        if event.name:
            await bus.publish_and_wait(Pong(event.name - 1))
        seen.append(("ping", event.name))

    @bus.on(Pong)
    async def pong(event):
        await bus.publish_and_wait(Ping(event.name))
        seen.append(("pong", event.name))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping(2))

    assert seen == [("ping", 0), ("pong", 0), ("ping", 1), ("pong", 1), ("ping", 2)]


async def test_handlers_of_unrelated_events_may_wait_for_each_other(bus):
    """
    Two handlers that are both busy, each with an event of its own, and then wait for an event
    that the other one gets: no deadlock, although neither event caused the other.
    """
    both, seen = [], []
    ready = anyio.Event()

    async def meet():
        both.append(None)
        if len(both) == 2:
            ready.set()
        await ready.wait()

    @bus.on(Ping)
    async def ping(event):
        if event.name == "outer":
            await meet()
            await bus.publish_and_wait(Pong("inner"))
        seen.append(("ping", event.name))

    @bus.on(Pong)
    async def pong(event):
        if event.name == "outer":
            await meet()
            await bus.publish_and_wait(Ping("inner"))
        seen.append(("pong", event.name))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping("outer"))
            bus.publish(Pong("outer"))

    assert sorted(seen) == sorted((name, which) for name in ("ping", "pong")
                                  for which in ("inner", "outer"))  # fmt: skip


async def test_task_of_a_handler_may_wait_for_the_handlers_event(bus):
    """
    A task that a handler started, and waits for, is the handler in this respect.
    """
    seen = []

    @bus.on(Ping)
    async def handler(event):
        if event.name == "outer":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(bus.publish_and_wait, Ping("inner"))
        seen.append(event.name)

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Ping("outer"))

    assert seen == ["inner", "outer"]


async def test_waiting_inside_a_handler_keeps_the_line_of_others(bus, gate):
    """
    An event that a handler waits for stands in line at handlers that don't wait for it.
    """
    bus.subscribe(gate.handle, Pong)

    @bus.on(Ping)
    async def handler(event):
        await bus.publish_and_wait(Pong("waited for"))

    with anyio.fail_after(10):
        async with bus:
            bus.publish(Pong("first"))
            await blocked()
            bus.publish(Ping())
            await blocked()
            assert gate.started == ["first"]
            gate.open()

    assert gate.started == ["first", "waited for"]


async def test_task_that_outlives_its_handler_stands_in_line(bus, gate):
    """
    A task that a handler has left behind is not the handler any more: the event that it waits for
    comes after the handler's present one.
    """
    left_behind = anyio.Event()

    async with anyio.create_task_group() as tasks:

        async def later():
            await left_behind.wait()
            await bus.publish_and_wait(Ping("waited for"))

        @bus.on(Ping)
        async def handler(event):
            if event.name == "starts a task":
                tasks.start_soon(later)
            else:
                await gate.handle(event)

        with anyio.fail_after(10):
            async with bus:
                bus.publish(Ping("starts a task"))
                bus.publish(Ping("busy"))
                await blocked()
                left_behind.set()
                await blocked()
                assert gate.started == ["busy"]
                gate.open()

    assert gate.started == ["busy", "waited for"]


# --- observers ---------------------------------------------------------------------------------


class Recorder:
    """
    An observer.
    """

    def __init__(self):
        self.started, self.finished = [], []

    def handler_started(self, call):
        self.started.append(call)

    def handler_finished(self, call):
        self.finished.append(call)


async def test_observer_sees_queued_and_run_time_of_async_calls(gate):
    """
    The time in the mailbox and the time in the handler are told apart.
    """
    recorder = Recorder()
    bus = EventBus(observers=[recorder])
    bus.subscribe(gate.handle, Ping)

    async with bus:
        bus.publish(Ping(1), sender="call-1")
        bus.publish(Ping(2), sender="call-1")
        await blocked()
        assert [call.event for call in recorder.started] == [Ping(1)]
        assert recorder.finished == []
        gate.open()

    first, second = recorder.finished
    assert [call.event for call in recorder.finished] == [Ping(1), Ping(2)]
    assert {call.handler for call in recorder.finished} == {gate.handle}
    assert {call.sender for call in recorder.finished} == {"call-1"}
    assert 0 < first.queued_ns < second.queued_ns
    assert second.queued_ns >= first.run_ns > 0
    assert recorder.started[0].run_ns is None


async def test_observer_sees_what_an_async_handler_raised():
    """
    ``error`` of a finished call is the exception that left the handler.
    """
    recorder = Recorder()
    bus = EventBus(observers=[recorder])
    crashes(bus)
    error = ValueError("boom")

    @bus.on(Ping)
    async def fail(event):
        raise error

    async with bus:
        bus.publish(Ping())

    assert [call.error for call in recorder.finished if call.handler is fail] == [error]


# --- what it leaves behind ---------------------------------------------------------------------


class Tracked:
    """
    An event that can be watched.
    """


@pytest.mark.parametrize("timeout", [None, 10])
@pytest.mark.slow
async def test_bus_keeps_no_handled_event(bus, timeout):
    """
    An event is gone once its async handlers have finished, without help from the collector.
    """

    @bus.on(Tracked, timeout=timeout)
    async def handler(event):
        await anyio.lowlevel.checkpoint()

    async with bus:
        with without_collector():
            event = Tracked()
            watched = weakref.ref(event)
            bus.publish(event, sender="call-1")
            del event
            await blocked()

            assert watched() is None


@pytest.mark.slow
async def test_bus_keeps_no_event_that_was_waited_for(bus):
    """
    `publish_and_wait`, from inside a handler too, leaves neither the event nor its failure.
    """
    watched = []

    @bus.on(Tracked)
    async def handler(event):
        watched.append(weakref.ref(event))
        if len(watched) == 1:
            await bus.publish_and_wait(Tracked())
        raise ValueError("boom")

    bus.subscribe(lambda crash: None, RealtimeModelExceptionEvent)

    async with bus:
        with without_collector():
            await bus.publish_and_wait(Tracked())
            await blocked()

            assert [ref() for ref in watched] == [None, None]


@pytest.mark.slow
async def test_bus_keeps_no_event_that_timed_out(bus, anyio_backend_name):
    """
    A timeout with a failed cleanup leaves no cycle of tracebacks, except trio's own.
    """
    watched = []

    @bus.on(Tracked, timeout=0.001)
    async def slow(event):
        watched.append(weakref.ref(event))
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("cleanup")

    bus.subscribe(lambda crash: None, RealtimeModelExceptionEvent)

    async with bus:
        await bus.publish_and_wait(Tracked())
        with without_collector():
            await bus.publish_and_wait(Tracked())
            await blocked()
            if anyio_backend_name == "trio":  # from Python 3.12 on, its Cancelled is a cycle
                gc.collect()

            assert watched[1]() is None


async def test_quiet_mailboxes_are_gone(bus):
    """
    Ten thousand senders leave no mailbox behind once their events are handled.
    """
    handled = 0

    @bus.on(Ping)
    async def handler(event):
        nonlocal handled
        handled += 1

    async with bus:
        for number in range(10_000):
            bus.publish(Ping(), sender=f"call-{number}")
        await blocked()

        assert handled == 10_000
        assert bus.stats.pending == 0
        # No public name shows a mailbox: this is where they would be.
        assert bus._dispatcher.deliveries.queues == set()
        assert bus._dispatcher.registry.find(handler)[0].queues == {}


# --- a whole bus, against a model ----------------------------------------------------------------


@attrs.define
class Model:
    """
    The model of one async handler: a queue for each sender, and one event in the handler.
    """

    capacity: int
    overflow: Overflow
    waiting: dict = attrs.field(factory=dict)
    running: dict = attrs.field(factory=dict)
    started: list = attrs.field(factory=list)
    dropped: int = 0
    purged: int = 0
    is_cancelled: bool = False

    def publish(self, sender, number):
        if self.is_cancelled:
            return
        queue = self.waiting.setdefault(sender, deque())
        if sender not in self.running:
            self.start(sender, number)
        elif len(queue) < self.capacity or self.overflow is Overflow.BLOCK:
            queue.append(number)
        elif self.overflow is Overflow.DROP_NEWEST:
            self.dropped += 1
        else:
            keep = 0 if self.overflow is Overflow.LATEST else len(queue) - 1
            while len(queue) > keep:
                queue.popleft()
                self.dropped += 1
            queue.append(number)

    def start(self, sender, number):
        self.running[sender] = number
        self.started.append((sender, number))

    def let_go(self, sender):
        if self.running.pop(sender, None) is not None and self.waiting[sender]:
            self.start(sender, self.waiting[sender].popleft())

    def purge(self, sender):
        queue = self.waiting.get(sender, deque())
        self.purged += len(queue)
        queue.clear()

    def cancel(self):
        self.is_cancelled = True
        self.waiting = {sender: deque() for sender in self.waiting}

    @property
    def pending(self):
        return len(self.running) + sum(map(len, self.waiting.values()))


Senders = st.sampled_from(["a", "b", None])
Steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), Senders),
        st.tuples(st.just("publish"), Senders),
        st.tuples(st.just("publish"), Senders),
        st.tuples(st.just("let_go"), Senders),
        st.tuples(st.just("purge"), Senders),
        st.tuples(st.just("cancel"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(
    steps=Steps,
    capacity=st.integers(1, 3),
    overflow=st.sampled_from(
        [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST, Overflow.LATEST, Overflow.BLOCK]
    ),
)
@pytest.mark.slow
async def test_bus_behaves_like_its_model(steps, capacity, overflow):
    """
    After any publishes, purges and cancellations by several senders, the same events start, in the
    same order, as in a model of twenty lines, and the same number is dropped.
    """
    bus, model = EventBus(), Model(capacity, overflow)
    gates, started = {}, []
    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)

    async def handler(event, context):
        started.append((context.sender, event.name))
        gates[context.sender] = anyio.Event()
        await gates[context.sender].wait()
        del gates[context.sender]

    mailbox = Mailbox(capacity, overflow, RealtimeModelAudioInterruptedEvent)
    subscription = bus.subscribe(handler, Ping, mailbox=mailbox)

    with anyio.fail_after(60):
        async with bus:
            for number, (step, sender) in enumerate(steps):
                match step:
                    case "publish":
                        bus.publish(Ping(number), sender=sender)
                        model.publish(sender, number)
                    case "let_go":
                        if sender in gates:
                            gates[sender].set()
                        model.let_go(sender)
                    case "purge":
                        bus.publish(INTERRUPTED, sender=sender)
                        model.purge(sender)
                    case "cancel":
                        subscription.cancel()
                        model.cancel()
                await blocked()
                assert started == model.started
                stats = bus.stats
                assert (stats.dropped, stats.purged) == (model.dropped, model.purged)
                assert stats.pending == model.pending
            subscription.cancel()
            for gate in gates.values():
                gate.set()


# --- publish_async in a handler --------------------------------------------------------------


async def test_publish_async_in_a_handler_of_the_same_event_does_not_overlap(bus):
    """
    A handler that awaits `publish_async` of an event that it gets itself works on one event at a
    time, in the order of publication.
    """
    order, running = [], []

    async def handle(event):
        running.append(event)
        assert len(running) == 1
        order.append(event.name)
        if event.name == "first":
            await bus.publish_async(Ping("third"))
            await anyio.lowlevel.checkpoint()
        running.remove(event)

    bus.subscribe(handle, Ping)
    failures = crashes(bus)
    async with bus:
        bus.publish(Ping("first"))
        bus.publish(Ping("second"))

    assert order == ["first", "second", "third"]
    assert failures == []


async def test_event_of_publish_async_in_a_handler_can_be_purged(bus):
    """
    An event that a handler publishes for itself with `publish_async` waits in its mailbox, and is
    purged there like any other.
    """
    order = []

    async def handle(event):
        order.append(event.name)
        if event.name == "first":
            await bus.publish_async(Ping("to be purged"))
            bus.publish(Pong())
            await anyio.lowlevel.checkpoint()

    bus.subscribe(handle, Ping, mailbox=Mailbox(purged_by=(Pong,)))
    async with bus:
        bus.publish(Ping("first"))

    assert order == ["first"]
    assert bus.stats.purged == 1


async def test_publish_async_of_a_handler_makes_no_other_handler_overlap(bus):
    """
    That a handler waits for room with `publish_async` is no reason to handle an event beside
    another handler, which it does not wait for.
    """
    running, most = [], []

    async def first(event):
        running.append(event)
        most.append(len(running))
        await bus.publish_async(Pong())
        await anyio.lowlevel.checkpoint()
        running.remove(event)

    async def second(event):
        if len(most) == 1:
            await bus.publish_and_wait(Ping())

    bus.subscribe(first, Ping)
    bus.subscribe(second, Pong)
    with anyio.fail_after(20):
        async with bus:
            bus.publish(Ping())

    assert most == [1, 1]


# --- dropped, purged, cancelled --------------------------------------------------------------


async def test_dropped_purged_and_cancelled_are_three_counts(bus):
    """
    Events of a full mailbox are dropped, those of a barge-in purged, and those of a scope that ends
    cancelled: in the stats, and to observers.
    """
    reasons = []

    class Watch:
        def handler_started(self, call): ...

        def handler_finished(self, call): ...

        def events_dropped(self, dropped):
            reasons.append((dropped.reason, len(dropped.events)))

    async def handle(event):
        pass

    bus.subscribe(lambda event: None, RealtimeModelExceptionEvent)
    mailbox = Mailbox(capacity=5, purged_by=(Pong,))
    async with bus:
        with bus.observe(Watch()), bus.scope("call-1") as scope:
            scope.subscribe(handle, Ping, mailbox=mailbox)
            for _ in range(7):
                scope.publish(Ping())
            scope.publish(Pong())
            for _ in range(3):
                scope.publish(Ping())
        stats = bus.stats

    assert (stats.dropped, stats.purged, stats.cancelled) == (2, 5, 3)
    assert sorted(set(reasons)) == [("cancelled", 3), ("full", 1), ("purged", 5)]
    assert stats.pending == 0
