"""
The openai SDK talks to the simulator as to the service.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from eventbus.simulator import Simulator
from eventbus.simulator.speech import is_synthetic, silence, speak, spoken_text
from eventbus.testing import FakeClock
from tests.simulator.strict import strict_server_event

# One for all: each one made from nothing reads all certificates of the system.
CLIENT = AsyncOpenAI(api_key="none")
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """
    The SDK's connection and the server are of websockets, which runs on asyncio only.
    """
    return "asyncio"


@asynccontextmanager
async def connection_to(sim: Simulator, key: str = "sk-nobody") -> AsyncIterator[Any]:
    """
    Connect; when it is over, every frame of the server has to be one that the SDK accepts.
    """
    client = CLIENT.with_options(base_url=sim.base_url, api_key=key)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        yield connection
    for frame in sim.sent:
        if "mumble" not in frame["type"]:  # which is to be unknown
            strict_server_event(frame)


async def say(connection: AsyncRealtimeConnection, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item: Any = {"type": "message", "role": "user", "content": content}
    await connection.conversation.item.create(item=item)
    await connection.response.create()


async def append(connection: AsyncRealtimeConnection, audio: bytes) -> None:
    for start in range(0, len(audio), 4_800):  # 100 ms each
        piece = base64.b64encode(audio[start : start + 4_800]).decode()
        await connection.input_audio_buffer.append(audio=piece)


async def until(connection: AsyncRealtimeConnection, *types: str) -> list[Any]:
    """
    Return the events up to the one that completes *types*, in this order.
    """
    events, wanted = [], list(types)
    while wanted:
        event = await connection.recv()
        events.append(event)
        if event.type == wanted[0]:
            wanted.pop(0)
    return events


async def test_turn_in_audio():
    """
    A user's message is answered in synthetic speech, and its transcript says the same.
    """
    async with Simulator(speed=math.inf) as sim, connection_to(sim) as connection:
        await say(connection, "Hello")
        events = await until(connection, "response.done")

    sound = b"".join(
        base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta"
    )
    transcript = "".join(
        e.delta for e in events if e.type == "response.output_audio_transcript.delta"
    )
    assert transcript == "You said: Hello"
    assert is_synthetic(sound)
    assert spoken_text(sound) == transcript
    assert events[-1].response.status == "completed"
    assert events[-1].response.usage.output_tokens > 0


async def test_spoken_turn():
    """
    Speech and silence in the input make a turn: heard, transcribed and answered.
    """
    with FakeClock(autojump=True):
        async with Simulator() as sim, connection_to(sim) as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
                }
            )
            await append(connection, silence(500) + speak("Hello there") + silence(700))
            events = await until(connection, "response.done")

    found = {event.type: event for event in events}
    started = found["input_audio_buffer.speech_started"]
    stopped = found["input_audio_buffer.speech_stopped"]
    assert (started.audio_start_ms, stopped.audio_end_ms) == (200, 1_720)
    completed = found["conversation.item.input_audio_transcription.completed"]
    assert completed.transcript == "Hello there"
    assert started.item_id == stopped.item_id == completed.item_id
    assert found["response.output_audio_transcript.done"].transcript == "You said: Hello there"


async def test_tool_call():
    """
    The model calls a tool that it was offered, and speaks of the output that it gets.
    """
    async with Simulator("weather", speed=math.inf) as sim, connection_to(sim) as connection:
        await connection.session.update(session={"type": "realtime", "tools": [WEATHER]})
        await say(connection, "What is the weather in Oslo?")
        events = await until(connection, "response.done")
        call = events[-1].response.output[-1]
        await connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"}
        )
        await connection.response.create()
        events = await until(connection, "response.output_audio_transcript.done", "response.done")

    assert (call.type, call.name) == ("function_call", "get_weather")
    assert json.loads(call.arguments) == {"city": "Oslo"}
    said = {event.type: event for event in events}["response.output_audio_transcript.done"]
    assert said.transcript == "In Oslo, this is the weather: 4 degrees."


async def test_answer_in_text():
    """
    A session with text output gets deltas of text and no audio.
    """
    async with Simulator("text_only", speed=math.inf) as sim, connection_to(sim) as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await say(connection, "Hello")
        events = await until(connection, "response.done")

    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "I answer in writing."
    assert not [event for event in events if "audio" in event.type]


async def test_speech_interrupts_the_answer():
    """
    Speech while the model speaks ends its response, and is answered.
    """
    with FakeClock(autojump=True):
        async with Simulator("barge_in") as sim, connection_to(sim) as connection:
            await say(connection, "Tell me a story")
            before = await until(connection, *["response.output_audio.delta"] * 3)
            await append(connection, speak("Stop it, please") + silence(600))
            after = await until(connection, "response.done")
            item_id = before[-1].item_id
            await connection.conversation.item.truncate(
                item_id=item_id, content_index=0, audio_end_ms=400
            )
            answer = await until(connection, "conversation.item.truncated", "response.done")

    assert [event.type for event in after if "speech" in event.type] == [
        "input_audio_buffer.speech_started"
    ]
    assert after[-1].response.status == "cancelled"
    assert after[-1].response.status_details.reason == "turn_detected"
    assert answer[-1].response.status == "completed"


async def test_cancelled_response():
    """
    After response.cancel there is no more audio, and the response is done, as cancelled.
    """
    with FakeClock(autojump=True):
        async with Simulator("barge_in") as sim, connection_to(sim) as connection:
            await say(connection, "Tell me a story")
            await until(connection, "response.output_audio.delta")
            await connection.response.cancel()
            events = await until(connection, "response.done")

    assert events[-1].response.status_details.reason == "client_cancelled"


async def test_wrong_requests_are_errors_of_the_protocol():
    """
    A wrong request gets an error event with its code and its event's id; the session goes on.
    """
    async with Simulator(speed=math.inf) as sim, connection_to(sim) as connection:
        await until(connection, "session.created")
        await connection.response.cancel(event_id="cancel")
        await connection.conversation.item.delete(item_id="nowhere", event_id="delete")
        await connection.send({"type": "no.such.type", "event_id": "type"})  # type: ignore[arg-type]
        errors = await until(connection, "error", "error", "error")
        await say(connection, "Hello")
        await until(connection, "response.done")

    assert [event.error.event_id for event in errors] == ["cancel", "delete", "type"]
    assert [event.error.code for event in errors] == [
        "response_cancel_not_active",
        "item_delete_invalid_item_id",
        "invalid_value",
    ]


async def test_second_response_is_refused():
    """
    While a response goes on, another response.create is an error.
    """
    with FakeClock(autojump=True):
        async with Simulator("barge_in") as sim, connection_to(sim) as connection:
            await connection.response.create()
            await connection.response.create()
            events = await until(connection, "error")

    assert events[-1].error.code == "conversation_already_has_active_response"


async def test_wrong_key_is_refused():
    """
    With a key of the simulator's, another one gets HTTP 401.
    """
    async with Simulator(api_key="sk-right", speed=math.inf) as sim:
        async with connection_to(sim, "sk-right") as connection:
            await until(connection, "session.created")
        with pytest.raises(InvalidStatus) as caught:
            async with connection_to(sim, "sk-wrong"):
                pass

    assert caught.value.response.status_code == 401


# --- faults ----------------------------------------------------------------------------------


async def events_with(faults: str, *types: str) -> list[Any]:
    """
    Return the events of a session with *faults*, up to the one that completes *types*.
    """
    with FakeClock(autojump=True):
        async with Simulator(faults=faults) as sim, connection_to(sim) as connection:
            await say(connection, "Hello")
            return await until(connection, *types)


@pytest.mark.parametrize(("fault", "code"), [("drop", None), ("close=4000", 4_000)])
async def test_connection_ends_in_the_middle(fault, code):
    """
    Some audio has come; then the connection ends, without a close frame or with that code.
    """
    async with Simulator(speed=math.inf, faults=fault) as sim, connection_to(sim) as connection:
        await say(connection, "Hello")
        with pytest.raises(ConnectionClosedError) as caught:
            await until(connection, "response.done")

    assert (caught.value.rcvd.code if caught.value.rcvd else None) == code
    assert strict_server_event(sim.sent[-1]).type == "response.output_audio.delta"


async def test_connection_is_refused_once():
    """
    The first handshake gets the HTTP status, the second succeeds.
    """
    async with Simulator(speed=math.inf, faults="refuse=429") as sim:
        with pytest.raises(InvalidStatus) as caught:
            async with connection_to(sim):
                pass
        async with connection_to(sim) as connection:
            await until(connection, "session.created")

    assert caught.value.response.status_code == 429


async def test_malformed_frame_does_not_end_the_session():
    """
    The SDK can't parse one frame, and gets the rest.
    """
    async with (
        Simulator(speed=math.inf, faults="malformed") as sim,
        connection_to(sim) as connection,
    ):
        await say(connection, "Hello")
        with pytest.raises(json.JSONDecodeError):
            await until(connection, "response.done")
        await until(connection, "response.done")


@pytest.mark.parametrize(
    ("fault", "type_"), [("unknown", "response.mumble.delta"), ("error=overloaded", "error")]
)
async def test_strange_event_comes_between(fault, type_):
    """
    It comes after audio, and the response goes on.
    """
    events = await events_with(fault, "response.output_audio.delta", type_, "response.done")

    assert events[-1].response.status == "completed"


async def test_stall_lasts_as_long_as_it_says():
    """
    With a stall of a minute, the answer takes a minute longer.
    """
    with FakeClock(autojump=True) as clock:
        async with Simulator(faults="stall=60s") as sim, connection_to(sim) as connection:
            await say(connection, "Hello")
            await until(connection, "response.done")
            first = clock.now
            await say(connection, "Hello")
            await until(connection, "response.done")

    assert first - (clock.now - first) == pytest.approx(60, abs=0.5)


async def test_audio_comes_twice():
    """
    Every piece is followed by itself.
    """
    events = await events_with("duplicate-audio", "response.done")
    pieces = [event.delta for event in events if event.type == "response.output_audio.delta"]

    assert len(pieces) > 2
    assert pieces[::2] == pieces[1::2]


async def test_audio_comes_late():
    """
    A piece comes once more after response.done.
    """
    events = await events_with("late-audio", "response.done", "response.output_audio.delta")

    assert events[-1].delta in [getattr(event, "delta", None) for event in events[:-1]]


async def test_response_without_its_end():
    """
    The response is over for the server, which takes the next one, and not for the client.
    """
    async with (
        Simulator(speed=math.inf, faults="no-done") as sim,
        connection_to(sim) as connection,
    ):
        await say(connection, "Hello")
        await until(connection, "response.output_item.done")
        await say(connection, "Hello?")
        events = await until(connection, "response.created", "response.done")

    assert [event.type for event in events].count("response.done") == 1


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("fail=rate_limit_exceeded", "failed", "rate_limit_exceeded"),
        ("incomplete=content_filter", "incomplete", "content_filter"),
    ],
)
async def test_response_does_not_end_well(fault, status, reason):
    """
    Its status has the code or the reason that was asked for.
    """
    events = await events_with(fault, "response.done")
    response = events[-1].response

    assert response.status == status
    details = response.status_details
    assert reason in {details.reason, details.error.code if details.error else None}


async def test_transcription_fails():
    """
    The caller's audio gets no transcript but a failure, and is answered all the same.
    """
    with FakeClock(autojump=True):
        async with Simulator(faults="no-transcript") as sim, connection_to(sim) as connection:
            transcription: Any = {"model": "whisper-1"}
            await connection.session.update(
                session={"type": "realtime", "audio": {"input": {"transcription": transcription}}}
            )
            await append(connection, speak("Hello") + silence(700))
            events = await until(connection, "response.done")

    types = [event.type for event in events]
    assert "conversation.item.input_audio_transcription.failed" in types
    assert "conversation.item.input_audio_transcription.completed" not in types
