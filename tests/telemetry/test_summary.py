"""
`eventbus.telemetry.SummaryObserver`: the events, calls and failures of a run.
"""

from __future__ import annotations

import functools

import anyio
import pytest

from eventbus import EventBus, Mailbox
from eventbus.events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelToolCallEvent,
)
from eventbus.realtime.events import RealtimeAudioEnd, RealtimeHistoryUpdated
from eventbus.telemetry import EventSummary, SummaryObserver, _summary


class Ping:
    pass


class Pong:
    pass


def events_of(summary):
    return {event.event: (event.handled, event.unhandled) for event in summary.events}


def test_events_are_counted_by_class_handled_and_not():
    """
    Each event is counted once, as handled if somebody else than the observer takes it.
    """
    bus = EventBus()
    bus.subscribe(lambda event: None, Ping)
    observer = SummaryObserver(bus)

    with observer.observing():
        for event in (Ping(), Pong(), Ping(), Pong(), Pong()):
            bus.publish(event)

    assert events_of(observer.summary()) == {"Ping": (2, 0), "Pong": (0, 3)}
    assert observer.summary().events[0] == EventSummary("Pong", 3, 3), "the most frequent first"


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "conversation.item.done"},
        {"type": "conversation.item.added", "item": {"type": "function_call_output"}},
    ],
)
def test_frame_that_repeats_other_events_is_not_unhandled(frame):
    """
    Without a handler it is counted by itself; with one it is handled as any other event.
    """
    bus = EventBus()
    observer = SummaryObserver(bus)
    event = RealtimeModelOtherEvent(data=frame)

    with observer.observing():
        bus.publish(event)
        bus.publish(RealtimeModelOtherEvent(data={"type": "ping"}))
        bus.publish(RealtimeModelOtherEvent(data={}))
        bus.subscribe(lambda event: None, RealtimeModelOtherEvent)
        bus.publish(event)

    [row] = observer.summary().events
    assert row == EventSummary("RealtimeModelOtherEvent", 4, 2, repeating=1)
    assert row.handled == 1
    assert (observer.summary().unhandled, observer.summary().repeating) == (2, 1)


def test_event_that_a_fallback_takes_counts_as_handled():
    """
    An event that handlers of Other take, wrapped, is counted by its own class, as handled.
    """
    bus = EventBus()
    bus.subscribe(lambda event: None, RealtimeModelOtherEvent)
    observer = SummaryObserver(bus)

    with observer.observing():
        bus.publish(Ping())

    assert events_of(observer.summary()) == {"Ping": (1, 0)}


def test_what_was_before_and_comes_after_is_not_counted():
    """
    Only events while recording are in the summary, and nothing stays behind on the bus.
    """
    bus = EventBus()
    bus.subscribe(lambda event: None, Ping)
    bus.publish(Ping())
    observer = SummaryObserver(bus)

    with observer.observing():
        bus.publish(Ping())
    bus.publish(Ping())

    assert observer.summary().count == 1
    assert [call.count for call in observer.summary().calls] == [1]


def test_handler_calls_have_run_times():
    """
    Each handler has its number of calls, and p50 <= p95 <= max; the observer isn't among them.
    """
    bus = EventBus()
    bus.subscribe(functools.partial(print, end=""), Ping)
    observer = SummaryObserver(bus)

    with observer.observing():
        for _ in range(10):
            bus.publish(Ping())

    (call,) = observer.summary().calls
    assert (call.handler, call.count) == ("builtins.print", 10)
    assert 0 <= call.p50_ms <= call.p95_ms <= call.max_ms


def boom(event):
    raise ValueError("boom\nand more")


def test_crash_has_handler_event_message_and_line():
    """
    A crash names the handler, the event's class, the error's first line, and where it was raised.
    """
    bus = EventBus()
    bus.subscribe(boom, Ping)
    seen = []
    observer = SummaryObserver(
        bus, on_crash=lambda crash, error: seen.append((crash.count, type(error)))
    )

    with observer.observing():
        bus.publish(Ping())
        bus.publish(Ping())

    (crash,) = observer.summary().crashes
    assert (crash.handler, crash.event, crash.error) == (
        f"{__name__}.boom",
        "Ping",
        "ValueError: boom",
    )
    assert crash.where.endswith(f"test_summary.py:{boom.__code__.co_firstlineno + 1}")
    assert seen == [(1, ValueError), (2, ValueError)]


def test_crash_while_handling_a_crash_is_recorded():
    """
    The failure of a handler of Exception events, which the bus only logs, is in the summary.
    """
    bus = EventBus()
    bus.subscribe(boom, RealtimeModelExceptionEvent)
    observer = SummaryObserver(bus)

    with observer.observing():
        bus.publish(RealtimeModelExceptionEvent(ValueError("before")))

    assert observer.crashed == 1
    assert [crash.event for crash in observer.summary().crashes] == ["RealtimeModelExceptionEvent"]


def test_crash_of_middleware_is_recorded():
    """
    A middleware that fails is named like a handler.
    """

    def fail(event, call_next):
        if isinstance(event, Ping):
            raise LookupError
        call_next(event)

    bus = EventBus(middleware=[fail])
    observer = SummaryObserver(bus)

    with observer.observing():
        bus.publish(Ping())

    assert [crash.error for crash in observer.summary().crashes] == ["LookupError"]


