"""
Receiving: each call in order, many at a time, and a failure is policy.
"""

from __future__ import annotations

import asyncio
import datetime as dt

import attrs
import nats
import pytest

from eventbus import Context, EventBus, EventsLost, OptionError, UnreadableMessage
from eventbus.bridges import Retry, current_delivery
from eventbus.bridges.nats import NatsBridge
from eventbus.codec import UnknownObject
from eventbus.events import (
    EVENT_TYPES,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelTranscriptDeltaEvent,
    register_event,
)
from tests.bridges.collecting import TIMEOUT, Collector, said, until


async def publish(bridge: NatsBridge, *events: tuple[str | None, int]) -> None:
    """
    Forward events, and wait until the stream has them.
    """
    source = EventBus()
    with bridge.forward(source, RealtimeModelEvent) as forwarding:
        for call, number in events:
            source.publish(said(number), sender=call)
    await forwarding.flush(TIMEOUT)


async def test_events_arrive_with_their_call_as_sender_in_order(url, stream):
    """
    A receiving bus gets each call's events in their order, with the call's id as sender.
    """
    bus = EventBus()
    seen = Collector(bus)
    calls = ["a", "b.c", "*", "", None]
    async with bus, NatsBridge(url, stream=stream) as bridge:
        await bridge.receive(bus).wait_ready()
        await publish(bridge, *((call, number) for number in range(40) for call in calls))
        await seen.wait(200)

    assert all(seen.of(call) == list(range(40)) for call in calls)


async def test_a_handler_finds_the_circumstances_of_an_event(url, stream):
    """
    `current_delivery` tells origin, call, sequence, number in the stream and attempt; it is None
    for an event that no bridge has received.
    """
    bus = EventBus()
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        await bridge.receive(bus).wait_ready()
        await publish(bridge, ("a", 1), ("a", 2))
        await seen.wait(2)
        bus.publish(said(3), sender="a")

    one, two, none = seen.deliveries
    assert (one.origin, one.call, one.stream) == (bridge.origin, "a", stream)
    assert (one.stream_sequence, two.stream_sequence) == (1, 2)
    assert one.sequence < two.sequence
    assert (one.attempt, one.group, one.may_repeat) == (1, None, False)
    assert abs(one.time_ns - two.time_ns) < 60_000_000_000
    assert none is None


async def test_an_async_handler_finds_the_circumstances_too(url, stream):
    """
    `Context.delivery` and `current_delivery` work in async handlers, also after they have waited.
    """
    bus = EventBus()
    found = asyncio.Queue()

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def handle(event: RealtimeModelTranscriptDeltaEvent, context: Context) -> None:
        await asyncio.sleep(0)
        assert context.delivery == current_delivery()
        found.put_nowait(context.delivery.stream_sequence)

    async with bus, NatsBridge(url, stream=stream) as bridge:
        await bridge.receive(bus).wait_ready()
        await publish(bridge, ("a", 1), ("b", 2))

        assert {await found.get(), await found.get()} == {1, 2}


async def test_a_slow_call_delays_no_other(url, stream):
    """
    While a handler works on one call, other calls are handled; its own next event waits.
    """
    bus = EventBus()
    go_on = asyncio.Event()
    began = []

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def handle(event: RealtimeModelTranscriptDeltaEvent, context) -> None:
        began.append((context.sender, int(event.delta)))
        if context.sender == "slow":
            await go_on.wait()

    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus)
        await receiving.wait_ready()
        await publish(bridge, ("slow", 1), ("slow", 2), *(("quick", n) for n in range(50)))
        await until(lambda: len(began) == 51)
        assert [number for call, number in began if call == "quick"] == list(range(50))
        assert [number for call, number in began if call == "slow"] == [1]
        go_on.set()
        await until(lambda: len(began) == 52)
        await until(lambda: receiving.stats.handled == 52)


