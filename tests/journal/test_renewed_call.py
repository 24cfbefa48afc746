"""
The journal of a call over several sessions of the service, held against the simulator's frames.

In virtual time, so times are exact to the pieces of audio.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib

import attrs
import pytest

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.events import RealtimeModelAudioEvent
from eventbus.journal import EventRecord, Recorder, open_journal
from eventbus.realtime.events import RealtimeSessionRestored
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock

pytestmark = pytest.mark.slow

NS_PER_S = 1_000_000_000
SENDER = "call-1"
PIECE_MS = 100
PIECE_BYTES = len(silence(PIECE_MS))
TOOL_SECONDS = 1.5
WINDOW_MS = 20  # of the search for the last voiced sample
LOUD = 300
BYTES_PER_MS = 48

SCENARIO = {
    "turns": [
        {"when": {"tool": "get_order"}, "say": "It is {output}."},
        {"when": {"matches": "(?i)order$"}, "call": {"tool": "get_order"}},
        {"when": {"matches": "(?i)story$"}, "say": "Once upon a time there was a king. " * 4},
    ],
    "otherwise": "I see.",
}
SETTINGS = {
    "audio": {
        "input": {
            "turn_detection": {"type": "server_vad"},
            "transcription": {"model": "gpt-4o-transcribe"},
        }
    }
}
SPOKEN = ["Good morning", "where is my order", "tell me a story", "stop it please"] * 3


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@attrs.define
class Call:
    """
    A call: its journal, the simulator, and the application's own notes.

    Attributes:
        spoken_bytes: The size of the audio that the caller has sent.
        ends_ms: When the caller spoke the last voiced sample of each turn.
        answers_ms: When the application was given the first audio of each response.
    """

    journal: object
    sim: Simulator
    spoken_bytes: int = 0
    ends_ms: list[float] = attrs.field(factory=list)
    answers_ms: dict[str, float] = attrs.field(factory=dict)

    @property
    def figures(self):
        [figures] = measure(self.journal).calls
        return figures

    def events(self, event_type):
        records = [record for record in self.journal if isinstance(record, EventRecord)]
        return [each.event for each in records if isinstance(each.event, event_type)]

    def frames(self, frame_type):
        return [frame for frame in self.sim.sent if frame["type"] == frame_type]

    async def say(self, clock, session, text, pause_ms):
        """
        Speak as a microphone hears it: a piece is sent when it has been recorded.
        """
        voice = speak(text)
        last = max(i for i in range(0, len(voice), 2) if abs(sample(voice, i)) > LOUD)
        self.ends_ms.append(clock.now * 1000 + last / BYTES_PER_MS)
        sound = voice + silence(pause_ms)
        for start in range(0, len(sound), PIECE_BYTES):
            await asyncio.sleep(PIECE_MS / 1000)
            piece = sound[start : start + PIECE_BYTES]
            self.spoken_bytes += len(piece)
            await session.send_audio(piece)


def sample(sound, place):
    return int.from_bytes(sound[place : place + 2], "little", signed=True)


def audio_bytes(messages, name):
    return sum(len(base64.b64decode(message[name])) for message in messages)


@contextlib.asynccontextmanager
async def recorded(path, **options):
    """
    A session whose call is recorded in virtual time.
    """
    bus, model = EventBus(strict=True), OpenAIRealtimeModel()

    async def get_order() -> str:
        """Return the state of the order."""
        await asyncio.sleep(TOOL_SECONDS)
        return "on its way"

    with FakeClock(autojump=True) as clock:
        recorder = Recorder(path, fsync="none", clock_ns=lambda: round(clock.now * NS_PER_S))
        with recorder, recorder.attach(bus), recorder.listen(model, SENDER):
            async with Simulator(SCENARIO, **options) as sim, bus:
                session = RealtimeSession(
                    model,
                    bus,
                    sender=SENDER,
                    tools=[get_order],
                    config={"url": sim.url, "api_key": "none"},
                    settings=SETTINGS,
                )
                yield clock, bus, sim, session


@pytest.fixture(scope="module")
async def call(tmp_path_factory):
    """
    A call of over two minutes, with sessions of one.
    """
    path = tmp_path_factory.mktemp("renewed") / "call.journal"
    async with recorded(path, max_session=60) as (clock, bus, sim, session):
        made = Call(None, sim)

        @bus.on(RealtimeModelAudioEvent)
        def play(event: RealtimeModelAudioEvent) -> None:
            made.answers_ms.setdefault(event.response_id, clock.now * 1000)

        async with session:
            for text in SPOKEN:
                # The story is interrupted by the next turn.
                await made.say(clock, session, text, 3_000 if "story" in text else 12_000)
            await session.send_message("And now in writing")
            await asyncio.sleep(10)
    made.journal = open_journal(path)
    return made


async def test_renewals_are_in_the_journal(call):
    """
    Each with its outcome: everything was told, and nothing left out.
    """
    restored = call.events(RealtimeSessionRestored)

    assert len(restored) == call.sim.connections - 1 >= 3
    assert {event.reason for event in restored} == {"renewed"}
    assert not any(event.left_out for event in restored)


async def test_each_turn_is_counted_once_and_timed_as_if_there_were_no_renewal(call):
    """
    Turns begin with the last voiced sample and end with the first audio, by the clock of the
    application, in whichever session of the service they are.
    """
    turns = call.figures.turns

    assert [turn.kind for turn in turns] == ["speech"] * len(SPOKEN) + ["text"]
    assert {(turn.outcome, turn.is_estimated) for turn in turns} == {("answered", False)}
    begun = [turn.at_ms for turn in turns[:-1]]
    assert begun == pytest.approx(call.ends_ms, abs=WINDOW_MS)
    answered = [turn.at_ms + turn.latency_ms for turn in turns]
    # Of a turn with a tool, the response that calls it has no audio.
    assert answered == pytest.approx(list(call.answers_ms.values()), abs=1)
    for turn in turns[:-1]:
        assert 500 <= turn.endpointing_ms <= 500 + PIECE_MS + WINDOW_MS


async def test_audio_is_there_once(call):
    """
    The caller's as the application has sent it, and the model's as the simulator has.
    """
    sent = call.frames("response.output_audio.delta")
    received = [m for m in call.sim.received if m["type"] == "input_audio_buffer.append"]
    heard = sum(len(event.data) for event in call.events(RealtimeModelAudioEvent))
    unheard_ms = sum(cut.unheard_ms for cut in call.figures.interruptions)
    spans = [span for span in call.figures.spans if span.lane == "model"]

    assert audio_bytes(received, "audio") == call.spoken_bytes
    assert heard == audio_bytes(sent, "delta")
    played_ms = sum(span.end_ms - span.start_ms for span in spans)
    assert played_ms == pytest.approx(heard / BYTES_PER_MS - unheard_ms, abs=1)


async def test_tools_interruptions_and_tokens_are_those_of_the_simulator(call):
    """
    Though calls and messages are told to each new session again.
    """
    figures = call.figures
    called = [frame["call_id"] for frame in call.frames("response.function_call_arguments.done")]
    cut = call.frames("conversation.item.truncated")
    usage = [frame["response"]["usage"] for frame in call.frames("response.done")]

    assert [tool.call_id for tool in figures.tool_calls] == called != []
    assert {tool.time_ms for tool in figures.tool_calls} == {TOOL_SECONDS * 1000}
    assert len(figures.interruptions) == len(cut) > 1
    assert all(each.latency_ms <= 2 * PIECE_MS for each in figures.interruptions)
    assert figures.tokens.total == sum(each["total_tokens"] for each in usage)
    assert figures.totals.counts["failures"] == 0


async def test_turn_that_is_repeated_after_a_loss_is_one_turn(tmp_path):
    """
    It is answered, and its latency has the time of the loss, too.
    """
    path = tmp_path / "call.journal"
    # After the response's first frame, before any audio.
    async with (
        recorded(path, faults="drop@frame:5") as (clock, bus, sim, session),
        session,
        bus.stream(RealtimeModelAudioEvent) as audio,
    ):
        asked_ms = clock.now * 1000
        await session.send_message("Hello")
        await anext(audio)
        answered_ms = clock.now * 1000
    [figures] = measure(open_journal(path)).calls

    assert sim.connections == 2
    [turn] = figures.turns
    assert (turn.kind, turn.outcome) == ("text", "answered")
    assert turn.latency_ms == pytest.approx(answered_ms - asked_ms, abs=1)
