"""
Groups: each call has one member at a time; partitions move and balance; a member that was cut off
can change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus import EventBus
from eventbus.bridges.nats import NatsBridge
from eventbus.events import RealtimeModelEvent, RealtimeModelTranscriptDeltaEvent
from tests.bridges.collecting import TIMEOUT, Collector, said, until
from tests.bridges.forwarder import TcpForwarder

CALLS = [f"call-{number}" for number in range(24)]


class Member:
    """
    A member of the group "crm", with a bus and a connection of its own.
    """

    def __init__(self, url: str, stream: str, lease_time: float = 1.0) -> None:
        self.bus = EventBus()
        self.seen = Collector(self.bus)
        self.bridge = NatsBridge(url, stream=stream, partitions=8, lease_time=lease_time)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self):
        await self._stack.enter_async_context(self.bus)
        await self._stack.enter_async_context(self.bridge)
        self.receiving = self.bridge.receive(self.bus, group="crm", start="first")
        return self

    async def __aexit__(self, *exc_info) -> None:
        await self._stack.aclose()

    @property
    def partitions(self) -> tuple[int, ...]:
        return self.receiving.stats.partitions


class Owner:
    """
    A process that holds the calls.
    """

    def __init__(self, url: str, stream: str) -> None:
        self.bus = EventBus()
        self.bridge = NatsBridge(url, stream=stream, partitions=8)
        self.count = 0

    async def __aenter__(self):
        await self.bridge.__aenter__()
        self.forwarding = self.bridge.forward(self.bus, RealtimeModelEvent)
        return self

    async def __aexit__(self, *exc_info) -> None:
        await self.bridge.__aexit__(None, None, None)

    async def say(self, rounds: int) -> None:
        """
        Publish an event of each call, so many times.
        """
        for _ in range(rounds):
            for call in CALLS:
                self.bus.publish(said(self.count), sender=call)
            self.count += 1
        await self.forwarding.flush(TIMEOUT)


def all_of(call: str, *members: Member) -> list[int]:
    return [number for member in members for number in member.seen.of(call)]


async def test_members_share_the_partitions_evenly(url, stream):
    """
    Three members own 3, 3 and 2 of 8 partitions, each partition once; one that leaves gives its
    own to the others.
    """
    async with Member(url, stream) as one, Member(url, stream) as two:
        async with Member(url, stream) as three:
            members = [one, two, three]
            await until(lambda: sorted(len(m.partitions) for m in members) == [2, 3, 3])
            owned = [partition for member in members for partition in member.partitions]
            assert sorted(owned) == list(range(8))
        await until(lambda: sorted(len(m.partitions) for m in (one, two)) == [4, 4])
        assert sorted(one.partitions + two.partitions) == list(range(8))


async def test_a_moving_partition_loses_repeats_and_disorders_nothing(url, stream):
    """
    While members come and go, each event is handled once, in order for each call.
    """
    # A lease that a busy machine can keep: one that runs out is a failure, which repeats events.
    async with Owner(url, stream) as owner, Member(url, stream, lease_time=20.0) as one:
        await owner.say(20)
        async with Member(url, stream, lease_time=20.0) as two:
            await owner.say(20)
            await until(lambda: len(two.partitions) == 4)
            await owner.say(20)
        await owner.say(20)
        await until(lambda: all(len(set(all_of(call, one, two))) == 80 for call in CALLS))

    assert two.seen.got
    for call in CALLS:
        # A call moves to the second member and back: its part lies in the middle.
        assert sorted(all_of(call, one, two)) == list(range(80))
        assert one.seen.of(call) == sorted(one.seen.of(call))
        assert two.seen.of(call) == sorted(two.seen.of(call))


async def test_leaving_waits_for_handlers(url, stream):
    """
    A member that leaves finishes the events that are being handled; nobody gets them again.
    """
    go_on = asyncio.Event()
    finished = []
    async with Owner(url, stream) as owner:
        async with Member(url, stream) as one:

            @one.bus.on(RealtimeModelTranscriptDeltaEvent)
            async def work(event: RealtimeModelTranscriptDeltaEvent) -> None:
                await go_on.wait()
                finished.append(event)

            await owner.say(1)
            await one.seen.wait(len(CALLS))
            leaving = asyncio.create_task(one.receiving.drain())
            await asyncio.sleep(0)
            assert not leaving.done()
            go_on.set()
            await leaving
            assert len(finished) == len(CALLS)
        async with Member(url, stream) as two:
            await until(lambda: len(two.partitions) == 8)
            await owner.say(1)
            await two.seen.wait(len(CALLS))
            assert {number for _, number in two.seen.got} == {1}


async def test_a_new_member_goes_on_where_the_group_was(url, stream):
    """
    A group that nobody is in keeps its place, also for events that came meanwhile.
    """
    async with Owner(url, stream) as owner:
        async with Member(url, stream) as one:
            await owner.say(3)
            await one.seen.wait(3 * len(CALLS))
        await owner.say(2)
        async with Member(url, stream) as two:
            await two.seen.wait(2 * len(CALLS))
            assert all(two.seen.of(call) == [3, 4] for call in CALLS)


@pytest.mark.slow
async def test_a_member_that_is_cut_off_handles_nothing_more(url, stream, shared_server):
    """
    A member whose connection stands still is replaced within its lease time, and handles nothing
    after it; when it is back, the partitions balance, and no event was lost or out of order.
    """
    async with (
        TcpForwarder(shared_server.port) as forwarder,
        Owner(url, stream) as owner,
        Member(forwarder.url, stream) as one,
        Member(url, stream) as two,
    ):
        await until(lambda: len(one.partitions) == len(two.partitions) == 4)
        await owner.say(5)
        await until(lambda: len(one.seen.got) + len(two.seen.got) == 5 * len(CALLS))
        forwarder.pause()
        await until(lambda: len(two.partitions) == 8)
        assert not one.receiving._group.is_valid  # the promise behind it
        before = len(one.seen.got)
        await owner.say(5)
        await until(lambda: all(set(two.seen.of(c)) >= set(range(5, 10)) for c in CALLS))
        forwarder.resume()
        await until(lambda: len(one.partitions) == len(two.partitions) == 4)
        assert len(one.seen.got) == before
        await owner.say(5)
        await until(lambda: all(set(all_of(c, one, two)) == set(range(15)) for c in CALLS))
        for call in CALLS:
            assert first_times(one.seen.of(call)) == sorted(set(one.seen.of(call)))
            assert first_times(two.seen.of(call)) == sorted(set(two.seen.of(call)))


def first_times(numbers: list[int]) -> list[int]:
    """
    Return the numbers without repetitions.
    """
    return list(dict.fromkeys(numbers))


@pytest.mark.slow
async def test_a_restarted_server_moves_no_partition(make_server, stream):
    """
    A server that was away changes no owner, and the members go on without repeating anything.
    """
    server = make_server()
    async with (
        Owner(server.url, stream) as owner,
        Member(server.url, stream) as one,
        Member(server.url, stream) as two,
    ):
        await until(lambda: len(one.partitions) == len(two.partitions) == 4)
        before = one.partitions, two.partitions
        await owner.say(5)
        await until(lambda: len(one.seen.got) + len(two.seen.got) == 5 * len(CALLS))
        server.stop()
        await until(lambda: not one.partitions and not two.partitions)
        server.start()
        await owner.say(5)
        await until(lambda: len(one.seen.got) + len(two.seen.got) == 10 * len(CALLS))
        await until(lambda: len(one.partitions) == len(two.partitions) == 4)
        assert sorted(one.partitions + two.partitions) == sorted(before[0] + before[1])
        for call in CALLS:
            assert sorted(all_of(call, one, two)) == list(range(10))
