"""
Figures of calls through the proxy, held against a clock outside of it.

The client here is no part of eventbus: it sends text over a WebSocket, and notes when its last
voiced sample was spoken and when the first audio of the answer came. The simulator answers.
"""

from __future__ import annotations

import base64
import contextlib
import json

import anyio
import attrs
import pytest
from websockets.asyncio.client import connect

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.journal import Recorder, open_journal
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Scenario, Simulator
from eventbus.simulator.scenario import Pace, Turn
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock

NS_PER_S = 1_000_000_000
PIECE_MS = 20
PIECE_BYTES = len(silence(PIECE_MS))
TOLERANCE_MS = PIECE_MS + 10  # a message, and a window of the measurement

SCENARIO = Scenario(
    pace=Pace(first_output_ms=350, transcription_ms=250),
    turns=[Turn(say="It is sunny and warm, and it will stay so until the evening.")],
    otherwise=Turn(say="Goodbye."),
)

# How long the simulator waits after the last voiced sample, and how the client ends its turn.
DETECTIONS = {
    "server-vad": {"type": "server_vad", "silence_duration_ms": 600, "prefix_padding_ms": 200},
    "server-vad-defaults": {"type": "server_vad"},
    "semantic-low": {"type": "semantic_vad", "eagerness": "low"},
    "semantic-medium": {"type": "semantic_vad", "eagerness": "medium"},
    "semantic-high": {"type": "semantic_vad", "eagerness": "high"},
    "push-to-talk": None,
}


@pytest.fixture
def anyio_backend():
    """
    The proxy is for asyncio only.
    """
    return "asyncio"


@attrs.define
class Clock:
    """
    Moments of a turn, in milliseconds.
    """

    clock: FakeClock
    first_voiced_ms: float = 0
    last_voiced_ms: float = 0
    stopped_ms: float = 0
    audio_ms: float = 0
    interrupted_ms: float = 0

    @property
    def now_ms(self):
        return self.clock.now * 1000


class Client:
    """
    A client that speaks, with either order of a message's names.
    """

    def __init__(self, socket, clock, *, is_audio_first):
        self.socket, self.clock, self.is_audio_first = socket, clock, is_audio_first
        self.answered = anyio.Event()

    async def say(self, text, *, then_ms=2_400, before_ms=200):
        """
        Speak as a microphone hears it: a piece is sent when it has been recorded.
        """
        voice = speak(text)
        sound = silence(before_ms) + voice + silence(then_ms)
        await self.send_audio(sound)

    async def send_audio(self, sound):
        voiced = [i for i in range(0, len(sound), 2) if abs(sample(sound, i)) > 300]
        began_ms = self.clock.now_ms
        if voiced:
            self.clock.first_voiced_ms = began_ms + voiced[0] / 48
            self.clock.last_voiced_ms = began_ms + voiced[-1] / 48
        for start in range(0, len(sound), PIECE_BYTES):
            await anyio.sleep(PIECE_MS / 1000)
            audio = base64.b64encode(sound[start : start + PIECE_BYTES]).decode()
            message = {"type": "input_audio_buffer.append", "audio": audio}
            if self.is_audio_first:
                message = dict(reversed(message.items()))
            await self.socket.send(json.dumps(message))

    async def send(self, message):
        await self.socket.send(json.dumps(message))

    async def listen(self):
        async for text in self.socket:
            frame = json.loads(text)
            if frame["type"] == "response.output_audio.delta" and not self.clock.audio_ms:
                self.clock.audio_ms = self.clock.now_ms
                self.answered.set()
            if frame["type"] == "input_audio_buffer.speech_stopped":
                self.clock.stopped_ms = self.clock.now_ms
            if frame["type"] == "input_audio_buffer.speech_started" and self.clock.audio_ms:
                self.clock.interrupted_ms = self.clock.now_ms


def sample(sound, place):
    return int.from_bytes(sound[place : place + 2], "little", signed=True)


