"""
The check of a service against the simulator: nothing to tell of itself, and each deliberate change.
"""

from __future__ import annotations

import pytest
from websockets.asyncio.server import serve

from eventbus import EventBus, RealtimeConnectionError
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Simulator
from eventbus.simulator._drift.client import check
from eventbus.simulator._drift.comparison import compare
from eventbus.simulator._drift.probes import PROBES

FAST = {"pace": {"first_output_ms": 10}, "otherwise": "Yes, hello."}


@pytest.fixture
def anyio_backend():
    """
    The simulator is for asyncio.
    """
    return "asyncio"


def probes(*names):
    return [probe for probe in PROBES if probe.name in names]


async def differences(url, *names, **options):
    """
    Return the differences of the named probes, in words, by probe.
    """
    options = {"api_key": "sk-none", **options}
    found = check(url, options.pop("api_key"), probes=probes(*names), **options)
    return {c.probe: [d.text for d in c.differences] async for c in found if c.differences}


@pytest.mark.slow
async def test_simulator_and_proxy_have_no_differences():
    """
    Each probe comes to its end at another simulator, through the proxy, and finds nothing.
    """
    async with Simulator(FAST) as simulator, EventBus() as bus:
        async with RealtimeProxy(simulator.url, bus) as proxy:
            assert await differences(proxy.base_url, *(probe.name for probe in PROBES)) == {}
        assert simulator.connections == len(PROBES)


async def test_further_field_is_found():
    """
    A service that sends a field more, as Azure does, is told of with the type and the field.
    """
    async with Simulator({**FAST, "dialect": "azure"}) as simulator:
        found = await differences(simulator.base_url, "text")

    assert found == {
        "text": [
            f"response.content_part.{end}: the service has content, the simulator doesn't"
            for end in ("added", "done")
        ]
    }


async def test_other_order_is_found():
    """
    An unknown event in between is reported with the events before it.
    """
    async with Simulator({**FAST, "faults": "unknown"}) as simulator:
        [text, *_] = (await differences(simulator.base_url, "text"))["text"]

    assert text.startswith("after response.")
    assert "the service sends" in text


async def test_event_that_never_comes_is_found():
    """
    A response without an end is told of with the time that was waited.
    """
    async with Simulator({**FAST, "faults": "no-done"}) as simulator:
        [text, *_] = (await differences(simulator.base_url, "text", timeout=0.5))["text"]

    assert text == "the service sends no response.done within 0.5 s, the simulator goes on"


async def test_other_end_is_found():
    """
    A service that closes the connection, and an error instead of an answer, are differences.
    """
    async with Simulator({**FAST, "faults": "close=1012"}) as simulator:
        closed = (await differences(simulator.base_url, "text"))["text"][0]
    async with Simulator(FAST) as simulator:
        url = f"{simulator.url.partition('?')[0]}?intent=transcription"
        [refused, *_] = (await differences(url, "text"))["text"]

    assert closed == "the service closes it with code 1012, the simulator goes on"
    assert refused.startswith("the service sends an error with the code invalid_model")


def test_kinds_and_errors_are_compared():
    """
    Another kind of value, and another code, are differences; null and another text aren't.
    """
    theirs = [
        {"type": "session.updated", "session": {"speed": "1", "voice": "a", "prompt": None}},
        {"type": "error", "error": {"type": "t", "code": "one", "param": None, "message": "Ach"}},
    ]
    ours = [
        {"type": "session.updated", "session": {"speed": 1, "voice": "b", "prompt": {"id": "p"}}},
        {"type": "error", "error": {"type": "t", "code": "two", "param": None, "message": "Oh"}},
    ]

    assert [difference.text for difference in compare("any", theirs, ours)] == [
        "session.updated: session.speed is a text for the service, a number here",
        "the error's code is 'one' for the service, 'two' here",
    ]


async def test_service_that_refuses_is_no_difference():
    """
    A refused key is an error without the key; so is an address where nobody listens.
    """
    async with Simulator(api_key="sk-right") as simulator:
        with pytest.raises(RealtimeConnectionError, match="401") as caught:
            await differences(simulator.base_url, "text", api_key="sk-wrong-key")
        assert "sk-wrong" not in str(caught.value)
        base_url = simulator.base_url
    with pytest.raises(RealtimeConnectionError, match="no connection to ws://127"):
        await differences(base_url, "text")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.openai.com", "no URL of a service"),
        ("wss://me:sk-pass@api.openai.com/v1", "^The URL has a name or password in it; leave"),
        ("wss://api.x.ai/v1/realtime", "xAI Grok Voice has settings of its own"),
        ("wss://x.services.ai.azure.com/voice-live/realtime", "Azure Voice Live has settings"),
    ],
)
async def test_other_addresses_are_refused(url, message):
    """
    The check speaks GA, to the address of a service.
    """
    with pytest.raises(ValueError, match=message):
        await differences(url, "text")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["hello"], "the service sends a frame that is no event, before session.created"),
        (['["no", "object"]'], "the service sends a frame that is no event"),
        (['{"type": 5}'], "the service sends a frame that is no event"),
        (
            ['{"type": "error", "error": {"code": "model_not_found"}}'],
            "sends an error with the code model_not_found before session.created",
        ),
        (['{"type": "error", "error": "no"}'], "an error with the code None before"),
        ([], "the service closes it with code 1000"),
    ],
)
async def test_other_services_are_refused(frames, message):
    """
    A WebSocket that begins no session is an error at once, and no list of differences.
    """

    async def answer(connection):
        for frame in frames:
            await connection.send(frame)

    async with serve(answer, "127.0.0.1", 0) as server:
        [port] = {place.getsockname()[1] for place in server.sockets}
        with pytest.raises(RealtimeConnectionError) as caught:
            await differences(f"ws://127.0.0.1:{port}/v1/realtime?key=sk-query", "text", "items")

    place = f"There is no session at ws://127.0.0.1:{port}/v1/realtime: "
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)


async def test_silent_service_is_refused():
    """
    A WebSocket that says nothing is an error after the first wait, and not after each probe's.
    """

    async def listen(connection):
        await connection.wait_closed()

    async with serve(listen, "127.0.0.1", 0) as server:
        [port] = {place.getsockname()[1] for place in server.sockets}
        with pytest.raises(RealtimeConnectionError, match=r"sends no session\.created within"):
            await differences(f"ws://127.0.0.1:{port}/v1", "text", "items", timeout=0.1)
