"""
The driver of a session: time, stalls and the end, without a real socket.
"""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from eventbus.simulator import Scenario
from eventbus.simulator._server.driver import Driver
from eventbus.simulator._service.fault_plan import FaultPlan
from eventbus.simulator._service.service import Service
from eventbus.simulator.faults import parse_faults
from eventbus.simulator.scenario import Pace, Turn
from eventbus.testing import FakeClock

SCENARIO = Scenario(otherwise=Turn(say="word " * 8), pace=Pace(first_output_ms=400))


class HungUp(Exception):
    """
    The socket's error after its client has gone.
    """


class Line:
    """
    A socket and its client, which notes each frame with its time, and may hang up at the end.
    """

    def __init__(self, *, until_done=False):
        self._until_done = until_done
        self._began = asyncio.get_running_loop().time()
        self.transport = self
        self.is_cut = False
        self.closed_with = None
        self.got = []
        self._waiting = asyncio.Queue()

    def say(self, *types):
        for type_ in types:
            self._waiting.put_nowait(json.dumps({"type": type_}))

    def hang_up(self):
        self._waiting.put_nowait(HungUp())

    async def recv(self):
        frame = await self._waiting.get()
        if isinstance(frame, HungUp):
            raise frame
        return frame

    async def send(self, message):
        self.got.append((asyncio.get_running_loop().time() - self._began, message))
        if self._until_done and '"response.done"' in message:
            self.hang_up()

    async def close(self, code, _reason):
        self.closed_with = code

    async def wait_closed(self):
        assert self.is_cut

    def abort(self):
        self.is_cut = True

    def times(self, type_):
        """
        Return when frames of that type came.
        """
        return [at for at, frame in self.got if f'"type":"{type_}"' in frame]


@pytest.fixture(scope="module")
def anyio_backend():
    """
    A driver waits on asyncio's clock.
    """
    return "asyncio"


@pytest.fixture
async def clock():
    """
    Virtual time, which jumps to the next timer.
    """
    with FakeClock(autojump=True) as clock:
        yield clock


async def drive(line, faults="", speed=1.0):
    """
    Let a service answer, until one of the two hangs up; return the driver's result.
    """
    service = Service(SCENARIO, faults=FaultPlan(parse_faults(faults)).connection())
    sent = []
    driver = Driver(service, line, speed, on_received=lambda _: None, on_sent=sent.append)
    line.say("response.create")
    try:
        return await driver.run()
    finally:
        assert sent == [frame for _, frame in line.got]


async def hang_up_after(seconds, line):
    await asyncio.sleep(seconds)
    line.hang_up()


@pytest.mark.parametrize("speed", [1.0, 2.0])
async def test_pieces_come_at_their_times(clock, speed):
    """
    To the millisecond: the first after the model's pause, the others at the pace of its making.
    """
    line = Line()
    with pytest.raises(HungUp):
        await asyncio.gather(drive(line, speed=speed), hang_up_after(60, line))

    nominal = [
        0.4 + 0.05 * number for number in range(len(line.times("response.output_audio.delta")))
    ]
    assert len(nominal) > 5
    assert line.times("response.output_audio.delta") == pytest.approx(
        [at / speed for at in nominal], abs=1e-6
    )


async def test_stall_holds_up_what_is_sent_only(clock):
    """
    A client's message in a stall takes effect at once; its effects are sent after the stall.
    """
    line = Line()

    async def cancel():
        await asyncio.sleep(0.42)  # 20 ms into the stall
        line.say("response.cancel")
        await hang_up_after(60, line)

    with pytest.raises(HungUp):
        await asyncio.gather(drive(line, "stall=30s"), cancel())

    [done] = [frame for _, frame in line.got if '"response.done"' in frame]
    assert json.loads(done)["response"]["status"] == "cancelled"
    assert line.times("response.output_audio.delta") == pytest.approx([0.4])
    assert line.times("response.done") == pytest.approx([30.4])


async def test_client_that_hangs_up_in_a_stall_is_noticed(clock):
    """
    Nobody waits for the end of the stall.
    """
    line = Line()
    with pytest.raises(HungUp):
        await asyncio.gather(drive(line, "stall=600s"), hang_up_after(1, line))

    assert clock.now == pytest.approx(1)


async def test_two_stalls_come_one_after_the_other(clock):
    """
    Each has its own length.
    """
    line = Line()
    with pytest.raises(HungUp):
        await asyncio.gather(drive(line, "stall=10s stall=5s"), hang_up_after(60, line))

    assert line.times("response.done") == pytest.approx([15.4])


@pytest.mark.parametrize("speed", [1.0, math.inf])
async def test_closing_is_the_end(clock, speed):
    """
    The code is told, and nothing comes after it.
    """
    line = Line()
    line.say(*["response.cancel"] * 20)

    assert await drive(line, "close=1012", speed) == 1012
    assert line.closed_with == 1012
    assert "response.output_audio.delta" in line.got[-1][1]


async def test_cutting_is_the_end(clock):
    """
    There is no code.
    """
    line = Line()

    assert await drive(line, "drop") is None
    assert line.is_cut
    assert line.closed_with is None


async def test_without_time_nothing_is_waited_for():
    """
    An infinite speed needs no clock, for a stall neither.
    """
    line = Line(until_done=True)
    with FakeClock() as clock:
        with pytest.raises(HungUp):
            await drive(line, "stall=30s", math.inf)
        assert clock.now == 0