async def test_at_most_so_many_calls_are_handled_at_a_time(url, stream):
    """
    concurrency= bounds how many calls are in handlers at the same time.
    """
    bus = EventBus()
    running, most = 0, 0
    go_on = asyncio.Event()

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    async def handle(event: RealtimeModelTranscriptDeltaEvent) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus, concurrency=3)
        await receiving.wait_ready()
        await publish(bridge, *((f"call-{n}", n) for n in range(60)))
        await until(lambda: receiving.stats.pending == 60 and running == 3)
        go_on.set()
        await until(lambda: receiving.stats.handled == 60)

    assert most == 3


@pytest.mark.parametrize("start", ["first", "new", 3, "time"])
async def test_receiving_begins_where_it_was_told(url, stream, start):
    """
    start= is the oldest event, those to come, a number of the stream, or a time.
    """
    bus = EventBus()
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        await publish(bridge, *(("a", number) for number in (1, 2)))
        middle = dt.datetime.now(dt.UTC)
        await publish(bridge, *(("a", number) for number in (3, 4)))
        receiving = bridge.receive(bus, start=middle if start == "time" else start)
        await receiving.wait_ready()
        await publish(bridge, ("a", 5))
        await seen.wait({"first": 5, "new": 1}.get(start, 3))

    expected = {"first": [1, 2, 3, 4, 5], "new": [5]}.get(start, [3, 4, 5])
    assert seen.of("a") == expected


async def test_a_late_joiner_gets_one_call_from_its_beginning(url, stream):
    """
    With call=, only that call's events are read.
    """
    bus = EventBus()
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        await publish(bridge, ("a.b", 1), ("other", 2), ("a.b", 3))
        receiving = bridge.receive(bus, start="first", call="a.b")
        await seen.wait(2)

        assert receiving.stats.received == 2
    assert seen.got == [("a.b", 1), ("a.b", 3)]


async def test_events_that_came_from_the_stream_are_not_forwarded_back(url, stream):
    """
    A bus that receives and forwards forwards no received event, only those that its handlers
    publish, with the received event as its cause.
    """
    bus = EventBus()
    seen = Collector(bus)
    answers = asyncio.Queue()

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def answer(event: RealtimeModelTranscriptDeltaEvent, context) -> None:
        if event.delta == "1":
            context.bus.publish(said(2), sender="a")

    other = EventBus()

    @other.on(RealtimeModelTranscriptDeltaEvent)
    def note(event: RealtimeModelTranscriptDeltaEvent) -> None:
        answers.put_nowait((int(event.delta), current_delivery().cause))

    async with bus, other, NatsBridge(url, stream=stream) as bridge:
        await bridge.receive(other).wait_ready()
        async with NatsBridge(url, stream=stream) as second:
            await second.receive(bus).wait_ready()
            second.forward(bus, RealtimeModelTranscriptDeltaEvent)
            await publish(bridge, ("a", 1))
            assert [await answers.get(), await answers.get()] == [(1, ""), (2, f"{stream}:1")]
            await seen.wait(3)
            await publish(bridge, ("a", 3))
            assert await answers.get() == (3, "")
            await seen.wait(4)
    assert seen.of("a") == [1, 2, 2, 3]  # its own answer comes back from the stream, and ends there


# --- failures ----------------------------------------------------------------------------------


def failing(bus: EventBus, times: int) -> list[int | None]:
    """
    Subscribe a handler that fails so many times on number 1, and return its attempts.
    """
    attempts = []

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def fail(event: RealtimeModelTranscriptDeltaEvent) -> None:
        if event.delta == "1":
            attempts.append(current_delivery().attempt)
            if len(attempts) <= times:
                raise ValueError("secret of a caller")

    return attempts


async def test_a_failure_is_skipped_by_default(url, stream):
    """
    A handler that fails is one Exception event, and the call's next event follows.
    """
    bus = EventBus()
    attempts = failing(bus, times=1)
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus)
        await receiving.wait_ready()
        await publish(bridge, ("a", 1), ("a", 2))
        await seen.wait(2)
        await until(lambda: receiving.stats.handled == 2)

        assert receiving.stats.skipped == 1
    assert attempts == [1]
    assert [str(event.exception) for event in told] == ["secret of a caller"]


