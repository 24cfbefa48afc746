"""
google-genai, Google's own client, through the proxy: its calls are recorded and measured.

The service is not the simulator, which doesn't speak this protocol: it sends the frames of a
recorded session, of the project's own making, when the client has said something.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import warnings
from pathlib import Path

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.audio import AudioFormat
from eventbus.events import RealtimeModelEndOfStreamEvent
from eventbus.journal import Recorder, SentRecord, open_journal
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.replay import replay
from eventbus.simulator.speech import speak
from eventbus.testing import capture
from tests.clients.conftest import SECONDS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own
    genai = pytest.importorskip("google.genai")
    from google.genai import types

DATA = Path(__file__).parents[1] / "data"
SPOKEN = (DATA / "gemini_audio_turn.jsonl").read_bytes().splitlines()
CALL = b'{"toolCall":{"functionCalls":[{"name":"weather","args":{"city":"Oslo"},"id":"c1"}]}}'
KEY = "genai-client-test-0123456789"
RATE = AudioFormat(rate=16_000)
SETTINGS = {"response_modalities": ["AUDIO"]}


@contextlib.asynccontextmanager
async def proxied(tmp_path, monkeypatch, frames, asks):
    """
    A session of the client, which speaks nothing but TLS, through a proxy that is recorded.

    The service sends the first of the *frames* after the set-up, and after each message with one
    of the fields *asks* the next ones, up to the end of a turn or a tool call. Gives the client's
    session, the bus's events, the messages that came to the service, and the journal's path.
    """
    received = []
    path = tmp_path / "gemini.journal"

    async def answer(connection):
        left = iter(frames)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                received.append(json.loads(message))
                if "setup" in received[-1]:
                    await connection.send(next(left))
                elif any(f'"{field}"' in message for field in asks):
                    for frame in left:
                        await connection.send(frame)
                        if b'"turnComplete"' in frame or b'"toolCall"' in frame:
                            break

    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(answer, "127.0.0.1", 0))
        bus = await stack.enter_async_context(EventBus())
        stack.enter_context(stack.enter_context(Recorder(path)).attach(bus))
        seen = stack.enter_context(capture(bus))
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        proxy = await stack.enter_async_context(RealtimeProxy(url, bus, tls=True))
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.ca_file))
        options = types.HttpOptions(base_url=f"https://127.0.0.1:{proxy.port}")
        client = genai.Client(api_key=KEY, http_options=options)
        async with client.aio.live.connect(model="gemini-live", config=SETTINGS) as session:
            yield session, seen, received, path
        await seen.wait_for(RealtimeModelEndOfStreamEvent, timeout=SECONDS)


async def answer_to(session):
    """
    Return the messages of a turn, as the client has them.
    """
    async with asyncio.timeout(SECONDS):
        return [message async for message in session.receive()]


async def call_in(path, received):
    """
    Return the figures of the recorded call: it is complete, has no key, and replays exactly.
    """
    sent = [record for record in open_journal(path) if type(record) is SentRecord]
    assert [record.message for record in sent] == received
    assert KEY.encode() not in path.read_bytes()
    async with EventBus() as bus:
        report = await replay(path, bus, speed=math.inf, strict=True)
    assert (report.unreadable, report.published > 0) == (0, True)
    (call,) = measure(open_journal(path)).calls
    return call


async def test_audio(tmp_path, monkeypatch):
    """
    The caller's speech is known with its length, and the client and the bus hear the same answer.
    """
    speech = speak("Is my cake ready?", audio_format=RATE)
    story = proxied(tmp_path, monkeypatch, SPOKEN, ["audioStreamEnd"])
    async with story as (session, seen, received, path):
        for start in range(0, len(speech), 640):
            piece = types.Blob(data=speech[start : start + 640], mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=piece)
        await session.send_realtime_input(audio_stream_end=True)
        messages = await answer_to(session)

    events = seen.events
    audio = b"".join(event.data for event in events if event.type == "audio")
    assert audio == b"".join(message.data or b"" for message in messages) != b""
    (turn,) = (await call_in(path, received)).turns
    assert (turn.kind, turn.is_estimated) == ("speech", False)
    sent = [record for record in open_journal(path) if type(record) is SentRecord]
    assert sum(record.audio_bytes or 0 for record in sent) == len(speech)


async def test_tool_round(tmp_path, monkeypatch):
    """
    A text is answered by a call of a tool, and the client's answer to that is told.
    """
    asks = ["client_content", "tool_response"]
    story = proxied(tmp_path, monkeypatch, [SPOKEN[0], CALL, *SPOKEN[1:]], asks)
    async with story as (session, seen, received, path):
        turn = types.Content(role="user", parts=[types.Part(text="How is the weather?")])
        await session.send_client_content(turns=turn, turn_complete=True)
        async with asyncio.timeout(SECONDS):
            async for message in session.receive():
                if message.tool_call is not None:
                    break
        (call,) = message.tool_call.function_calls
        answer = types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"})
        await session.send_tool_response(function_responses=[answer])
        await answer_to(session)

    (event,) = [event for event in seen.events if event.type == "function_call"]
    assert (event.name, event.call_id) == (call.name, call.id)
    measured = await call_in(path, received)
    assert [turn.kind for turn in measured.turns] == ["text"]
    (tool,) = measured.tool_calls
    assert (tool.name, tool.call_id, tool.time_ms is not None) == (call.name, call.id, True)
