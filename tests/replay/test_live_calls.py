"""
Recordings of live calls, played again strictly: the transport and the session tell of events that
no decoder has made, and leave out some that it has.

In virtual time, against the simulator.
"""

from __future__ import annotations

import asyncio
import math

import pytest
from anyio import to_thread

from eventbus import EventBus
from eventbus.cli.usage.replay import command
from eventbus.codec import to_plain
from eventbus.events import RealtimeModelEvent
from eventbus.exceptions import ReplayDifference
from eventbus.journal import EventRecord, FrameRecord, Recorder, open_journal
from eventbus.realtime import ReconnectPolicy
from eventbus.realtime.events import RealtimeModelSkippedEvent
from eventbus.realtime.model import RealtimeModelListener
from eventbus.realtime.openai import GPTLiveModel, OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.replay import check_decoder, replay
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock, capture
from eventbus.wire.openai import OpenAIRealtimeDecoder
from tests.cli.journals import new_runner

pytestmark = pytest.mark.slow

SENDER = "call-1"
SCENARIO = {
    "turns": [
        {"when": {"tool": "get_order"}, "say": "It is {output}."},
        {"when": {"matches": "order"}, "call": {"tool": "get_order"}},
    ],
    "otherwise": "Once upon a time there was a king. " * 4,
}
VAD = {
    "audio": {
        "input": {
            "turn_detection": {"type": "server_vad"},
            "transcription": {"model": "gpt-4o-transcribe"},
        }
    }
}
AT_ONCE = ReconnectPolicy(random=lambda: 0.0)
PIECE_MS = 100
PIECE_BYTES = len(silence(PIECE_MS))


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


async def get_order() -> str:
    """Return the state of the order."""
    await asyncio.sleep(3)
    return "on its way"


async def say(session, text, pause_ms=4_000):
    """
    Speak as a microphone hears it, and be silent for a time.
    """
    sound = speak(text) + silence(pause_ms)
    for start in range(0, len(sound), PIECE_BYTES):
        await session.send_audio(sound[start : start + PIECE_BYTES])
        await asyncio.sleep(PIECE_MS / 1000)


async def ask(session):
    """
    Ask twice in writing, once for something that takes a tool.
    """
    for text in ("Where is my order?", "Tell me a story."):
        await session.send_message(text)
        await asyncio.sleep(30)


async def ask_once(session):
    """
    Ask in writing, and hear what comes of the answer.
    """
    await session.send_message("Tell me a story.")
    await asyncio.sleep(30)


async def interrupt(session):
    """
    Ask for a story, and cut it off at its first piece of audio.
    """

    class Interrupts(RealtimeModelListener):
        async def on_event(self, event):
            if event.type == "audio":
                session.model.remove_listener(self)
                await session.interrupt()

    session.model.add_listener(Interrupts())
    await session.send_message("Tell me a story.")
    await asyncio.sleep(30)


async def stay(session):
    """
    Speak in more than one session of the service.
    """
    for _ in range(2):
        await say(session, "Tell me a story", 20_000)


async def hang_up_in_mid_frame(session):
    """
    Close the session in a listener, before it has had all events of the frame.
    """

    class HangsUp(RealtimeModelListener):
        async def on_event(self, event):
            if event.type == "usage":
                await session.model.close()
                over.set()

    over = asyncio.Event()
    session.model.add_listener(HangsUp())
    await session.send_message("Hello")
    await over.wait()


def model_events(events):
    """
    Return the plain data of the model's events: exceptions are not equal to their copies.
    """
    return [
        without_place(to_plain(event)) for event in events if isinstance(event, RealtimeModelEvent)
    ]


def without_place(event):
    """
    Return plain data without the traceback, which a replay doesn't have.
    """
    exception = event.get("exception")
    if isinstance(exception, dict):
        event["exception"] = {k: v for k, v in exception.items() if k != "traceback"}
    return event


async def record(path, story, *, model=None, settings=VAD, events="derived", **options):
    """
    Record a call with the simulator; return the journal and the events that were published.
    """
    is_live = isinstance(model, GPTLiveModel)
    bus = EventBus()
    model = model or OpenAIRealtimeModel(reconnect=AT_ONCE)
    memory = {name: options.pop(name) for name in ("memory",) if name in options}
    with FakeClock(autojump=True) as clock, capture(bus) as captured:
        recorder = Recorder(
            path, fsync="none", events=events, clock_ns=lambda: round(clock.now * 1_000_000_000)
        )
        with recorder, recorder.attach(bus), recorder.listen(model, SENDER):
            async with Simulator(SCENARIO, **options) as sim, bus:
                session = RealtimeSession(
                    model,
                    bus,
                    sender=SENDER,
                    tools=[get_order],
                    config={"url": sim.live_url if is_live else sim.url, "api_key": "none"},
                    settings={} if is_live else settings,
                    **memory,
                )
                async with session:
                    await story(session)
    return path, list(captured.events)


