"""
Clients that had no part in making the simulator: each speaks to it, and through the proxy.

They are no dependencies of eventbus: ``nox -f .ci/noxfile.py -s clients`` installs and runs them.
Where one of them isn't installed, its tests are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus import EventBus
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Simulator

SCENARIO = {
    "pace": {"first_output_ms": 50, "generation_speed": 8},
    "turns": [
        {"when": "story", "say": "Once upon a time, there was a telephone on a wall. " * 20},
        {"when": "weather", "call": {"tool": "get_weather", "arguments": {"city": "Oslo"}}},
        {"when": {"tool": "get_weather"}, "say": "In Oslo: {output}."},
    ],
    "otherwise": "You said: {user}",
}


@pytest.fixture
def anyio_backend():
    """
    Each of these clients runs on asyncio.
    """
    return "asyncio"


@pytest.fixture(params=["direct", "proxy"])
async def service(request):
    """
    A simulator, and its address: its own, or that of a proxy before it.
    """
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(SCENARIO))
        place = simulator
        if request.param == "proxy":
            bus = await stack.enter_async_context(EventBus())
            place = await stack.enter_async_context(RealtimeProxy(simulator.url, bus))
        yield simulator, place


def refusals(simulator):
    """
    Return the errors that the simulator has told: none, if it understands its client.
    """
    return [event["error"] for event in simulator.sent if event["type"] == "error"]


async def status_of_the_answer(simulator):
    """
    Wait until the first answer is over, and return its status.
    """
    async with asyncio.timeout(15):
        while True:
            for event in simulator.sent:
                if event["type"] == "response.done":
                    return event["response"]["status"]
            await asyncio.sleep(0.01)
