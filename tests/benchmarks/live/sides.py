"""
The compared sides: each receives the same frames, and calls a handler with each.

* *websockets loop*: ``async for message in socket: handler(message)``. It reads no JSON, and
  nothing on top of websockets can be faster.
* *websockets echo loop*: it also sends each message back.
* *eventbus*: `OpenAIRealtimeModel`, attached to one bus for all sessions, each with a sender of
  its own, and one handler for `RealtimeModelAudioEvent`, which is sync or async.
* *openai-agents, listener*: ``OpenAIRealtimeWebSocketModel``, and a listener that looks for audio.
* *openai-agents, session*: a ``RealtimeSession``, and a loop over its events that calls the
  handlers one after the other.
* *openai SDK*: ``connection.on("response.output_audio.delta", handler)``, and
  ``connection.dispatch_events()`` in a task.

The handler notes that it has started, and that is all. The *slow* handler, where there is one,
wants the same events, and sleeps 200 ms on each; it comes after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

import attrs
import websockets
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from agents.realtime.model import RealtimeModelListener
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from openai import AsyncOpenAI

from eventbus import EventBus
from eventbus.events import RealtimeModelAudioEvent
from eventbus.journal import Recorder
from eventbus.realtime.openai import OpenAIRealtimeModel

from .receiving import Log
from .stamped import FRAME_BYTES, STAMP_BYTES, STAMP_CHARS, STAMP_SLICE

__all__ = ["ECHO", "LIMIT", "OURS", "OURS_ASYNC", "RECORDED_AND_NOT", "SIDES", "Side"]

LIMIT: Final = "websockets loop"
ECHO: Final = "websockets echo loop"
OURS: Final = "eventbus, sync handler"
OURS_ASYNC: Final = "eventbus, async handler"

_Open: TypeAlias = Callable[[str, int, Log, bool], AbstractAsyncContextManager[None]]

_SLOW_S: Final = 0.2
_AUDIO: Final = "response.output_audio.delta"


@attrs.frozen
class Side:
    """
    One of the compared sides.

    Attributes:
        name: Its name in the table.
        open: Connects to a URL with so many sessions, and has the log's handler called in
            each; if told so, a slow one, too.
        has_slow_handler: Whether there can be one.
    """

    name: str
    open: _Open
    has_slow_handler: bool = True


async def _sleep(_event: object) -> None:
    await asyncio.sleep(_SLOW_S)


@contextlib.asynccontextmanager
async def _running(jobs: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loop(*, echo: bool) -> _Open:
    @contextlib.asynccontextmanager
    async def open_loops(url: str, sessions: int, log: Log, slow: bool) -> AsyncIterator[None]:
        assert not slow
        note, clock = log.started.append, perf_counter_ns

        def handler(message: Any) -> None:
            if len(message) == FRAME_BYTES:  # it is audio
                note((clock(), message[STAMP_SLICE]))

        async def receive(socket: Any) -> None:
            async for message in socket:
                handler(message)

        async def receive_and_send(socket: Any) -> None:
            async for message in socket:
                handler(message)
                await socket.send(message)

        sockets = await asyncio.gather(*(websockets.connect(url) for _ in range(sessions)))
        loop = receive_and_send if echo else receive
        async with _running(map(loop, sockets)):
            yield
        await asyncio.gather(*(socket.close() for socket in sockets))

    return open_loops


def _handlers(log: Log) -> tuple[Callable[[Any], None], Callable[[Any], Any]]:
    """Return handlers of an event with data that note their start; a sync and an async one."""
    note, clock = log.started.append, perf_counter_ns

    def on_audio(event: Any) -> None:
        note((clock(), event.data[:STAMP_BYTES]))

    async def on_audio_async(event: Any) -> None:
        note((clock(), event.data[:STAMP_BYTES]))

    return on_audio, on_audio_async


@contextlib.contextmanager
def _recorded(bus: EventBus) -> Iterator[None]:
    # Beside the benchmarks, not in /tmp: that may be in memory.
    with (
        tempfile.TemporaryDirectory(dir=Path(__file__).parents[1]) as folder,
        Recorder(Path(folder) / "all.journal") as recorder,
        recorder.attach(bus),
    ):
        yield


def _ours(*, is_async: bool, is_recorded: bool = False) -> _Open:
    @contextlib.asynccontextmanager
    async def open_models(url: str, sessions: int, log: Log, slow: bool) -> AsyncIterator[None]:
        bus = EventBus()
        with _recorded(bus) if is_recorded else contextlib.nullcontext():
            async with open_on(bus, url, sessions, log, slow):
                yield

    @contextlib.asynccontextmanager
    async def open_on(
        bus: EventBus, url: str, sessions: int, log: Log, slow: bool
    ) -> AsyncIterator[None]:
        bus.subscribe(_handlers(log)[is_async], RealtimeModelAudioEvent)
        if slow:
            bus.subscribe(_sleep, RealtimeModelAudioEvent)
        async with bus:
            models = [OpenAIRealtimeModel(reconnect=None) for _ in range(sessions)]
            for number, model in enumerate(models):
                model.attach(bus, sender=f"call-{number}")
            await asyncio.gather(*(model.connect({"api_key": "-", "url": url}) for model in models))
            yield
            await asyncio.gather(*(model.close() for model in models))
            await bus.aclose(drain=False)  # who sleeps has much to do yet

    return open_models


class _Listener(RealtimeModelListener):
    def __init__(self, handler: Callable[[Any], None]) -> None:
        self._handler = handler

    async def on_event(self, event: Any) -> None:
        if event.type == "audio":
            self._handler(event)


class _SlowListener(RealtimeModelListener):
    async def on_event(self, event: Any) -> None:
        if event.type == "audio":
            await _sleep(event)


@contextlib.asynccontextmanager
async def _agents(url: str, sessions: int, log: Log, slow: bool) -> AsyncIterator[None]:
    models = [OpenAIRealtimeWebSocketModel() for _ in range(sessions)]
    handler, _ = _handlers(log)
    for model in models:
        model.add_listener(_Listener(handler))
        if slow:
            model.add_listener(_SlowListener())
    await asyncio.gather(*(model.connect({"api_key": "-", "url": url}) for model in models))
    yield
    await asyncio.gather(*(model.close() for model in models))


@contextlib.asynccontextmanager
async def _agents_sessions(url: str, sessions: int, log: Log, slow: bool) -> AsyncIterator[None]:
    handler, _ = _handlers(log)

    async def connect() -> RealtimeSession:
        # A runner has one model, and so one session at a time.
        runner = RealtimeRunner(RealtimeAgent(name="agent"), config={"tracing_disabled": True})
        session = await runner.run(model_config={"api_key": "-", "url": url})
        return await session.enter()

    async def receive(session: RealtimeSession) -> None:
        async for event in session:
            if event.type == "audio":
                handler(event.audio)
                if slow:
                    await _sleep(event)

    running = await asyncio.gather(*(connect() for _ in range(sessions)))
    async with _running(map(receive, running)):
        yield
    await asyncio.gather(*(session.close() for session in running))


@contextlib.asynccontextmanager
async def _sdk(url: str, sessions: int, log: Log, slow: bool) -> AsyncIterator[None]:
    note, clock = log.started.append, perf_counter_ns

    def on_audio(event: Any) -> None:
        note((clock(), event.delta[:STAMP_CHARS]))

    async with AsyncOpenAI(
        api_key="-", websocket_base_url=url.removesuffix("/realtime"), base_url="http://localhost"
    ) as client:
        managers = [client.realtime.connect(model="gpt-realtime") for _ in range(sessions)]
        connections = await asyncio.gather(*(manager.enter() for manager in managers))
        for connection in connections:
            connection.on(_AUDIO, on_audio)
            if slow:
                connection.on(_AUDIO, _sleep)
        async with _running(connection.dispatch_events() for connection in connections):
            yield
        await asyncio.gather(*(connection.close() for connection in connections))


SIDES: Final = (
    Side(LIMIT, _loop(echo=False), has_slow_handler=False),
    Side(ECHO, _loop(echo=True), has_slow_handler=False),
    Side(OURS, _ours(is_async=False)),
    Side(OURS_ASYNC, _ours(is_async=True)),
    Side("openai-agents, listener", _agents),
    Side("openai-agents, session", _agents_sessions),
    Side("openai SDK", _sdk),
)

RECORDED_AND_NOT: Final = (
    Side("not recorded", _ours(is_async=False), has_slow_handler=False),
    Side("recorded", _ours(is_async=False, is_recorded=True), has_slow_handler=False),
)
