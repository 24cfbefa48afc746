"""
Forwarding: a call's events reach the stream in order, once, and a publish never waits for it.
"""

from __future__ import annotations

import asyncio
import logging

import attrs
import nats
import pytest

from eventbus import (
    BridgeSetupError,
    EventBus,
    EventsLost,
    OptionError,
    Overflow,
    PayloadTooLarge,
)
from eventbus.bridges.nats import NatsBridge
from eventbus.codec import unpacks
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnStartedEvent,
)
from tests.bridges.collecting import TIMEOUT, said, until


async def stored(url: str, stream: str) -> list:
    """
    Return the messages of a stream.
    """
    client = await nats.connect(url)
    try:
        info = await client.jetstream().stream_info(stream)
        messages = [
            await client.jetstream().get_msg(stream, seq=number)
            for number in range(info.state.first_seq, info.state.last_seq + 1)
        ]
    finally:
        await client.close()
    return messages


async def test_events_of_a_call_are_stored_in_order_under_its_subject(url, stream):
    """
    Each event is one message ``PREFIX.<partition>.<call>.<type>`` with the codec's payload and
    headers that name call, class, origin and sequence.
    """
    bus = EventBus()
    async with NatsBridge(url, stream=stream, partitions=16) as bridge, bus:
        forwarding = bridge.forward(bus, RealtimeModelEvent)
        for number in range(50):
            bus.publish(said(number), sender="call.7 *")
        await forwarding.flush(TIMEOUT)

    messages = await stored(url, stream)
    assert [unpacks(message.data) for message in messages] == [said(n) for n in range(50)]
    assert {message.subject for message in messages} == {
        f"{stream}.1.call%2E7%20%2A.transcript_delta"
    }
    headers = messages[0].headers
    assert headers["Eventbus-Call"] == "call.7%20*"
    assert headers["Eventbus-Class"] == "transcript_delta"
    assert headers["Eventbus-Origin"] == bridge.origin
    numbers = [int(message.headers["Eventbus-Sequence"]) for message in messages]
    assert numbers == sorted(set(numbers))


async def test_audio_and_raw_frames_are_not_forwarded_unless_asked_for(url, stream):
    """
    `RealtimeModelEvent` stands for all events but audio and raw frames; both can be asked for.
    """
    bus = EventBus()
    audio = RealtimeModelAudioEvent(b"\0\0", "response", "item", 0)
    raw = RealtimeModelRawServerEvent({"type": "x"})
    async with NatsBridge(url, stream=stream) as bridge, bus:
        usual = bridge.forward(bus, RealtimeModelEvent)
        for event in (audio, raw, said(1)):
            bus.publish(event, sender="a")
        await usual.flush(TIMEOUT)
        usual.stop()
        everything = bridge.forward(
            bus, RealtimeModelEvent, RealtimeModelRawServerEvent, without=()
        )
        for event in (audio, raw, said(2)):
            bus.publish(event, sender="a")
        await everything.flush(TIMEOUT)

    found = [unpacks(message.data) for message in await stored(url, stream)]
    assert [type(event) for event in found] == [
        RealtimeModelTranscriptDeltaEvent,
        RealtimeModelAudioEvent,
        RealtimeModelRawServerEvent,
        RealtimeModelTranscriptDeltaEvent,
    ]


async def test_a_scope_forwards_its_own_call_only(url, stream):
    """
    Forwarding a scope leaves the events of other senders alone.
    """
    bus = EventBus()
    async with NatsBridge(url, stream=stream) as bridge, bus:
        with bus.scope("mine") as call:
            forwarding = bridge.forward(call, RealtimeModelEvent)
            bus.publish(said(1), sender="other")
            call.publish(said(2))
            await forwarding.flush(TIMEOUT)

    assert [unpacks(message.data) for message in await stored(url, stream)] == [said(2)]


async def test_forwarding_is_no_handler(url, stream):
    """
    A forwarded event that nobody handles is unhandled, and `EventBus.has_handlers` stays false.
    """
    bus = EventBus()
    async with NatsBridge(url, stream=stream) as bridge, bus:
        bridge.forward(bus)
        bus.publish(said(1), sender="a")

        assert bus.stats.unhandled == 1
        assert not bus.has_handlers(RealtimeModelTranscriptDeltaEvent)


