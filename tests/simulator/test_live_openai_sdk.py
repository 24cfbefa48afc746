"""
The openai SDK's live client talks to the simulator as to the service.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock
from tests.simulator.live_talk import RESPONSES, delegated, heard, words
from tests.simulator.strict import strict_live_event

CLIENT = AsyncOpenAI(api_key="none")
SCENARIO = {
    "turns": [
        {"when": "weather", "call": {"tool": "get_weather", "arguments": {"city": "Oslo"}}},
        {"when": {"tool": "get_weather"}, "say": "In Oslo: {output}."},
    ],
    "otherwise": "You said: {user}",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """
    The SDK's connection and the server are of websockets, which runs on asyncio only.
    """
    return "asyncio"


@asynccontextmanager
async def live_session(
    sim: Simulator, *, key: str = "sk-nobody", **session: Any
) -> AsyncIterator[Any]:
    """
    Start a session; when it is over, every frame has to be one that the SDK accepts.
    """
    client = CLIENT.with_options(base_url=sim.base_url, api_key=key)
    async with client.live.connect() as connection:
        await connection.session.start(session={"model": "gpt-live-1", **session})
        assert (await connection.recv()).type == "session.started"
        yield connection
    for frame in sim.sent:
        if frame["type"] != "session.created":  # of the other protocol
            strict_live_event(frame)


async def speak_to(connection: Any, audio: bytes) -> None:
    for start in range(0, len(audio), 9_600):
        piece = base64.b64encode(audio[start : start + 9_600]).decode()
        await connection.session.input_audio.append(audio=piece)


async def until(connection: Any, type_: str) -> Any:
    async for event in connection:
        if event.type == type_:
            return event
    pytest.fail(f"the connection ended without {type_}")


async def until_said(connection: Any, sim: Simulator, text: str) -> None:
    while words(sim.sent) != text or heard(sim.sent) != text:
        await connection.recv()


async def close(connection: Any) -> Any:
    await connection.session.close()
    return await until(connection, "session.closed")


async def test_speech_is_answered() -> None:
    """
    Speech in, words and speech out, and the reason of the close.
    """
    with FakeClock(autojump=True):
        async with Simulator(SCENARIO) as sim, live_session(sim) as connection:
            await speak_to(connection, speak("Good morning") + silence(4_000))
            await until_said(connection, sim, "You said: Good morning")
            closed = await close(connection)

    assert closed.reason == "close_requested"
    assert words(sim.sent, "input") == "Good morning"


async def test_a_tool_is_called_for_the_backend() -> None:
    """
    The backend's call, its output by the SDK's client, and the spoken answer.
    """
    with FakeClock(autojump=True):
        async with (
            Simulator(SCENARIO) as sim,
            live_session(sim, delegation=RESPONSES) as connection,
        ):
            await speak_to(connection, speak("How is the weather?") + silence(2_000))
            while not delegated(sim.sent, "response.completed"):
                await connection.recv()
            [done] = delegated(sim.sent, "response.output_item.done")
            await connection.response.item.create(
                item={
                    "type": "function_call_output",
                    "call_id": done["item"]["call_id"],
                    "output": "rain",
                }
            )
            await connection.response.create()
            await speak_to(connection, silence(4_000))
            await until_said(connection, sim, "In Oslo: rain.")
            await close(connection)

    [created] = [f for f in sim.sent if f["type"] == "session.delegation.created"]
    assert created["delegation"]["target"] == "responses"


async def test_texts_mute_and_fixture() -> None:
    """
    Each command of the SDK's client is understood.
    """
    with FakeClock(autojump=True):
        async with Simulator(SCENARIO) as sim, live_session(sim) as connection:
            session = connection.session
            await session.instructions.append(content="Be brief.", delegation_id=None)
            await session.thinking.append(content="It is late.", delegation_id=None)
            await session.commentary.append(content="Good evening!", delegation_id=None)
            await session.input_audio.mute()
            await session.input_audio.unmute()
            await session.update(session={"delegation": RESPONSES})
            await speak_to(connection, silence(3_000))
            await until_said(connection, sim, "Good evening!")
            audio = base64.b64encode(speak("Hold the line.")).decode()
            await session.output_audio.fixture.play(audio=audio)
            await speak_to(connection, silence(4_000))
            await until(connection, "session.output_audio.fixture.played")
            await close(connection)

    told = [frame["type"].removeprefix("session.") for frame in sim.sent]
    assert "error" not in told
    for expected in ("instructions", "thinking", "commentary"):
        assert f"{expected}.appended" in told
    assert {"input_audio.muted", "input_audio.unmuted", "updated"} <= {*told}


async def test_both_protocols_are_served() -> None:
    """
    One simulator has sessions of both protocols, and counts the connections of both.
    """
    async with Simulator(SCENARIO) as sim:
        client = CLIENT.with_options(base_url=sim.base_url)
        async with (
            live_session(sim) as live,
            client.realtime.connect(model="gpt-realtime") as realtime,
        ):
            assert (await realtime.recv()).type == "session.created"
            await close(live)

        assert sim.connections == 2
        assert sim.live_url == f"{sim.base_url.replace('http', 'ws', 1)}/live/sessions"


async def test_a_wrong_key_is_refused() -> None:
    """
    The key counts for both protocols.
    """
    async with Simulator(SCENARIO, api_key="right") as sim:
        with pytest.raises(InvalidStatus) as caught:
            async with live_session(sim, key="wrong"):
                pass
        async with live_session(sim, key="right"):
            pass

    assert caught.value.response.status_code == 401
