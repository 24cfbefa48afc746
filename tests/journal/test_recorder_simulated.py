"""
A live session with the simulator, recorded: the figures are those that the scenario asks for.
"""

from __future__ import annotations

import json
import math

import anyio
import pytest

from eventbus import EventBus
from eventbus.analysis import measure
from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
)
from eventbus.journal import (
    CallRecord,
    EventRecord,
    FrameRecord,
    Recorder,
    SentRecord,
    open_journal,
)
from eventbus.realtime.events import (
    RealtimeAudio,
    RealtimeError,
    RealtimeEventInfo,
    RealtimeHistoryUpdated,
    RealtimeModelRawClientEvent,
)
from eventbus.realtime.model import RealtimeModelListener
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.replay import check_decoder, replay
from eventbus.simulator import Scenario, Simulator
from eventbus.simulator.scenario import Call, Pace, Turn, When
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock

from ..realtime.scripted_model import ScriptedModel

SENDER = "call-1"
SCENARIO = Scenario(
    pace=Pace(first_output_ms=400, transcription_ms=250),
    turns=[
        Turn(say="It is sunny."),
        Turn(
            when=When(text="order"),
            call=Call("get_order", {"number": 17}),
            then=Turn(say="It is on its way."),
        ),
    ],
)
TOOL_SECONDS = 1.5
SETTINGS = {"audio": {"input": {"format": "pcm16", "transcription": {"model": "whisper-1"}}}}
PIECE_MS = 20
PIECE_BYTES = len(silence(PIECE_MS))
NS_PER_S = 1_000_000_000


@pytest.fixture(scope="module")
def anyio_backend():
    """
    The simulator's sockets are those of websockets, which is for asyncio only.
    """
    return "asyncio"


class Notes(RealtimeModelListener):
    """
    Keeps the messages that are sent.
    """

    def __init__(self):
        self.sent = []

    async def on_event(self, event):
        pass

    def on_sent(self, message):
        self.sent.append(message)


async def say(session, text):
    """Speak, and be silent for six seconds, as a microphone hears it."""
    sound = speak(text) + silence(6_000)
    for start in range(0, len(sound), PIECE_BYTES):
        await anyio.sleep(PIECE_MS / 1000)
        await session.send_audio(sound[start : start + PIECE_BYTES])


@pytest.fixture(scope="module")
async def call(tmp_path_factory):
    """
    The journal of a call of two turns, one of them with a tool, and the messages sent in it.
    """
    path = tmp_path_factory.mktemp("simulated") / "call.journal"
    bus, model, notes = EventBus(strict=True), OpenAIRealtimeModel(), Notes()
    model.add_listener(notes)
    bus.subscribe(play, RealtimeModelAudioEvent)
    bus.subscribe(play_again, RealtimeAudio)
    bus.subscribe(show, RealtimeHistoryUpdated)

    async def get_order(number: int) -> str:
        """Return the state of an order."""
        await anyio.sleep(TOOL_SECONDS)
        return "on its way"

    with FakeClock(autojump=True) as clock:
        recorder = Recorder(path, fsync="none", clock_ns=lambda: round(clock.now * NS_PER_S))
        with recorder, recorder.attach(bus), recorder.listen(model, SENDER):
            async with Simulator(SCENARIO) as service, bus:
                session = RealtimeSession(
                    model,
                    bus,
                    sender=SENDER,
                    tools=[get_order],
                    config={"url": service.url, "api_key": "none"},
                    settings=SETTINGS,
                )
                async with session:
                    await say(session, "Good morning")
                    await say(session, "where is my order")
    return open_journal(path), notes.sent


def play(event):
    """Play nothing: nobody listens."""


def play_again(event):
    """Do the same."""


def show(event):
    """Show nothing, either."""


async def test_latency_and_its_parts_are_those_of_the_scenario(call):
    """
    Each part of each turn takes the time of the scenario, the turn detection and the tool, to the
    millisecond.
    """
    journal, _ = call
    [figures] = measure(journal).calls

    first, second = figures.turns
    assert (first.outcome, first.is_estimated) == ("answered", False)
    assert (first.model_ms, first.tool_ms, first.first_audio_ms) == (0, 0, 400)
    assert (second.tool_ms, second.first_audio_ms) == (1000 * TOOL_SECONDS, 400)
    # The first response begins at once, and writes its call; the one after the tool's output, too.
    assert 400 < second.model_ms < 400 + 100
    for turn in (first, second):
        # The end of speech is noticed after 500 ms of silence, when the next piece has come.
        assert 500 <= turn.endpointing_ms < 500 + PIECE_MS
        parts = (turn.endpointing_ms, turn.model_ms, turn.tool_ms, turn.first_audio_ms)
        assert turn.latency_ms == pytest.approx(sum(parts) + turn.dispatch_ms)
    assert [(t.name, t.time_ms) for t in figures.tool_calls] == [("get_order", 1000 * TOOL_SECONDS)]


async def test_transcripts_come_when_the_scenario_says(call):
    """
    The transcription of a turn begins 250 ms after it, and takes 20 ms for each of its words.
    """
    journal, _ = call
    [figures] = measure(journal).calls

    delay = figures.totals.figures["transcription_delay"]
    assert (delay.count, delay.p50, delay.max) == (2, 290, 330)