async def test_a_retry_gives_the_event_again_and_keeps_order(url, stream):
    """
    With Retry, the event comes again until its handlers succeed; the call's next event waits, and
    another call doesn't.
    """
    bus = EventBus()
    seen = Collector(bus)

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def fail(event: RealtimeModelTranscriptDeltaEvent) -> None:
        attempt = current_delivery().attempt
        if event.delta == "1" and (attempt < 3 or ("b", 3) not in seen.got):
            raise ValueError("not yet")

    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus, on_failure=Retry(attempts=5000, delay=0.01, factor=1))
        await receiving.wait_ready()
        await publish(bridge, ("a", 1), ("a", 2), ("b", 3))
        await until(lambda: receiving.stats.handled == 3)
        stats = receiving.stats

    attempts = [d.attempt for d in seen.deliveries if (d.call, d.stream_sequence) == ("a", 1)]
    assert attempts == list(range(1, len(attempts) + 1))
    assert seen.of("a") == [1] * len(attempts) + [2]
    failures = len(attempts) - 1
    assert (stats.failed, stats.retried, stats.skipped) == (failures, failures, 0)
    assert failures >= 2


async def test_a_parked_event_is_a_dead_letter_with_its_reason(url, stream):
    """
    An event that is given up is stored among the dead letters, with reason, number and attempts.
    """
    bus = EventBus()
    failing(bus, times=9)
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus, on_failure=Retry(attempts=2, delay=0.01, then="park"))
        await receiving.wait_ready()
        await publish(bridge, ("a", 1), ("a", 2))
        await seen.wait(3)
        await until(lambda: receiving.stats.handled == 2)
        assert receiving.stats.parked == 1
        client = await nats.connect(url)
        message = await client.jetstream().get_msg(f"{stream}_dead", seq=1)
        await client.close()

    assert message.subject.startswith(f"{stream}_dead.none.")
    assert message.subject.endswith(".a.transcript_delta")
    assert message.headers["Eventbus-Reason"] == "ValueError:%20secret%20of%20a%20caller"
    assert message.headers["Eventbus-Stream-Sequence"] == "1"
    assert message.headers["Eventbus-Attempts"] == "2"


async def test_a_message_that_is_no_event_is_told_and_passed_over(url, stream):
    """
    A foreign publisher's message is one Exception event; the events around it are handled.
    """
    bus = EventBus()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    seen = Collector(bus)
    async with bus, NatsBridge(url, stream=stream) as bridge:
        receiving = bridge.receive(bus)
        await receiving.wait_ready()
        client = await nats.connect(url)
        await client.publish(f"{stream}.0.a.b", b"not an event")
        await client.publish(f"{stream}.0.a.b", b"\x80", headers={"Eventbus-Format": "99"})
        await client.close()
        await publish(bridge, ("a", 1))
        await seen.wait(1)
        await until(lambda: receiving.stats.handled == 3)

        assert receiving.stats.unreadable == 2
    assert [type(event.exception) for event in told] == [UnreadableMessage] * 2
    assert "is not an event" in str(told[0].exception)
    assert "upgrade eventbus" in str(told[1].exception)


async def test_an_event_of_an_unknown_class_comes_as_other(url, stream, monkeypatch):
    """
    An event whose class isn't known here arrives as RealtimeModelOtherEvent, with its fields.
    """

    @attrs.frozen
    class Order:
        number: int
        type: str = "shop.order_of_tests"

    register_event(Order)
    bus = EventBus()
    source = EventBus()
    got = asyncio.Queue()
    bus.subscribe(got.put_nowait, RealtimeModelOtherEvent)
    try:
        async with bus, NatsBridge(url, stream=stream) as bridge:
            forwarding = bridge.forward(source, Order)
            source.publish(Order(7), sender="a")
            await forwarding.flush(TIMEOUT)
            from eventbus import events

            del events._event_types["shop.order_of_tests"]  # as in a process without the class
            bridge.receive(bus, start="first")
            event = await got.get()
    finally:
        from eventbus import events

        events._event_types.pop("shop.order_of_tests", None)

    assert "shop.order_of_tests" not in EVENT_TYPES
    assert event.data == UnknownObject("shop.order_of_tests", {"number": 7})


