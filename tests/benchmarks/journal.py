"""
The cost of a journal: appending, reading back, seeking, and recording 200 sessions.

The limit of appending is a loop of ``write`` with the same bytes, and the same fsync policy: it
numbers nothing, takes no time, and writes no checksum. That of reading is the least code that gives
each record's kind, number, time of day, session and fields: as the reader in the documentation of
the format, it checks each batch and decodes it as plain data. A loop that goes from batch to batch
and decodes nothing stands beside it. Records have 1 kB.

The sessions are websockets to another process, which sends the frames of a service while the model
speaks: every 20 ms a frame, a transcript delta after ten deltas of audio. The audio goes to an
async handler, the transcript to a sync one. A session is nothing but a decoder, or a live session.
The processor time of the process is compared, from the request for the frames until all are
handled, and recorded: all that recording costs is in it, the thread that syncs too, and the rest
of the machine is not. An observer that does nothing shows the price of being told. Beside
it stands the loop's lag: how much later than asked for a task that sleeps 5 ms goes on.

As many live sessions talk with the project's own simulator, in another process too: each sends a
text and gets a spoken answer in real time, with all the frames that belong to one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from struct import Struct
from time import perf_counter, process_time
from typing import Any, Final, TypeAlias
from zlib import crc32

import attrs
from anyio.lowlevel import checkpoint
from measuring import QUICK, Comparison, Effort, Side, compare
from msgspec import msgpack
from websockets.asyncio.client import ClientConnection, connect

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelTranscriptDeltaEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.journal import FrameRecord, JournalWriter, Recorder, open_journal
from eventbus.journal._format import FILE_HEADER_BYTES
from eventbus.realtime import RealtimeModelConfig, RealtimeModelSendRawMessage, RealtimeSession
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.wire.openai import OpenAIRealtimeDecoder

__all__ = [
    "BATCHES",
    "EACH",
    "INSPECTED",
    "LARGE",
    "LIMIT",
    "NOT_RECORDED",
    "NO_AUDIO",
    "NO_CONTENT",
    "OBSERVED",
    "OURS",
    "PLAIN",
    "POLICIES",
    "RECORDED",
    "REDACTED",
    "SESSIONS",
    "SMALL",
    "WITH_PAGE",
    "append",
    "read",
    "record_sessions",
    "record_simulated",
    "seek",
]

OURS: Final = "eventbus"
LIMIT: Final = "bare loop"
PLAIN: Final = "plain reader"
BATCHES: Final = "no record looked into"
RECORDED: Final = "recorded"
EACH: Final = "a journal each"
INSPECTED: Final = "inspected"
WITH_PAGE: Final = "with a page open"
NO_AUDIO: Final = "without audio"
NO_CONTENT: Final = "without content"
REDACTED: Final = "a field redacted"
OBSERVED: Final = "only observed"
NOT_RECORDED: Final = "not recorded"
SMALL: Final = "1 MB"
LARGE: Final = "1 GB"
POLICIES: Final = ("none", "interval", "group", "every")

Ask: TypeAlias = Callable[[int, float], Awaitable[None]]
"""
Lets the service send each session so many frames, one every so many seconds.
"""

_UNPACK: Final = Struct("<8sII").unpack_from
_DATA: Final = os.urandom(960)
_BATCH: Final = 64  # records in one tick of a busy loop
_SESSIONS: Final = 200
_FRAMES: Final = 55  # that a session takes before it ends
_EVERY_S: Final = 0.02
_LAG_S: Final = 0.005
_ANSWERS: Final = """\
pace: {generation_speed: 1}
otherwise: Each word of this is spoken at its own time.
"""


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Beside the benchmarks, not in /tmp: that may be in memory.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        yield Path(folder)


# --- appending -------------------------------------------------------------------------------


def _our_appends(folder: Path, policy: str) -> Side:
    numbers = itertools.count()

    async def measure(units: int) -> float:
        path = folder / f"{next(numbers)}.journal"
        writer = JournalWriter(path, fsync=policy)
        start = perf_counter()
        for _ in range(units // _BATCH):
            for _ in range(_BATCH):
                writer.append(FrameRecord.kind, "call-1", 0, _DATA)
            writer.flush()
        writer.sync()
        seconds = perf_counter() - start
        writer.close()
        path.unlink()
        return seconds

    return Side(OURS, measure, _BATCH)


def _bare_writes(folder: Path, policy: str) -> Side:
    numbers = itertools.count()
    record = os.urandom(len(_DATA) + 55)

    async def measure(units: int) -> float:
        path = folder / f"{next(numbers)}.bytes"
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        start = synced = perf_counter()
        for number in range(units):
            os.write(fd, record)
            if policy == "every" or (policy == "group" and not number % _BATCH):
                os.fsync(fd)
            elif policy == "interval" and perf_counter() - synced > 0.05:
                os.fsync(fd)
                synced = perf_counter()
        if policy != "none":
            os.fsync(fd)
        seconds = perf_counter() - start
        os.close(fd)
        path.unlink()
        return seconds

    return Side(LIMIT, measure, _BATCH)


async def append(policy: str, effort: Effort) -> Comparison:
    """Compare appending with that fsync policy."""
    with _folder() as folder:
        return await compare([_our_appends(folder, policy), _bare_writes(folder, policy)], effort)


# --- reading ---------------------------------------------------------------------------------


def _write(path: Path, records: int, data: bytes = _DATA) -> None:
    with JournalWriter(path, fsync="none", segment_bytes=1 << 40) as writer:
        for number in range(records):
            writer.append(FrameRecord.kind, "call-1", 0, data)
            if not number % _BATCH:
                writer.flush()


async def read(effort: Effort) -> Comparison:
    """Compare reading a journal of ten thousand records."""
    unpack = _UNPACK

    async def ours(units: int) -> float:
        start = perf_counter()
        for _ in range(units // effort.scale):
            for record in open_journal(path):
                record  # noqa: B018  # what a reader does next is its own business
        return perf_counter() - start

    async def plain(units: int) -> float:
        start = perf_counter()
        for _ in range(units // effort.scale):
            for record in _plain_records(path.read_bytes()):
                record  # noqa: B018  # as above
        return perf_counter() - start

    async def bare(units: int) -> float:
        start = perf_counter()
        for _ in range(units // effort.scale):
            data, place = path.read_bytes(), FILE_HEADER_BYTES
            while place < len(data):
                _, length, _ = unpack(data, place)
                end = place + 16 + length
                crc32(data[place + 16 : end])
                place = end
        return perf_counter() - start

    with _folder() as folder:
        path = folder / "call.journal"
        _write(path, effort.scale)
        sides = [
            Side(OURS, ours, effort.scale),
            Side(PLAIN, plain, effort.scale),
            Side(BATCHES, bare, effort.scale),
        ]
        return await compare(sides, effort)


def _plain_records(data: bytes) -> Iterator[tuple[Any, ...]]:
    """Yield kind, number, time of day, session and fields of the records of one segment."""
    place, names = FILE_HEADER_BYTES, {}
    while place < len(data):
        _, length, checksum = _UNPACK(data, place)
        end = place + 16 + length
        payload = data[place + 16 : end]
        if crc32(payload) ^ (end & 0xFFFFFFFF) != checksum:
            raise ValueError(place)
        _, mono_ns, wall_ns, _, new_names, records = msgpack.decode(payload)
        names.update(new_names)
        for kind, seq, made_ns, stream, _, *fields in records:
            sender = names[stream][0] if stream else None
            yield kind, seq, wall_ns + made_ns - mono_ns, sender, fields
        place = end


async def seek(effort: Effort) -> Comparison:
    """Compare opening and seeking in a journal of a megabyte, and in one of a gigabyte."""

    def side(name: str, path: Path, records: int) -> Side:
        wanted = itertools.cycle(range(1, records, 7))

        async def measure(units: int) -> float:
            start = perf_counter()
            for _ in range(units):
                next(iter(open_journal(path).seek(seq=next(wanted))))
            return perf_counter() - start

        return Side(name, measure)

    with _folder() as folder:
        small, large = folder / "small.journal", folder / "large.journal"
        _write(small, 100, bytes(10_000))
        _write(large, 10 * effort.scale, bytes(10_000))
        sides = [side(SMALL, small, 100), side(LARGE, large, 10 * effort.scale)]
        return await compare(sides, effort)


# --- recording -------------------------------------------------------------------------------


def _frames() -> list[str]:
    ids = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    audio = base64.b64encode(_DATA).decode()
    kinds = [("response.output_audio.delta", audio)] * 10
    kinds += [("response.output_audio_transcript.delta", " hello")]
    return [
        json.dumps({"type": kind, "event_id": f"event_{n}", **ids, "delta": delta})
        for n, (kind, delta) in enumerate(kinds)
    ]


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[str]:
    frames = folder / "frames.jsonl"
    frames.write_text("\n".join(_frames()), "utf-8")
    script = Path(__file__).with_name("sessions_server.py")
    with subprocess.Popen([sys.executable, script, frames], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield f"ws://127.0.0.1:{port}"
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def _decoders(url: str, sessions: int, bus: EventBus) -> AsyncIterator[Ask]:
    """Open so many sessions that decode and publish, and nothing else."""

    async def receive(socket: ClientConnection, name: str) -> None:
        decoder = OpenAIRealtimeDecoder()
        while True:
            decoder.publish_to(bus, await socket.recv(decode=False), sender=name)

    async with contextlib.AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(connect(url, compression=None, max_queue=None))
            for _ in range(sessions)
        ]
        tasks = [
            asyncio.create_task(receive(socket, f"call-{number}"))
            for number, socket in enumerate(sockets)
        ]

        async def ask(frames: int, every_s: float) -> None:
            for socket in sockets:
                await socket.send(json.dumps({"frames": frames, "every_s": every_s}))

        yield ask
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _live(url: str, sessions: int, bus: EventBus) -> AsyncIterator[Ask]:
    """Open so many live sessions, each with its history, its playback and its queue of wishes."""
    config: RealtimeModelConfig = {"api_key": "-", "url": url}
    async with contextlib.AsyncExitStack() as stack:
        models = [OpenAIRealtimeModel(reconnect=None) for _ in range(sessions)]
        for number, model in enumerate(models):
            session = RealtimeSession(model, bus, sender=f"call-{number}", config=config)
            await stack.enter_async_context(session)

        async def ask(frames: int, every_s: float) -> None:
            wish = {"frames": frames, "every_s": every_s}
            message = {"type": "frames", "other_data": wish}
            for model in models:
                await model.send_event(RealtimeModelSendRawMessage(message))

        yield ask


SESSIONS: Final = {"decoder": _decoders, "live": _live}
"""
What takes the frames, by name.
"""


def _handling(frames: int) -> tuple[EventBus, asyncio.Event]:
    """Return a bus with handlers, and an event, set after their events of so many frames."""
    bus = EventBus()
    is_done = asyncio.Event()
    missing = frames

    def count() -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            is_done.set()

    @bus.on(RealtimeModelAudioEvent)
    async def play(event: RealtimeModelAudioEvent) -> None:
        count()

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def show(event: RealtimeModelTranscriptDeltaEvent) -> None:
        count()

    return bus, is_done


class _Blind:
    """Observes, and that is all."""

    def event_published(self, event: object, sender: object, sequence: int, /) -> None: ...

    def handler_started(self, call: object, /) -> None: ...

    def handler_finished(self, call: object, /) -> None: ...

    def events_dropped(self, dropped: object, /) -> None: ...


Watch: TypeAlias = Callable[
    [EventBus, Path], AbstractContextManager[Callable[[], Awaitable[object]]]
]
"""
Watches a bus while it is entered; what it gives is awaited when all frames have been handled.
"""


def _recording(*, each: bool = False, **options: Any) -> Watch:
    """Return a recorder into one journal, or one for each session, with these options."""

    @contextlib.contextmanager
    def record(bus: EventBus, path: Path) -> Iterator[Callable[[], Awaitable[object]]]:
        folder = path.with_suffix("")
        folder.mkdir()
        name = "{sender}.journal" if each else "all.journal"
        with Recorder(folder / name, **options) as recorder, recorder.attach(bus):
            yield recorder.flush

    return record


@contextlib.contextmanager
def _inspect(bus: EventBus, _: Path) -> Iterator[Callable[[], Awaitable[object]]]:
    """Show the bus in a browser that isn't there: nobody looks at it."""
    with bus.inspect(port=0):
        yield checkpoint