async def test_all_that_was_sent_is_recorded(call):
    """
    Every message is in the journal, once, in its order and with the session's sender.
    """
    journal, sent = call
    records = list(journal.read(SentRecord))

    assert [json.loads(record.data) for record in records] == sent
    assert {record.sender for record in records} == {SENDER}
    assert len(records) > 600


async def test_what_the_transport_says_by_itself_has_no_frame_as_its_cause(call):
    """
    The decoder makes the recorded events of the frames: an item that was sent came of none of them.
    """
    journal, _ = call

    assert check_decoder(journal) == len(list(journal.read(FrameRecord)))


async def test_session_events_that_repeat_a_models_only_name_it(call):
    """
    The audio is in the journal once as an event; the calls for the repetition name that, too.
    """
    journal, _ = call
    events = {record.seq: record for record in journal.read(EventRecord)}
    calls = list(journal.read(CallRecord))

    again = [record for record in events.values() if record.type_name == "session.audio"]
    assert all(record.is_repeat for record in again)
    assert {events[record.cause].type_name for record in again} == {"audio"}
    assert len({record.cause for record in again}) == len(again)
    for record in again:
        event = events[record.cause].event
        assert record.event == RealtimeAudio(event, event.item_id, 0, RealtimeEventInfo())
    played = [c.cause for c in calls if c.handler.endswith(".play")]
    again = [c.cause for c in calls if c.handler.endswith(".play_again")]
    assert {events[cause].type_name for cause in played} == {"audio"}
    assert again == played


async def test_changes_of_the_history_name_the_frame_that_made_them(call):
    """
    A change that a frame has made has that as its cause, as the model's event has.
    """
    journal, _ = call
    frames = {record.seq for record in journal.read(FrameRecord)}
    events = list(journal.read(EventRecord))

    words = [r for r in events if r.type_name == "transcript_delta"]
    causes = {r.cause for r in events if r.type_name == "session.history_updated"}
    assert words
    assert {r.cause for r in words} <= causes & frames


@pytest.mark.parametrize("decode", [False, True])
async def test_handlers_of_session_events_are_called_again(call, decode):
    """
    A replay calls them with the same events, after the model's event, though no session is there.
    """
    journal, _ = call
    recorded = [c.handler.rpartition(".")[2] for c in journal.read(CallRecord)]
    bus, calls, heard, shown = EventBus(strict=True), [], [], []

    @bus.on(RealtimeModelAudioEvent)
    def play(event):
        calls.append("play")
        heard.append(event)

    @bus.on(RealtimeAudio)
    def play_again(event):
        calls.append("play_again")
        assert event == RealtimeAudio(heard[-1], event.item_id, 0, RealtimeEventInfo())

    @bus.on(RealtimeHistoryUpdated)
    def show(event):
        calls.append("show")
        shown.append(event.history)

    async with bus:
        await replay(str(journal.path), bus, speed=math.inf, decode=decode)

    assert calls == recorded
    assert shown[-1][-1].content[0].transcript == "It is on its way."


async def test_handler_of_a_sessions_event_may_play(call):
    """
    The audio is played when the handler of the session's own event is called with it, too.
    """
    journal, _ = call
    [figures] = measure(journal, played_by="*.play_again").calls

    assert [turn.dispatch_ms is None for turn in figures.turns] == [False, False]


# --- other models ----------------------------------------------------------------------------


async def test_sent_messages_that_are_published_are_recorded_as_sent(tmp_path):
    """
    A proxy has no model to listen to; of a model that is listened to, they are recorded once.
    """
    path, bus, model = tmp_path / "call.journal", EventBus(), ScriptedModel()
    event = RealtimeModelRawClientEvent({"type": "response.create"})

    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        bus.publish(event, sender="connection-1")
        with recorder.listen(model, "call-1"):
            model.tell_sent({"type": "response.cancel"})
            bus.publish(event, sender="call-1")
        model.tell_sent({"type": "response.cancel"})
        bus.publish(event, sender="call-1")

    records = [(r.sender, json.loads(r.data)["type"]) for r in open_journal(path).read(SentRecord)]
    assert records == [
        ("connection-1", "response.create"),
        ("call-1", "response.cancel"),
        ("call-1", "response.create"),
    ]


def test_error_that_repeats_nothing_is_recorded_whole(tmp_path):
    """
    A session of an agent framework has errors of its own, of the class that repeats a model's.
    """
    path, bus = tmp_path / "call.journal", EventBus()
    error = RealtimeError("the guardrail failed", RealtimeEventInfo())

    with Recorder(path, fsync="none") as recorder, recorder.attach(bus):
        bus.publish(error)

    (record,) = open_journal(path).read(EventRecord)
    assert record.event == error


async def test_model_that_awaits_its_listeners_can_be_listened_to(tmp_path):
    """
    Emitted events are recorded at the bus; a recorder that listens takes them, and does nothing.
    """
    path, model = tmp_path / "call.journal", ScriptedModel()
    event = RealtimeModelInputAudioTranscriptionCompletedEvent("item_1", "Hello")

    with Recorder(path, fsync="none") as recorder, recorder.listen(model):
        await model.emit(event)

    assert list(open_journal(path).read(EventRecord)) == []