async def test_events_that_the_forwarder_dropped_are_told_at_their_place(make_server, stream):
    """
    The receiver tells of a gap by an Exception event before the event that follows it.
    """
    server = make_server()
    bus = EventBus()
    order = []
    bus.subscribe(lambda event: order.append(event.exception.count), RealtimeModelExceptionEvent)
    bus.subscribe(lambda event: order.append(event.delta), RealtimeModelTranscriptDeltaEvent)
    source = EventBus()
    async with bus, NatsBridge(server.url, stream=stream) as bridge:
        receiving = bridge.receive(bus)
        await receiving.wait_ready()
        forwarding = bridge.forward(source, RealtimeModelTranscriptDeltaEvent, buffer_bytes=2_000)
        server.stop()
        await until(lambda: not bridge.is_connected)
        for number in range(20):
            source.publish(said(number), sender="a")
        server.start()
        await forwarding.flush(TIMEOUT)
        await until(lambda: order and order[-1] == "19")

        lost = forwarding.stats.dropped
        assert receiving.stats.lost == lost
    assert order == [lost, *(str(number) for number in range(lost, 20))]


async def test_receiving_goes_on_after_the_server_was_restarted(make_server, stream):
    """
    A reader continues after the last event that it got, also if its consumer is gone.
    """
    server = make_server()
    bus = EventBus()
    seen = Collector(bus)
    async with bus, NatsBridge(server.url, stream=stream) as bridge:
        await bridge.receive(bus).wait_ready()
        await publish(bridge, *(("a", number) for number in range(50)))
        await seen.wait(50)
        server.stop()
        server.start()
        await publish(bridge, *(("a", number) for number in range(50, 100)))
        await seen.wait(100)

    assert seen.of("a") == list(range(100))


async def test_receiving_ends_with_its_bus(url, stream, caplog):
    """
    A bus that is closed gets nothing more, and leaving the bridge doesn't hang.
    """
    bus = EventBus()
    seen = Collector(bus)
    async with NatsBridge(url, stream=stream) as bridge:
        async with bus:
            await bridge.receive(bus).wait_ready()
            await publish(bridge, ("a", 1))
            await seen.wait(1)
        await publish(bridge, ("a", 2))

    assert seen.of("a") == [1]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"group": ""}, "group= is a name"),
        ({"group": "crm", "call": "a"}, "without a group"),
        ({"start": 0}, "start= is"),
        ({"start": dt.datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"on_failure": "retry"}, "on_failure= is"),
        ({"concurrency": 0}, "concurrency="),
        ({"buffered": True}, "buffered="),
    ],
)
async def test_wrong_options_are_refused(url, stream, options, problem):
    """
    An option with a value that it can't have is an OptionError that says which it can.
    """
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(OptionError, match=problem):
            bridge.receive(EventBus(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": True},
        {"delay": -1},
        {"delay": float("nan")},
        {"factor": "2"},
        {"max_delay": float("inf")},
        {"then": "die"},
    ],
)
def test_a_retry_with_wrong_values_is_refused(options):
    """
    Retry takes positive numbers, and a policy for the end.
    """
    with pytest.raises(OptionError):
        Retry(**options)


def test_pauses_of_a_retry_grow_up_to_a_limit():
    """
    Each pause is *factor* times the one before, and at most *max_delay*.
    """
    retry = Retry(attempts=6, delay=1, factor=3, max_delay=10)

    assert [retry.delay_after(attempt) for attempt in range(1, 7)] == [1, 3, 9, 10, 10, None]


def test_pause_after_any_number_of_attempts_is_the_limit():
    """
    Also where the factor has grown beyond all numbers.
    """
    retry = Retry(attempts=10**6)

    assert retry.delay_after(10**6 - 1) == retry.max_delay == 30.0


def test_events_lost_has_the_count():
    """
    The exception of a gap says how many events are missing.
    """
    assert EventsLost("gone", count=3).count == 3