def test_event_that_middleware_keeps_back_is_published_and_not_counted():
    """
    An event that middleware doesn't pass on is published, and reaches no handler.
    """
    bus = EventBus(middleware=[lambda event, call_next: None])
    observer = SummaryObserver(bus)

    with observer.observing():
        bus.publish(Ping())

    assert (observer.summary().published, observer.summary().count) == (1, 0)


async def test_drops_name_the_handler():
    """
    Events that a full mailbox drops are counted, with its handler, and are no crash.
    """

    async def slow(event):
        await anyio.sleep_forever()

    bus = EventBus()
    bus.subscribe(slow, Ping, mailbox=Mailbox(capacity=1))
    observer = SummaryObserver(bus)

    with observer.observing():
        async with bus:
            for _ in range(4):
                bus.publish(Ping())
            await bus.aclose(drain=False)

    summary = observer.summary()
    assert summary.dropped >= 3
    assert [name.rpartition(".")[2] for name in summary.dropped_by] == ["slow"]
    assert summary.crashed == 0


async def test_purged_events_are_counted():
    """
    Events that a later one did away with are in the summary, and are no drops.
    """

    async def play(event):
        pass

    bus = EventBus()
    bus.subscribe(play, Ping, mailbox=Mailbox(purged_by=(Pong,)))
    observer = SummaryObserver(bus)

    with observer.observing():
        async with bus:
            bus.publish(Ping())
            bus.publish(Ping())
            bus.publish(Pong())

    assert (observer.summary().purged, observer.summary().dropped) == (2, 0)


async def test_timeout_is_a_crash_without_a_line():
    """
    A handler that was cancelled by its timeout has crashed, nowhere in particular.
    """

    async def slow(event):
        await anyio.sleep_forever()

    bus = EventBus()
    bus.subscribe(slow, Ping, timeout=0.001)
    observer = SummaryObserver(bus)

    with observer.observing():
        async with bus:
            bus.publish(Ping())

    (crash,) = observer.summary().crashes
    assert crash.error.startswith("TimeoutError: ")
    assert crash.where is None


@pytest.mark.parametrize("count", [1, 3])
def test_summary_can_be_asked_for_at_any_time(count):
    """
    A summary covers the time until it is made.
    """
    bus = EventBus()
    observer = SummaryObserver(bus)

    with observer.observing():
        for _ in range(count):
            bus.publish(Ping())
        assert observer.summary(was_interrupted=True).count == count


def test_tool_that_fails_is_a_crash():
    """
    A failure that was published with its tool counts, though no handler of the bus has failed.
    """

    def look_up():
        """Fail."""

    bus = EventBus()
    observer = SummaryObserver(bus)
    with observer.observing():
        error = ValueError("no such order")
        call = RealtimeModelToolCallEvent("look_up", "call_1", "{}")
        bus.publish(RealtimeModelExceptionEvent(error, event=call, handler=look_up))

    summary = observer.summary()

    assert summary.crashed == 1
    assert summary.crashes[0].error == "ValueError: no such order"


def test_watching_changes_nothing_of_what_the_bus_has_handlers_for():
    """
    An observed bus has handlers of the same classes as before, so a session under it publishes
    the same events.
    """
    bus = EventBus()
    bus.subscribe(lambda event: None, RealtimeAudioEnd)

    with SummaryObserver(bus, on_event=lambda event, sender: None).observing():
        assert bus.has_handlers(RealtimeAudioEnd)
        assert not bus.has_handlers(RealtimeHistoryUpdated)
        assert not bus.has_handlers(object)


def test_event_comes_to_the_caller_before_its_handlers():
    """
    *on_event* gets each event with its sender, before any handler of it runs.
    """
    bus, order = EventBus(), []
    bus.subscribe(lambda event: order.append("handler"), Ping)
    observer = SummaryObserver(bus, on_event=lambda event, sender: order.append(sender))

    with observer.observing():
        bus.publish(Ping(), sender="call-1")
        bus.publish(Pong())

    assert order == ["call-1", "handler", None]


async def test_event_that_waits_in_a_mailbox_is_handled_when_it_is_dropped_or_run():
    """
    An event of an async handler counts as handled, whether it was run or purged.
    """

    async def play(event):
        pass

    bus = EventBus()
    bus.subscribe(play, Ping, mailbox=Mailbox(purged_by=(Pong,)))
    observer = SummaryObserver(bus)

    with observer.observing():
        async with bus:
            bus.publish(Ping())
            bus.publish(Pong())
            bus.publish(Ping())

    assert events_of(observer.summary()) == {"Ping": (2, 0), "Pong": (0, 1)}


def test_middleware_that_keeps_everything_back_takes_bounded_memory(monkeypatch):
    """
    Events that never reach a handler are counted, and not remembered one by one for ever.
    """
    monkeypatch.setattr(_summary, "_MAX_OPEN", 10)
    bus = EventBus(middleware=[lambda event, call_next: None])
    observer = SummaryObserver(bus)

    with observer.observing():
        for _ in range(100):
            bus.publish(Ping())

    assert len(observer._open) <= 10
    assert (observer.summary().published, observer.summary().count) == (100, 0)


@pytest.mark.parametrize("given", [5, None, EventBus], ids=str)
def test_argument_that_is_no_bus_is_named(given):
    """
    A summary is of a bus.
    """
    with pytest.raises(TypeError, match="SummaryObserver sums up an EventBus; bus= is"):
        SummaryObserver(given)