async def test_events_published_in_another_thread_are_forwarded_in_order(url, stream):
    """
    A bus with sync handlers may be published to from any thread, and its events are forwarded.
    """
    bus = EventBus()

    def publish() -> None:
        for number in range(100):
            bus.publish(said(number), sender="a")

    async with NatsBridge(url, stream=stream) as bridge:
        forwarding = bridge.forward(bus)
        await asyncio.to_thread(publish)
        await until(lambda: forwarding.stats.stored == 100)

    assert [unpacks(message.data) for message in await stored(url, stream)] == [
        said(number) for number in range(100)
    ]


async def test_leaving_the_bridge_flushes(url, stream):
    """
    All that was published before the bridge is left is in the stream afterwards.
    """
    bus = EventBus()
    async with NatsBridge(url, stream=stream) as bridge, bus:
        bridge.forward(bus)
        for number in range(500):
            bus.publish(said(number), sender=f"call-{number % 7}")

    assert len(await stored(url, stream)) == 500


async def test_events_of_a_time_without_server_follow_in_order(make_server, stream):
    """
    Events published without a server are stored when it is back, each once and in order.
    """
    server = make_server()
    bus = EventBus()
    async with NatsBridge(server.url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus)
        for number in range(100):
            bus.publish(said(number), sender="a")
        server.stop()
        for number in range(100, 200):
            bus.publish(said(number), sender="a")
        await until(lambda: not bridge.is_connected)
        for number in range(200, 300):
            bus.publish(said(number), sender="a")
        server.start()
        await forwarding.flush(TIMEOUT)

        found = [int(unpacks(m.data).delta) for m in await stored(server.url, stream)]
        assert found == list(range(300))


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [
        (Overflow.DROP_OLDEST, "newest"),
        (Overflow.DROP_NEWEST, "oldest"),
        (Overflow.LATEST, "newest"),
    ],
)
async def test_a_full_buffer_drops_and_tells_once(make_server, stream, overflow, kept):
    """
    The buffer is bounded in bytes; drops are counted, told once by an Exception event,
    and announced by the next message of the call.
    """
    server = make_server()
    bus = EventBus()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    async with NatsBridge(server.url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(
            bus, RealtimeModelTranscriptDeltaEvent, buffer_bytes=20_000, overflow=overflow
        )
        bus.publish(said(0), sender="a")
        await forwarding.flush(TIMEOUT)
        server.stop()
        await until(lambda: not bridge.is_connected)
        for number in range(1, 1001):
            bus.publish(said(number), sender="a")
        assert forwarding.stats.pending_bytes <= 20_000
        dropped = forwarding.stats.dropped
        assert dropped > 900
        server.start()
        await forwarding.flush(TIMEOUT)
        bus.publish(said(1001), sender="a")
        await forwarding.flush(TIMEOUT)
        messages = await stored(server.url, stream)

    assert [type(event.exception) for event in told] == [EventsLost]
    assert sum(int(message.headers.get("Eventbus-Lost", 0)) for message in messages) == dropped
    numbers = [int(unpacks(message.data).delta) for message in messages]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 1001
    assert (1000 in numbers) == (kept == "newest")
    assert (1 in numbers) == (kept == "oldest")


async def test_an_event_above_the_limit_is_refused_and_the_next_one_is_stored(make_server, stream):
    """
    An event larger than the server's max_payload is one Exception event with size and limit.
    """
    server = make_server()
    bus = EventBus()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    async with NatsBridge(server.url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus, RealtimeModelTranscriptDeltaEvent)
        bus.publish(RealtimeModelTranscriptDeltaEvent("i", "x" * 2_000_000, "r"), sender="a")
        bus.publish(said(1), sender="a")
        await forwarding.flush(TIMEOUT)
        await until(lambda: told)

        assert [unpacks(m.data) for m in await stored(server.url, stream)] == [said(1)]
        assert forwarding.stats.refused == 1
    (event,) = told
    assert isinstance(event.exception, PayloadTooLarge)
    assert event.exception.size > 2_000_000
    assert event.exception.limit == 1_048_576
    assert "max_payload" in str(event.exception)


@attrs.frozen
class Unregistered:
    """
    An event that the codec doesn't know.
    """

    number: int


async def test_an_event_without_type_name_is_told_once(url, stream):
    """
    An event that can't be written is one Exception event for its class; the others go on.
    """
    bus = EventBus()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    async with NatsBridge(url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus, Unregistered, RealtimeModelTurnStartedEvent)
        for number in range(3):
            bus.publish(Unregistered(number), sender="a")
        bus.publish(RealtimeModelTurnStartedEvent(), sender="a")
        await forwarding.flush(TIMEOUT)
        await until(lambda: told)

    assert len(await stored(url, stream)) == 1
    assert len(told) == 1
    assert "register_event" in str(told[0].exception)


async def test_a_sender_without_id_is_told_once_and_call_id_gives_it_one(url, stream):
    """
    A sender that is neither text nor number needs call_id=.
    """

    class Session:
        name = "named"

    bus = EventBus()
    session = Session()
    told = []
    bus.subscribe(told.append, RealtimeModelExceptionEvent)
    async with NatsBridge(url, stream=stream) as bridge, bus:
        with bridge.forward(bus, RealtimeModelTranscriptDeltaEvent):
            bus.publish(said(1), sender=session)
            bus.publish(said(2), sender=session)
            await until(lambda: told)
        forwarding = bridge.forward(
            bus, RealtimeModelTranscriptDeltaEvent, call_id=lambda sender: sender.name
        )
        bus.publish(said(3), sender=session)
        await forwarding.flush(TIMEOUT)

    assert len(told) == 1
    assert "call_id=" in str(told[0].exception)
    (message,) = await stored(url, stream)
    assert message.headers["Eventbus-Call"] == "named"


@pytest.mark.parametrize("overflow", [Overflow.BLOCK, Overflow.RAISE, "drop_oldest"])
async def test_policies_that_would_delay_or_fail_a_publish_are_refused(url, stream, overflow):
    """
    A bridge can neither delay a publish nor fail it, and says so.
    """
    async with NatsBridge(url, stream=stream) as bridge:
        with pytest.raises(OptionError, match="DROP_OLDEST"):
            bridge.forward(EventBus(), overflow=overflow)


async def test_headers_carry_the_trace_context(url, stream):
    """
    The headers that trace_context returns travel with the event.
    """
    bus = EventBus()
    async with NatsBridge(url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus, trace_context=lambda: {"traceparent": "00-ab-cd-01"})
        bus.publish(said(1), sender="a")
        await forwarding.flush(TIMEOUT)

    (message,) = await stored(url, stream)
    assert message.headers["traceparent"] == "00-ab-cd-01"


async def test_a_stream_that_is_gone_is_waited_for(make_server, stream, caplog):
    """
    A stream that was deleted is no reason to lose events: they wait until it is there again.
    """
    server = make_server()
    bus = EventBus()
    caplog.set_level(logging.CRITICAL)
    async with NatsBridge(server.url, stream=stream) as bridge, bus:
        forwarding = bridge.forward(bus)
        client = await nats.connect(server.url)
        await client.jetstream().delete_stream(stream)
        bus.publish(said(1), sender="a")
        await until(lambda: forwarding.stats.lag_seconds or forwarding.stats.pending)
        async with NatsBridge(server.url, stream=stream):
            await forwarding.flush(TIMEOUT)
        await client.close()

        assert [unpacks(m.data) for m in await stored(server.url, stream)] == [said(1)]


async def test_another_number_of_partitions_is_refused(url, stream):
    """
    A bridge doesn't join a stream whose calls are spread in another way.
    """
    async with NatsBridge(url, stream=stream, partitions=8):
        with pytest.raises(BridgeSetupError, match="partitions is 8, not 16") as caught:
            async with NatsBridge(url, stream=stream, partitions=16):
                pass
    assert caught.value.differences == {"partitions": (8, 16)}
