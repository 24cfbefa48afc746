"""
A live session handles the frames of its model in one step where nothing sees their raw events, and
one event after the other where something does: nobody can tell the difference.

In virtual time, against a service that sends recorded frames.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import anyio
import attrs
import pytest

from eventbus import EventBus
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelRawServerEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDeltaEvent,
)
from eventbus.journal import FrameRecord, Recorder, open_journal
from eventbus.realtime import RealtimeModelListener, RealtimeSession
from eventbus.realtime.events import (
    RealtimeAudio,
    RealtimeHistoryAdded,
    RealtimeRawModelEvent,
    RealtimeToolStart,
)
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.replay import check_decoder
from eventbus.testing import FakeClock
from tests.realtime.scripted_server import scripted_server
from tests.support import Ping

DATA = Path(__file__).parents[1] / "data"
SENDER = "call-1"
LAST = json.dumps(
    {
        "type": "input_audio_buffer.timeout_triggered",
        "item_id": "last",
        "audio_start_ms": 0,
        "audio_end_ms": 1,
    }
)
AUDIO = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
CREATED = '{"type": "session.created", "session": {}}'


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
async def virtual_time():
    with FakeClock(autojump=True):
        yield


class Passer(RealtimeModelListener):
    """
    Hears each event, and does nothing.
    """

    async def on_event(self, event):
        pass


class Looker:
    """
    Sees each event, and does nothing.
    """

    observes_calls = False

    def event_published(self, event, sender, sequence):
        pass

    def handler_started(self, call):
        pass

    def handler_finished(self, call):
        pass


def frames_in(name):
    """
    Return the frames of a recorded session, between its beginning and the one that ends a test.
    """
    return [CREATED, *(DATA / name).read_text("utf-8").splitlines(), LAST]


def audio_frame(number):
    return json.dumps({"type": "response.output_audio.delta", "delta": "AAAA" * number, **AUDIO})


async def hold_call(bus, frames, *, listeners=(), model=None, **options):
    """
    Hold a call of which the service sends *frames*; return its session.
    """
    done = anyio.Event()

    async def send(peer):
        for frame in frames:
            await peer.connection.send(frame)

    @bus.on(RealtimeModelInputAudioTimeoutTriggeredEvent)
    def end(event):
        done.set()

    model = model or OpenAIRealtimeModel(reconnect=None)
    for listener in listeners:
        model.add_listener(listener)
    async with scripted_server(send) as server, bus:
        config = {"url": server.url, "api_key": "none"}
        session = RealtimeSession(model, bus, sender=SENDER, config=config, **options)
        async with session:
            with anyio.move_on_after(30):
                await done.wait()
    return session


# --- records ---------------------------------------------------------------------------------


def see_nothing(event):
    pass


WAYS = {
    "alone": {},
    "raw handler": {"classes": (RealtimeModelRawServerEvent,)},
    "second listener": {"listeners": (Passer(),)},
    "middleware": {"middleware": (lambda event, call_next: call_next(event),)},
    "observer": {"observers": (Looker(),)},
    "strict": {"strict": True},
}


async def record(path, frames, *, classes=(), listeners=(), recording=None, **options):
    """
    Record a call, and return the facts of each record, and the counts of the bus.
    """
    bus = EventBus(**options)
    bus.subscribe(repr, RealtimeModelAudioEvent)
    bus.subscribe(repr, RealtimeModelTranscriptDeltaEvent)
    for each in classes:
        bus.subscribe(see_nothing, each)
    model = OpenAIRealtimeModel(reconnect=None)
    with (
        Recorder(path, **(recording or {})) as recorder,
        recorder.listen(model, SENDER),
        recorder.attach(bus, without=[see_nothing]),
    ):
        await hold_call(bus, frames, listeners=listeners, model=model)
    facts = []
    for each in open_journal(path):
        names = {field.name.lstrip("_") for field in attrs.fields(type(each))}
        names -= {"journal_id", "source", *(name for name in names if name.endswith("_ns"))}
        facts.append((type(each), {name: getattr(each, name, None) for name in names}))
    return facts, bus.stats


@pytest.mark.parametrize("recording", [{}, {"audio": False}, {"events": "stored"}], ids=str)
@pytest.mark.parametrize("name", ["openai_audio_turn.jsonl", "openai_tool_call.jsonl"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "alone"])
async def test_records_are_the_same_however_frames_are_taken(tmp_path, name, recording, way):
    """
    Frames, events, causes and calls; and a decoder makes the recorded events again.
    """
    frames = frames_in(name)

    alone, _ = await record(tmp_path / "alone.journal", frames, recording=recording)
    other, _ = await record(tmp_path / "other.journal", frames, recording=recording, **WAYS[way])

    assert alone == other
    assert sum(kind is FrameRecord for kind, _ in alone) == len(frames)
    if "audio" not in recording:
        assert check_decoder(open_journal(tmp_path / "alone.journal")) == len(frames)


async def test_counts_are_the_same_however_frames_are_taken(tmp_path):
    """
    A raw event that is not made counts as published, and as unhandled.
    """
    frames = frames_in("openai_audio_turn.jsonl")

    _, alone = await record(tmp_path / "alone.journal", frames)
    _, other = await record(tmp_path / "other.journal", frames, **WAYS["second listener"])

    assert alone == other


# --- the order of events ---------------------------------------------------------------------


TYPES = {
    RealtimeModelRawServerEvent: "raw",
    RealtimeRawModelEvent: "repeated",
    RealtimeModelTranscriptDeltaEvent: "transcript",
    RealtimeModelAudioEvent: "audio",
    RealtimeAudio: "repeated audio",
    RealtimeHistoryAdded: "added",
}
SPOKEN = [
    CREATED,
    json.dumps({"type": "response.output_audio_transcript.delta", "delta": "Hi", **AUDIO}),
    audio_frame(1),
    audio_frame(2),
    LAST,
]


async def order_of(*classes, **options):
    """
    Return the order in which handlers of some classes get the events of the spoken frames.
    """
    bus, seen = EventBus(**options), []
    for each in classes:
        bus.subscribe(lambda event, name=TYPES[each]: seen.append(name), each, sender=SENDER)
    await hold_call(bus, SPOKEN)
    return seen


async def test_events_of_a_frame_come_in_order():
    """
    The event, and the change of the history that it means.
    """
    seen = await order_of(
        RealtimeModelTranscriptDeltaEvent, RealtimeModelAudioEvent, RealtimeHistoryAdded
    )

    assert seen == ["transcript", "added", "audio", "audio"]


async def test_raw_event_comes_before_the_event():
    """
    With a handler of raw events, each frame has both.
    """
    seen = await order_of(RealtimeModelRawServerEvent, RealtimeModelAudioEvent)

    assert seen == ["raw", "raw", "raw", "audio", "raw", "audio", "raw"]


async def test_repetitions_come_behind_the_event():
    """
    That of any event, and that of an audio event, if they have handlers.
    """
    both = await order_of(RealtimeRawModelEvent, RealtimeModelAudioEvent, RealtimeAudio)
    audio = await order_of(RealtimeModelAudioEvent, RealtimeAudio)

    of_audio = ["repeated", "audio", "repeated", "repeated audio"]
    start = both.index("audio") - 1
    assert both[start : start + 8] == of_audio * 2
    assert audio == ["audio", "repeated audio"] * 2


@pytest.mark.parametrize("middleware", [False, True])
async def test_raw_event_comes_to_middleware(middleware):
    """
    A middleware passes each event, the raw one before the other.
    """
    seen = []

    def note(event, call_next):
        seen.append(type(event))
        call_next(event)

    bus = EventBus(middleware=[note] if middleware else [])
    await hold_call(bus, SPOKEN)

    expected = [RealtimeModelRawServerEvent, RealtimeModelAudioEvent] * 2
    at = seen.index(RealtimeModelAudioEvent) - 1 if middleware else 0
    assert seen[at : at + 4] == (expected if middleware else [])


async def test_event_that_a_handler_publishes_comes_behind_the_present_one(bus):
    """
    And before the history's: that is published when the handlers are done.
    """
    seen = []

    @bus.on(RealtimeModelTranscriptDeltaEvent)
    def publish(event):
        bus.publish(Ping())
        seen.append("transcript")

    bus.subscribe(lambda event: seen.append("ping"), Ping)
    bus.subscribe(lambda event: seen.append("added"), RealtimeHistoryAdded)
    await hold_call(bus, SPOKEN)

    assert seen == ["transcript", "ping", "added"]


# --- changes in mid-call ---------------------------------------------------------------------


async def test_handler_of_raw_events_that_comes_in_mid_call_gets_the_next_frame(bus):
    """
    One that an event's handler adds gets the raw events behind that event.
    """
    seen = []

    @bus.on(RealtimeModelAudioEvent, once=True)
    def look(event):
        bus.subscribe(lambda event: seen.append(event.data["type"]), RealtimeModelRawServerEvent)

    await hold_call(bus, SPOKEN)

    assert seen == ["response.output_audio.delta", "input_audio_buffer.timeout_triggered"]


async def test_handler_of_repetitions_that_an_event_brings_gets_its_repetition(bus):
    """
    The session asks for handlers behind the event, and not before.
    """
    seen = []

    @bus.on(RealtimeModelAudioEvent, once=True)
    def look(event):
        bus.subscribe(seen.append, RealtimeAudio)

    await hold_call(bus, SPOKEN)

    assert [event.audio.data for event in seen] == [b"\0" * 3, b"\0" * 6]


async def test_listener_that_comes_in_mid_call_is_told_the_next_event(bus):
    """
    One that is added while an event is taken is told the raw event of the next frame first.
    """
    model, seen = OpenAIRealtimeModel(reconnect=None), []

    class Noting(RealtimeModelListener):
        async def on_event(self, event):
            seen.append(type(event))

    @bus.on(RealtimeModelAudioEvent, once=True)
    def listen(event):
        model.add_listener(Noting())

    await hold_call(bus, SPOKEN, model=model)

    assert seen[:2] == [RealtimeModelRawServerEvent, RealtimeModelAudioEvent]
    assert seen.count(RealtimeModelAudioEvent) == 1


async def test_session_that_an_event_closes_publishes_no_later_frame(bus):
    """
    The end of the stream is the last event, and the audio behind the first one is not published.
    """
    sessions, seen = [], []

    @bus.on(RealtimeModelConnectionStatusEvent)
    def note_status(event):
        seen.append(event.status)

    @bus.on(RealtimeModelEndOfStreamEvent)
    def note_end(event):
        seen.append("end")

    async def send(peer):
        await peer.connection.send(CREATED)
        await peer.connection.send(audio_frame(1))
        await peer.receive("session.update")
        await closed.wait()
        with contextlib.suppress(Exception):
            await peer.connection.send(audio_frame(2))

    closed = anyio.Event()

    @bus.on(RealtimeModelAudioEvent)
    async def hang_up(event):
        seen.append(len(event.data))
        await sessions[0].close()
        closed.set()

    async with scripted_server(send) as server, bus:
        config = {"url": server.url, "api_key": "none"}
        model = OpenAIRealtimeModel(reconnect=None)
        async with RealtimeSession(model, bus, config=config) as session:
            sessions.append(session)
            await session.wait_closed()

    assert seen == ["connecting", "connected", 3, "disconnected", "end"]


# --- failures --------------------------------------------------------------------------------


@pytest.mark.parametrize("listeners", [(), (Passer(),)], ids=["alone", "beside another"])
@pytest.mark.parametrize("strict", [False, True])
async def test_failing_handler_does_not_stop_the_session(strict, listeners, caplog):
    """
    Each frame reaches the history; a strict bus raises, which is a failure of the listener's.
    """
    bus, seen = EventBus(strict=strict), []

    def fail(event):
        raise ValueError(len(event.data))

    bus.subscribe(fail, RealtimeModelAudioEvent)
    bus.subscribe(seen.append, RealtimeAudio)
    failures = []
    bus.subscribe(failures.append, RealtimeModelExceptionEvent)
    session = await hold_call(bus, SPOKEN, listeners=listeners)

    assert [event.audio.data for event in seen] == [b"\0" * 3, b"\0" * 6]
    assert [failure.event.data for failure in failures] == [b"\0" * 3, b"\0" * 6]
    assert [item.item_id for item in session.history] == ["item_1"]
    logged = [record for record in caplog.records if record.message == "A model's listener failed"]
    assert len(logged) == (2 if strict else 0)


async def test_tool_is_called_by_a_frame_without_a_raw_event(bus):
    """
    The call is an event of its own, and the tool starts behind it.
    """
    seen = []

    def find_order(number: int) -> str:
        """Return the state of an order."""
        return "on its way"

    bus.subscribe(lambda event: seen.append("call"), RealtimeModelToolCallEvent)
    bus.subscribe(lambda event: seen.append("start"), RealtimeToolStart)
    await hold_call(bus, frames_in("openai_tool_call.jsonl"), tools=[find_order])

    assert seen == ["call", "start"]