CALLS = {
    "cut while it answers": (ask, {"faults": "drop@2"}),
    "cut while a tool runs": (ask, {"faults": "drop@frame:14"}),
    "cut, and the conversation forgotten": (ask, {"faults": "drop@2", "memory": None}),
    "cut, and given up": (
        ask_once,
        {"faults": "drop@1", "model": lambda: OpenAIRealtimeModel(reconnect=None)},
    ),
    "interrupted": (interrupt, {"faults": "late-audio@1"}),
    "renewed": (stay, {"max_session": 30}),
    "expired": (
        stay,
        {
            "max_session": 30,
            "model": lambda: OpenAIRealtimeModel(reconnect=AT_ONCE, renewal=None),
        },
    ),
    "closed in the middle of a frame": (hang_up_in_mid_frame, {}),
    "of GPT-Live, cut": (stay, {"faults": "drop@1", "model": GPTLiveModel}),
    "of GPT-Live, interrupted": (interrupt, {"model": GPTLiveModel}),
}


@pytest.fixture(scope="module", params=CALLS)
async def call(request, tmp_path_factory):
    """
    A call that is recorded once for all tests.
    """
    story, options = CALLS[request.param]
    options = dict(options)
    if "model" in options:
        options["model"] = options["model"]()
    return await record(tmp_path_factory.mktemp("live") / "call.journal", story, **options)


async def test_strict_replay_of_a_live_call_finds_no_difference(call):
    """
    Whatever has happened to the connection, the decoder makes what it made in the call, and a
    replay publishes what the call has published.
    """
    path, published = call
    journal = open_journal(path)
    bus = EventBus()
    with capture(bus) as captured:
        async with bus:
            await replay(path, bus, speed=math.inf, strict=True)

    assert check_decoder(journal) == len(list(journal.read(FrameRecord)))
    assert model_events(captured.events) == model_events(published)
    arguments = [str(path), "--strict"]
    result = await to_thread.run_sync(lambda: new_runner().invoke(command, arguments))
    assert result.exit_code == 0, result.stderr


async def test_decoding_again_publishes_what_the_call_has_published(call):
    """
    With decode=True, events that the decoder has not made come from the journal, and those that
    were not passed on in the call aren't in the replay.
    """
    path, published = call
    bus = EventBus()
    with capture(bus) as captured:
        async with bus:
            await replay(path, bus, speed=math.inf, decode=True)

    assert model_events(captured.events) == model_events(published)


async def test_end_of_a_turn_that_was_cut_comes_from_no_frame(tmp_path):
    """
    The events of the lost connection are stored; those of the frames are derived.
    """
    path, _ = await record(tmp_path / "call.journal", ask_once, faults="drop@1", memory=None)
    records = list(open_journal(path).read(EventRecord))

    [lost] = [r for r in records if r.type_name == "turn_ended" and r.event.status == "failed"]
    [failure] = [r for r in records if r.type_name == "exception"]
    assert lost.event.error.code == "connection_lost"
    assert (lost.cause, failure.cause) == (0, 0)
    assert all(r.cause for r in records if r.type_name in ("turn_started", "transcript_delta"))


async def test_stored_events_of_a_live_call_are_compared_as_well(tmp_path):
    """
    A journal that has the events themselves is no different.
    """
    path, _ = await record(
        tmp_path / "call.journal", ask, faults="drop@2", events="stored", max_session=30
    )
    journal = open_journal(path)

    assert check_decoder(journal) == len(list(journal.read(FrameRecord)))


async def test_event_that_was_not_passed_on_is_still_expected_of_the_decoder(tmp_path):
    """
    Late audio of an answer that was cut off reaches no handler; a decoder that no longer makes it
    is found.
    """
    path, published = await record(tmp_path / "call.journal", interrupt, faults="late-audio@1")
    [skipped] = [e for e in published if isinstance(e, RealtimeModelSkippedEvent)]

    class Forgetful(OpenAIRealtimeDecoder):
        def __init__(self):
            super().__init__()
            self.has_ended = False

        def decode(self, frame):
            events = super().decode(frame)
            self.has_ended = self.has_ended or events[-1].type == "turn_ended"
            is_late = self.has_ended and events[-1].type == "audio"
            return events[:1] if is_late else events

    assert skipped.event_type == "audio"
    with pytest.raises(ReplayDifference, match=r"delta: .* count: no event, and it was audio\."):
        check_decoder(open_journal(path), Forgetful)