@contextlib.contextmanager
def _look(bus: EventBus, _: Path) -> Iterator[Callable[[], Awaitable[object]]]:
    """Show the bus on a page, which follows one of its calls, until it has seen all records."""
    script = Path(__file__).with_name("looking.py")
    with bus.inspect(port=0) as inspector:
        recorder, (view,) = inspector._recorder, inspector._views

        async def finish() -> None:
            await recorder.flush()
            while view.last_seq < recorder.last_seq:  # noqa: ASYNC110  # of another thread
                await asyncio.sleep(_LAG_S)

        command = [sys.executable, script, inspector.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield finish
            finally:
                process.kill()


@contextlib.contextmanager
def _observe(bus: EventBus, _: Path) -> Iterator[Callable[[], Awaitable[object]]]:
    with bus.observe(_Blind()):
        yield checkpoint


@contextlib.contextmanager
def _leave(_bus: EventBus, _: Path) -> Iterator[Callable[[], Awaitable[object]]]:
    yield checkpoint


async def _note_lags(lags: list[float]) -> None:
    """Note how much later than asked for this task goes on, again and again."""
    while True:
        begun = perf_counter()
        await asyncio.sleep(_LAG_S)
        lags.append(perf_counter() - begun - _LAG_S)


async def record_sessions(kind: str, effort: Effort) -> tuple[Comparison, Comparison]:
    """
    Compare 200 sessions that are recorded with such as are only observed, or neither.

    Returns:
        The processor time of a frame, and the 99th percentile of the loop's lag.
    """
    numbers = itertools.count()
    sessions = min(_SESSIONS, effort.scale // 20)
    every_s = 0.0 if effort is QUICK else _EVERY_S
    lags: dict[str, list[float]] = {}

    def side(name: str, watch: Watch) -> Side:
        async def measure(units: int) -> float:
            frames = units // sessions
            bus, is_done = _handling(sessions * frames)
            path = folder / f"{next(numbers)}.journal"
            with watch(bus, path) as finish:
                async with bus, SESSIONS[kind](url, sessions, bus) as ask:
                    noted: list[float] = []
                    noting = asyncio.create_task(_note_lags(noted))
                    start = process_time()
                    await ask(frames, every_s)
                    await is_done.wait()
                    await finish()
                    took = process_time() - start
                    noting.cancel()
                    lags.setdefault(name, []).append(_percentile_99(noted))
                    return took

        return Side(name, measure, sessions * _FRAMES)

    with _folder() as folder, _service(folder) as url:
        sides = [
            side(RECORDED, _recording()),
            side(EACH, _recording(each=True)),
            side(INSPECTED, _inspect),
            side(WITH_PAGE, _look),
            side(NO_AUDIO, _recording(audio=False)),
            side(NO_CONTENT, _recording(content=False)),
            side(REDACTED, _recording(redact=["phone_number"])),
            side(OBSERVED, _observe),
            side(NOT_RECORDED, _leave),
        ]
        comparison = await compare(sides, effort)
    rounds = len(comparison.seconds[RECORDED])
    # The first ones are of the warm-up.
    return comparison, Comparison({name: tuple(each[-rounds:]) for name, each in lags.items()})


@contextlib.contextmanager
def _simulator(folder: Path) -> Iterator[str]:
    scenario = folder / "answers.yaml"
    scenario.write_text(_ANSWERS, "utf-8")
    command = [sys.executable, "-m", "eventbus", "sim", str(scenario), "--port", "0", "--json"]
    pipe, devnull = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdout=pipe, stderr=devnull) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        try:
            yield f"{address['url'].replace('http', 'ws', 1)}/realtime?model=gpt-realtime"
        finally:
            process.kill()


async def record_simulated(effort: Effort) -> tuple[Comparison, Comparison]:
    """
    Compare 200 sessions with the simulator that are recorded with such as are not.

    Returns:
        The processor time of an answer, and the 99th percentile of the loop's lag.
    """
    numbers = itertools.count()
    sessions = min(_SESSIONS, effort.scale // 20)
    lags: dict[str, list[float]] = {}

    def side(name: str, watch: Watch) -> Side:
        async def measure(units: int) -> float:
            bus, is_done, missing = EventBus(), asyncio.Event(), units
            bus.on(RealtimeModelAudioEvent)(_play)

            @bus.on(RealtimeModelTurnEndedEvent)
            def end(event: RealtimeModelTurnEndedEvent) -> None:
                nonlocal missing
                missing -= 1
                if not missing % sessions:
                    is_done.set()

            path = folder / f"{next(numbers)}.journal"
            with watch(bus, path) as finish:
                async with bus, contextlib.AsyncExitStack() as stack:
                    opened = []
                    for number in range(sessions):
                        model = OpenAIRealtimeModel(reconnect=None)
                        config: RealtimeModelConfig = {"api_key": "-", "url": url}
                        session = RealtimeSession(
                            model, bus, sender=f"call-{number}", config=config
                        )
                        opened.append(await stack.enter_async_context(session))
                    noted: list[float] = []
                    noting = asyncio.create_task(_note_lags(noted))
                    start = process_time()
                    for _ in range(units // sessions):
                        is_done.clear()
                        for session in opened:
                            await session.send_message("Hello")
                        await is_done.wait()
                    await finish()
                    took = process_time() - start
                    noting.cancel()
                    lags.setdefault(name, []).append(_percentile_99(noted))
            return took

        return Side(name, measure, sessions)

    with _folder() as folder, _simulator(folder) as url:
        sides = [
            side(RECORDED, _recording()),
            side(EACH, _recording(each=True)),
            side(NOT_RECORDED, _leave),
        ]
        # An answer takes seconds, and no side more of them than the others.
        effort = attrs.evolve(effort, rounds=min(effort.rounds, 3), tries=1)
        comparison = await compare(sides, effort)
    rounds = len(comparison.seconds[RECORDED])
    return comparison, Comparison({name: tuple(each[-rounds:]) for name, each in lags.items()})


async def _play(event: RealtimeModelAudioEvent) -> None:
    """Do nothing with the audio, like the handlers of the other sessions."""


def _percentile_99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100] if values else _LAG_S


# What the benchmark of bridges takes from here, too.
SESSION_COUNT: Final = _SESSIONS
FRAMES_OF_A_SESSION: Final = _FRAMES
folder = _folder
service = _service
handling = _handling
