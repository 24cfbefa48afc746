"""
Send the user's audio: from a piece of it to the frame that the socket is given.

Several sessions send one piece each at a time, as microphones do; then the event loop has its
turn, and all of them are with the socket. The socket takes the frame and does nothing with it.

* *eventbus*: ``RealtimeSession.send_audio``, which keeps the last two seconds for a session that
  has to follow, and queues the frame for the task that writes.
* *openai-agents*: ``OpenAIRealtimeWebSocketModel.send_event``, which its session calls.
* *openai SDK*: ``connection.input_audio_buffer.append``, and the base64, which it leaves to the
  caller.
* *base64*: the lower bound, which puts the frame together and awaits the socket.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, Final

import pybase64
from agents.realtime.model_inputs import RealtimeModelSendAudio
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from measuring import Comparison, Effort, Side, compare
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

from eventbus import EventBus
from eventbus.realtime import RealtimeModel, RealtimeSession
from eventbus.realtime.events import RealtimeModelRawClientEvent
from eventbus.realtime.openai import GPTLiveModel, OpenAIRealtimeModel

__all__ = ["AGENTS", "LIMIT", "OURS", "SDK", "VARIANTS", "send_audio"]

OURS: Final = "eventbus"
LIMIT: Final = "base64"
AGENTS: Final = "openai-agents"
SDK: Final = "openai SDK"
GPT_LIVE: Final = "eventbus, GPT-Live"
PUBLISHED: Final = "eventbus, published, too"
VARIANTS: Final = (GPT_LIVE, PUBLISHED)

_BYTES_PER_MS: Final = 48  # signed 16-bit samples at 24 kHz
_PIECES: Final = 16
_SESSIONS: Final = 20

_Send = Callable[[bytes], Awaitable[object]]

_AUDIO_FORMAT: Final = {"format": {"type": "audio/pcm", "rate": 24_000}}
_BEGUN: Final = {
    False: {
        "type": "session.created",
        "session": {"type": "realtime", "id": "sess_1", "audio": {"input": _AUDIO_FORMAT}},
    },
    True: {
        "type": "session.started",
        "session": {"id": "live_sess_1", "model": "gpt-live-1", "audio": _AUDIO_FORMAT},
    },
}


class _Socket:
    """A socket that takes frames, and counts them."""

    def __init__(self) -> None:
        self.taken = 0

    async def send(self, frame: object, text: bool | None = None) -> None:
        self.taken += 1


class _Connection(ClientConnection):
    """A connection whose frames of audio end here."""

    taken = 0

    async def send(self, message: Any, text: bool | None = None) -> None:
        if b"_audio" not in message[:40]:  # the settings
            await super().send(message, text=True)
        self.taken += 1


async def _answer(connection: ServerConnection) -> None:
    """Begin a session, and send nothing more."""
    is_live = connection.request is not None and "/live" in connection.request.path
    await connection.send(json.dumps({"event_id": "event_1", **_BEGUN[is_live]}))
    await connection.wait_closed()


def _model(connections: list[_Connection], *, is_live: bool) -> RealtimeModel:
    def create(*args: Any, **kwargs: Any) -> _Connection:
        connections.append(_Connection(*args, **kwargs))
        return connections[-1]

    options = {"create_connection": create}
    if is_live:
        return GPTLiveModel(idle_audio=False, websocket_options=options)
    return OpenAIRealtimeModel(websocket_options=options)


@contextlib.asynccontextmanager
async def _ours(url: str, name: str, pieces: Sequence[bytes]) -> AsyncIterator[Side]:
    is_live = name == GPT_LIVE
    url += "/v1/live/sessions" if is_live else "/v1/realtime"
    connections: list[_Connection] = []
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(EventBus())
        if name == PUBLISHED:
            bus.subscribe(lambda _event: None, RealtimeModelRawClientEvent)
        sends: list[_Send] = []
        for number in range(_SESSIONS):
            model = _model(connections, is_live=is_live)
            session = RealtimeSession(
                model,
                bus,
                sender=f"call-{number}",
                config={"api_key": "-", "url": url},
                publish_sent=name == PUBLISHED,
            )
            await stack.enter_async_context(session)
            sends.append(session.send_audio)
        yield _side(name, sends, pieces, lambda: sum(each.taken for each in connections))


def _agents(socket: _Socket) -> _Send:
    model = OpenAIRealtimeWebSocketModel()
    model._websocket = socket  # type: ignore[assignment]  # it stands in for one

    async def send(piece: bytes) -> None:
        await model.send_event(RealtimeModelSendAudio(piece))

    return send


def _sdk(socket: _Socket) -> _Send:
    connection = AsyncRealtimeConnection(socket)  # type: ignore[arg-type]  # it stands in for one

    async def send(piece: bytes) -> None:
        audio = base64.b64encode(piece).decode()
        await connection.input_audio_buffer.append(audio=audio)

    return send


def _limit(socket: _Socket) -> _Send:
    encode = pybase64.b64encode

    async def send(piece: bytes) -> None:
        frame = b'{"type":"input_audio_buffer.append","audio":"' + encode(piece) + b'"}'
        await socket.send(frame, text=True)

    return send


def _side(
    name: str, sends: Sequence[_Send], pieces: Sequence[bytes], taken: Callable[[], int]
) -> Side:
    async def measure(units: int) -> float:
        before, start = taken(), perf_counter()
        for number in range(units // len(sends)):
            piece = pieces[number % len(pieces)]
            for send in sends:
                await send(piece)
            await asyncio.sleep(0)
        seconds = perf_counter() - start
        assert taken() - before == units
        return seconds

    return Side(name, measure, len(sends))


async def send_audio(length_ms: int, effort: Effort) -> Comparison:
    """Compare the ways from pieces of audio, so many milliseconds each, to the socket."""
    noise = random.Random(960)  # the same audio in every run
    pieces = [noise.randbytes(length_ms * _BYTES_PER_MS) for _ in range(_PIECES)]
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(_answer, "127.0.0.1", 0))
        port = next(iter(server.sockets)).getsockname()[1]
        sides = []
        for name in (OURS, *VARIANTS):
            ours = _ours(f"ws://127.0.0.1:{port}", name, pieces)
            sides.append(await stack.enter_async_context(ours))
        for name, make in ((LIMIT, _limit), (AGENTS, _agents), (SDK, _sdk)):
            sockets = [_Socket() for _ in range(_SESSIONS)]
            sends = [make(socket) for socket in sockets]
            sides.append(_side(name, sends, pieces, lambda s=sockets: sum(e.taken for e in s)))
        return await compare(sides, effort)
