"""
`eventbus.cli.live`: speech in time, and the speech that is heard; `test_run` has whole calls.
"""

from __future__ import annotations

import itertools

import anyio
import pytest

from eventbus.audio import Played, PlayoutQueue
from eventbus.cli.live import PIECE_MS, CallClock, Ear, paced, play_by_clock
from eventbus.events import RealtimeModelAudioEvent, RealtimeModelAudioInterruptedEvent
from eventbus.testing import FakeClock

PIECE = bytes(range(240)) * 4  # 20 ms


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: live sessions have no other.
    """
    return "asyncio"


async def test_pieces_come_when_they_have_been_spoken():
    """
    Each piece comes at its end, counted from the first one's beginning, however late one was.
    """
    times = []

    with FakeClock(autojump=True) as clock:
        async for number in paced(range(4)):
            times.append(clock.now)
            if number == 1:
                await anyio.sleep(0.03)

    assert times == [0.02, 0.04, 0.07, 0.08]


async def test_call_clock_counts_from_the_start_at_its_speed():
    """
    Before the call the clock says 0, and then as many seconds as pass in the call.
    """
    clock = CallClock(10)
    assert clock() == 0

    with FakeClock(autojump=True):
        clock.start()
        await anyio.sleep(1.5)
        assert clock() == pytest.approx(15)


async def test_speech_is_heard_at_its_own_pace_and_not_after_an_interruption():
    """
    Of speech that comes at once, the part before the interruption is heard, and then silence.
    """
    queue, played, written = PlayoutQueue(), [], []
    ear = Ear(queue, {})
    ear.on_event_nowait(RealtimeModelAudioEvent(PIECE * 10, "resp", "item", 0))

    with FakeClock(autojump=True):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play_by_clock, queue, played.append, written.append)
            await anyio.sleep(4.5 * PIECE_MS / 1000)
            ear.on_event_nowait(RealtimeModelAudioInterruptedEvent("item", 0))
            await anyio.sleep(2 * PIECE_MS / 1000)
            tasks.cancel_scope.cancel()

    assert played == list(itertools.repeat(Played("item", 0, PIECE), 4))
    assert written == [PIECE] * 4 + [bytes(len(PIECE))] * 2