@contextlib.asynccontextmanager
async def call(path, detection, *, is_audio_first, audio=True):
    """
    A client, through a proxy that records, with the simulator.
    """
    bus = EventBus()
    with FakeClock(autojump=True) as clock:
        recorder = Recorder(
            path, fsync="none", audio=audio, clock_ns=lambda: round(clock.now * NS_PER_S)
        )
        with recorder, recorder.attach(bus):
            async with (
                Simulator(SCENARIO) as service,
                bus,
                RealtimeProxy(service.url, bus) as proxy,
                connect(proxy.url) as socket,
                anyio.create_task_group() as tasks,
            ):
                client = Client(socket, Clock(clock), is_audio_first=is_audio_first)
                tasks.start_soon(client.listen)
                settings = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
                await client.send({"type": "session.update", "session": settings})
                yield client
                await anyio.sleep(5)
                tasks.cancel_scope.cancel()


async def talk(client, *, is_pushed):
    """
    Ask something; with push-to-talk, let go of the button 300 ms after the last word.
    """
    if is_pushed:
        await client.say("Is it sunny?", then_ms=300)
        client.clock.stopped_ms = client.clock.now_ms
        await client.send({"type": "input_audio_buffer.commit"})
        await client.send({"type": "response.create"})
    else:
        await client.say("Is it sunny?")


@pytest.mark.parametrize("is_audio_first", [False, True], ids=["type-first", "audio-first"])
@pytest.mark.parametrize("name", DETECTIONS)
async def test_turn_latency_is_what_the_caller_waits(tmp_path, name, is_audio_first):
    """
    With each way to end a turn, it counts from the last voiced sample to the first audio.
    """
    path, detection = tmp_path / "call.journal", DETECTIONS[name]
    async with call(path, detection, is_audio_first=is_audio_first) as client:
        await talk(client, is_pushed=detection is None)
    outside = client.clock

    [figures] = measure(open_journal(path)).calls
    [turn] = figures.turns
    assert not turn.is_estimated
    assert turn.latency_ms == pytest.approx(
        outside.audio_ms - outside.last_voiced_ms, abs=TOLERANCE_MS
    )
    assert turn.endpointing_ms == pytest.approx(
        outside.stopped_ms - outside.last_voiced_ms, abs=TOLERANCE_MS
    )
    assert turn.first_audio_ms == pytest.approx(350, abs=1)
    assert figures.totals.estimated("turn_latency.p95") == 0


@pytest.mark.parametrize("is_audio_first", [False, True], ids=["type-first", "audio-first"])
@pytest.mark.parametrize("name", [name for name, detection in DETECTIONS.items() if detection])
@pytest.mark.slow
async def test_interruption_latency_counts_from_the_first_voiced_sample(
    tmp_path, name, is_audio_first
):
    """
    The padding of the detection doesn't matter.
    """
    path = tmp_path / "call.journal"
    async with call(path, DETECTIONS[name], is_audio_first=is_audio_first) as client:
        await client.say("Is it sunny?")
        await client.answered.wait()
        await client.say("Stop!", before_ms=500)
    outside = client.clock

    [figures] = measure(open_journal(path)).calls
    [cut] = figures.interruptions
    assert not cut.is_latency_estimated
    assert cut.latency_ms == pytest.approx(
        outside.interrupted_ms - outside.first_voiced_ms, abs=TOLERANCE_MS
    )


@pytest.mark.parametrize("name", DETECTIONS)
async def test_figures_without_audio_are_estimated(tmp_path, name):
    """
    Without the caller's audio, the turn is marked as an estimate.
    """
    path, detection = tmp_path / "call.journal", DETECTIONS[name]
    async with call(path, detection, is_audio_first=False, audio=False) as client:
        await talk(client, is_pushed=detection is None)
    outside = client.clock

    [figures] = measure(open_journal(path)).calls
    [turn] = figures.turns
    assert turn.is_estimated
    assert figures.totals.estimated("turn_latency.p95") == 1
    if name.startswith("server-vad"):  # the length of its silence is known
        assert turn.latency_ms == pytest.approx(
            outside.audio_ms - outside.last_voiced_ms, abs=TOLERANCE_MS
        )
