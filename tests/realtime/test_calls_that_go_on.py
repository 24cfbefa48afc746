"""
Calls that outlive a session of the service: memory, renewal, the unfinished turn.

In virtual time, against the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus.events import (
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelSessionExpiringEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.items import (
    AssistantMessageItem,
    InputAudio,
    InputImage,
    RealtimeToolCallItem,
    UserMessageItem,
)
from eventbus.realtime import (
    Memory,
    RealtimeSession,
    ReconnectPolicy,
    RenewalPolicy,
)
from eventbus.realtime.events import (
    RealtimeAudioInterrupted,
    RealtimeHistoryAdded,
    RealtimeSessionRestored,
)
from eventbus.realtime.memory import UNTRANSCRIBED
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import FakeClock, capture
from tests.realtime.scripted_server import scripted_server

SCENARIO = {
    "turns": [
        {
            # The simulator takes all messages since the last answer as one: a session that was
            # told the conversation knows the name.
            "when": {"matches": r"(?is)my name is (?P<name>\w+).*what is my name"},
            "say": "Your name is {name}.",
        },
        {"when": "what is my name", "say": "I don't know you."},
        {"when": {"tool": "clock"}, "say": "It is {output}."},
        {"when": "weather", "call": {"tool": "weather", "arguments": {"city": "Oslo"}},
         "then": "In Oslo: {output}."},
        {"when": "time", "call": {"tool": "clock"}},
        {"when": "story", "say": "Once upon a time there was a king. " * 6},
    ],
    "otherwise": "I see.",
}  # fmt: skip

TOOLS = ("ther?", "time?")
BYTES_PER_S = 48_000

NAME = "My name is Ada."
QUESTION = "What is my name?"
AT_ONCE = ReconnectPolicy(random=lambda: 0.0)
SLOWLY = ReconnectPolicy(random=lambda: 1.0)
TRANSCRIBED = {"transcription": {"model": "gpt-4o-transcribe"}}
VAD = {"audio": {"input": {"turn_detection": {"type": "server_vad"}, **TRANSCRIBED}}}
PUSH_TO_TALK = {"audio": {"input": {"turn_detection": None, **TRANSCRIBED}}}


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
async def virtual_time():
    with FakeClock(autojump=True):
        yield


def of(captured, event_type):
    """
    Return the events of a class.
    """
    return [event for event in captured.events if isinstance(event, event_type)]


@contextlib.asynccontextmanager
async def call(bus, sim, **options):
    """
    Enter a session with a model at *sim*.
    """
    model = options.pop("model", None) or OpenAIRealtimeModel(reconnect=AT_ONCE)
    config = {"url": sim.url, "api_key": "none"}
    async with RealtimeSession(model, bus, config=config, **options) as session:
        yield session


async def ask(bus, session, text):
    """
    Send a message; return the answer when the turn is over.
    """
    async with bus.stream(RealtimeModelTranscriptDoneEvent) as said:
        await session.send_message(text)
        return (await anext(said)).transcript


async def talk(session, audio):
    """
    Send audio as a microphone does.
    """
    for start in range(0, len(audio), 4_800):
        await session.send_audio(audio[start : start + 4_800])
        await asyncio.sleep(0.1)


async def settled(bus):
    """
    Wait until everything said is heard.
    """
    await asyncio.sleep(30)


def seeds(sim):
    """
    Return the items that sessions were told, as (type or role, words).
    """
    found = []
    for message in sim.received:
        if message.get("event_id", "").startswith("eventbus_restore"):
            item = message["item"]
            words = item.get("content", [{}])[0].get("text") or item.get("output") or item["name"]
            found.append((item.get("role") or item["type"], words))
    return found


# --- memory ----------------------------------------------------------------------------------


async def test_new_session_is_told_the_conversation(bus):
    """
    After a lost connection come the settings, then the items in order, then everything else.
    """
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, faults="drop@3") as sim,
            call(bus, sim, tools=[weather]) as session,
        ):
            await ask(bus, session, NAME)
            await ask(bus, session, "And the weather?")
            await settled(bus)

    # The third response is the one that the tool's output asked for.
    told = [("user", NAME), ("assistant", "I see."), ("user", "And the weather?")]
    assert seeds(sim)[:3] == told
    assert seeds(sim)[3:5] == [("function_call", "weather"), ("function_call_output", "rain")]
    types = [message["type"] for message in sim.received]
    second = types.index("session.update", 1)
    assert types[second + 1] == "conversation.item.create"
    (restored,) = of(captured, RealtimeSessionRestored)
    assert restored.reason == "connection_lost"
    assert restored.item_ids == tuple(item.item_id for item in session.history)[:4]


async def weather(city: str) -> str:
    """Return the weather."""
    return "rain"  # at once: a thread would take no virtual time


async def test_no_item_is_added_twice(bus):
    """
    The history recognizes the items of the new session as those that it has.
    """
    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO, faults="drop@2") as sim, call(bus, sim) as session:
            await ask(bus, session, NAME)
            await session.send_message("A story, please")
            await bus.expect(RealtimeSessionRestored, timeout=60)
            await settled(bus)
            ids = [item.item_id for item in session.history]

    assert len(ids) == len(set(ids))
    added = [event.item.item_id for event in of(captured, RealtimeHistoryAdded)]
    assert sorted(added) == sorted(ids)


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        (None, []),
        (Memory(turns=1), [("user", "b"), ("assistant", "I see.")]),
        (Memory(max_items=1), [("assistant", "I see.")]),
        (Memory(max_characters=7), [("user", "b"), ("assistant", "I see.")]),
        (lambda history: f"{len(history)} items so far", [("system", "4 items so far")]),
        (lambda history: ["It was short.", history[-1]],
         [("system", "It was short."), ("assistant", "I see.")]),
    ],
)  # fmt: skip
async def test_memory_chooses(bus, memory, told):
    """
    Nothing, the last turns, the newest within the limits, or the result of a function.
    """
    async with bus, Simulator(SCENARIO) as sim, call(bus, sim, memory=memory) as session:
        await ask(bus, session, "a")
        await ask(bus, session, "b")
        await settled(bus)
        await cut(sim)
        await bus.expect(RealtimeModelConnectionStatusEvent, when=lambda e: e.status == "connected")
        await asyncio.sleep(1)

    assert seeds(sim) == told


async def cut(sim):
    """
    End all connections without a close frame.
    """
    for connection in tuple(sim._server.connections):
        connection.transport.abort()


async def test_summary_may_be_async(bus):
    """
    The session waits for it.
    """

    async def summary(history):
        await asyncio.sleep(0.5)
        return "The caller is Ada."

    async with bus, Simulator(SCENARIO) as sim, call(bus, sim, memory=summary) as session:
        await ask(bus, session, NAME)
        await settled(bus)
        await cut(sim)
        await bus.expect(RealtimeSessionRestored, timeout=60)

    assert seeds(sim) == [("system", "The caller is Ada.")]


async def test_memory_that_fails_is_reported_and_everything_is_told(bus):
    """
    A function's mistake costs no memory.
    """

    def forget(history):
        raise ZeroDivisionError

    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO) as sim, call(bus, sim, memory=forget) as session:
            await ask(bus, session, NAME)
            await settled(bus)
            await cut(sim)
            await bus.expect(RealtimeSessionRestored, timeout=60)

    assert seeds(sim) == [("user", NAME), ("assistant", "I see.")]
    failures = [type(event.exception) for event in of(captured, RealtimeModelExceptionEvent)]
    assert ZeroDivisionError in failures


async def test_item_that_the_service_refuses_is_named_and_left_out(bus):
    """
    The others are told.
    """

    def with_bad(history):
        return [UserMessageItem("bad", (InputImage("no image", "huge"),)), *history]

    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO) as sim, call(bus, sim, memory=with_bad) as session:
            await ask(bus, session, NAME)
            await settled(bus)
            await cut(sim)
            restored = await bus.expect(RealtimeSessionRestored, timeout=60)

    assert restored.left_out == ("bad",)
    assert restored.item_ids == tuple(item.item_id for item in session.history)
    assert of(captured, RealtimeModelErrorEvent) == []
    contexts = [event.context for event in of(captured, RealtimeModelExceptionEvent)]
    assert "restoring the conversation" in contexts


# --- renewal ---------------------------------------------------------------------------------


async def test_session_is_renewed_at_a_quiet_moment(bus):
    """
    Before its end comes near, and without a word to the caller: no status, no gap in the history.
    """
    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO, max_session=100) as sim, call(bus, sim) as session:
            await ask(bus, session, NAME)
            await bus.expect(RealtimeModelSessionExpiringEvent, timeout=90)
            restored = await bus.expect(RealtimeSessionRestored, timeout=10)
            assert await ask(bus, session, QUESTION) == "Your name is Ada."

    assert restored.reason == "renewed"
    assert sim.connections == 2
    statuses = [event.status for event in of(captured, RealtimeModelConnectionStatusEvent)]
    assert statuses == ["connecting", "connected", "disconnected"]
    assert of(captured, RealtimeModelExceptionEvent) == []


async def test_renewal_waits_for_the_end_of_an_answer(bus):
    """
    A story that is being told, and heard, is told to its end.
    """
    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO, max_session=60) as sim, call(bus, sim) as session:
            await asyncio.sleep(27)
            story = await ask(bus, session, "A story")
            restored = await bus.expect(RealtimeSessionRestored, timeout=60)

    assert of(captured, RealtimeModelAudioInterruptedEvent) == []
    assert len(restored.item_ids) == 2
    (answer,) = [item for item in session.history if isinstance(item, AssistantMessageItem)]
    assert answer.content[0].transcript == story
    assert answer.content[0].heard is None


async def test_summary_that_takes_long_holds_nothing_up(bus):
    """
    Questions are answered meanwhile, and then it is made again: the new session knows them, too.
    """
    begun, told = asyncio.Event(), []

    async def summary(history):
        begun.set()
        await asyncio.sleep(20)
        told.append(len(history))
        return f"{NAME} There are {len(history)} items."

    async with (
        bus,
        Simulator(SCENARIO, max_session=200) as sim,
        call(bus, sim, memory=summary) as session,
    ):
        await ask(bus, session, NAME)
        await begun.wait()
        async with asyncio.timeout(10):
            await ask(bus, session, "Hm")
        restored = await bus.expect(RealtimeSessionRestored, timeout=90)

    assert restored.reason == "renewed"
    assert told == [2, 4]
    assert seeds(sim) == [("system", f"{NAME} There are 4 items.")]


async def test_speech_during_the_change_is_heard_once(bus):
    """
    Audio that is sent while another connection takes over goes to one of the two.
    """
    async with (
        bus,
        Simulator(SCENARIO, max_session=100) as sim,
        call(bus, sim, settings=VAD) as session,
    ):
        speech = speak("I talk and talk") + silence(1_000)

        async def talk():
            for _ in range(12):
                for start in range(0, len(speech), 4_800):
                    await session.send_audio(speech[start : start + 4_800])
                    await asyncio.sleep(0.1)
                await asyncio.sleep(6)

        await talk()
        await settled(bus)

    assert sim.connections > 1
    said = [item for item in session.history if isinstance(item, UserMessageItem)]
    words = [item.content[0].transcript for item in said]
    sent = [m for m in sim.received if m["type"] == "input_audio_buffer.append"]
    assert len(sent) == 12 * -(-len(speech) // 4_800)
    assert len(words) == 12


async def test_last_safe_moment_repeats_the_turn(bus):
    """
    A tool that takes too long leaves no quiet moment; its output is told, and the turn answered.
    """

    async def clock() -> str:
        """Return the time."""
        await asyncio.sleep(80)
        return "late"

    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=60) as sim,
            call(bus, sim, tools=[clock]) as session,
        ):
            await session.send_message("What time is it?")
            await bus.expect(
                RealtimeModelTranscriptDoneEvent,
                when=lambda event: "late" in event.transcript,
                timeout=200,
            )

    assert sim.connections == 2
    (tool_call,) = [i for i in session.history if isinstance(i, RealtimeToolCallItem)]
    assert tool_call.output == "late"
    assert of(captured, RealtimeModelErrorEvent) == []


async def test_expired_session_is_no_error_of_the_application(bus):
    """
    Without a renewal, the service's error and its close lead to another session.
    """
    model = OpenAIRealtimeModel(reconnect=AT_ONCE, renewal=None)
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=30) as sim,
            call(bus, sim, model=model) as session,
        ):
            await ask(bus, session, NAME)
            await bus.expect(RealtimeSessionRestored, timeout=60)
            assert await ask(bus, session, QUESTION) == "Your name is Ada."

    assert of(captured, RealtimeModelErrorEvent) == []
    assert of(captured, RealtimeModelExceptionEvent) == []


async def test_renewal_that_fails_leaves_the_connection_alone(bus):
    """
    It is reported once, tried again, and the call goes on.
    """
    with capture(bus) as captured:
        faults = "refuse=503@2 refuse=503@3"
        async with (
            bus,
            Simulator(SCENARIO, max_session=100, faults=faults) as sim,
            call(bus, sim) as session,
        ):
            await ask(bus, session, NAME)
            await bus.expect(RealtimeModelExceptionEvent, timeout=90)
            assert await ask(bus, session, "Hm") == "I see."
            await bus.expect(RealtimeSessionRestored, timeout=60)
            assert await ask(bus, session, QUESTION) == "Your name is Ada."

    contexts = [event.context for event in of(captured, RealtimeModelExceptionEvent)]
    assert contexts == ["renewing the session"]


async def test_audio_goes_on_after_a_renewal(bus):
    """
    The new session answers speech in audio, as the old one did.
    """
    model = OpenAIRealtimeModel(renewal=RenewalPolicy(max_session=60))
    async with (
        bus,
        Simulator(SCENARIO) as sim,
        call(bus, sim, model=model, settings=VAD) as session,
    ):
        await asyncio.sleep(40)
        async with bus.stream(RealtimeModelAudioEvent) as audio:
            speech = speak("Hello there") + silence(1_000)
            for start in range(0, len(speech), 4_800):
                await session.send_audio(speech[start : start + 4_800])
            await anext(audio)

    assert sim.connections == 2


@pytest.mark.parametrize("step", ["before it is told", "when it has taken over"])
async def test_connection_that_breaks_at_a_step_of_a_renewal_costs_nothing(bus, step):
    """
    A second connection that is lost is replaced; one that has taken over is lost as any other.
    """
    cuts = []

    async def recall(history):
        if step == "before it is told" and not cuts:
            cuts.append(step)
            await cut(sim)
        return history

    async with (
        bus,
        Simulator(SCENARIO, max_session=200) as sim,
        call(bus, sim, memory=recall) as session,
    ):
        await ask(bus, session, NAME)
        await bus.expect(RealtimeSessionRestored, timeout=300)
        if step == "when it has taken over":
            await cut(sim)
            await bus.expect(RealtimeSessionRestored, timeout=60)
        assert await ask(bus, session, QUESTION) == "Your name is Ada."
        ids = [item.item_id for item in session.history]

    assert len(ids) == len(set(ids)) == 4
    assert sim.connections == 3


@pytest.mark.slow
async def test_call_of_three_hours(bus):
    """
    With sessions of an hour, tools and interruptions, in writing and spoken: no word lost, none
    twice, nothing forgotten.
    """

    async def clock() -> str:
        """Return the time."""
        return "noon"

    answers, asked, interruptions = [], [], 0
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=3_600) as sim,
            call(bus, sim, tools=[weather, clock], settings=VAD) as session,
        ):
            asked.append(NAME)
            await ask(bus, session, NAME)
            await settled(bus)

            @bus.on(RealtimeSessionRestored)
            async def remember(_event):
                asked.append(QUESTION)
                answers.append(await ask(bus, session, QUESTION))

            for round_ in range(18):  # of ten minutes
                text = ("The weather?", "A time?", "A story", f"Round {round_}")[round_ % 4]
                asked.append(text)
                if round_ % 3 == 0:
                    await talk(session, speak(text) + silence(1_000))
                else:
                    await session.send_message(text)
                await asyncio.sleep(3 if "story" in text else 20)
                if "story" in text:
                    interruptions += 1
                    await session.interrupt()
                await asyncio.sleep(580)
            items = session.history.items

    assert sim.connections == 4
    assert answers == ["Your name is Ada."] * 3
    assert [words_of(item) for item in items if isinstance(item, UserMessageItem)] == asked
    ids = [item.item_id for item in items]
    assert len(ids) == len(set(ids))
    given = [item for item in items if isinstance(item, AssistantMessageItem)]
    assert len(given) == len(asked)
    assert sum(item.content[0].heard is not None for item in given) == interruptions
    outputs = [item.output for item in items if isinstance(item, RealtimeToolCallItem)]
    assert outputs == [{"T": "rain", "A": "noon"}[text[0]] for text in asked if text[-5:] in TOOLS]
    reasons = [event.reason for event in of(captured, RealtimeSessionRestored)]
    assert reasons == ["renewed"] * 3
    assert of(captured, RealtimeModelExceptionEvent) == []
    assert of(captured, RealtimeModelErrorEvent) == []


# --- the unfinished turn ---------------------------------------------------------------------


async def test_answer_that_broke_off_is_asked_for_again(bus):
    """
    Its heard part is told to the model, and cut off in the history.
    """
    async with (
        bus,
        Simulator(SCENARIO, faults="drop@1") as sim,
        call(bus, sim) as session,
        bus.stream(RealtimeModelTurnEndedEvent) as ended,
        bus.stream(RealtimeAudioInterrupted) as interrupted,
    ):
        await session.send_message("A story")
        assert (await anext(ended)).status == "failed"
        assert (await anext(ended)).status == "completed"
        assert (await anext(interrupted)).item_id == session.history[1].item_id

    first, second = [item for item in session.history if isinstance(item, AssistantMessageItem)]
    assert first.status == "incomplete"
    assert first.content[0].heard is not None
    assert second.content[0].transcript.startswith("Once")
    assert sum(m["type"] == "response.create" for m in sim.received) == 2


async def test_unfinished_turn_is_left_if_memory_says_so(bus):
    """
    `Memory.repeats_turn` is the choice.
    """
    memory = Memory(repeats_turn=False)
    async with (
        bus,
        Simulator(SCENARIO, faults="drop@1") as sim,
        call(bus, sim, memory=memory) as session,
    ):
        await session.send_message("A story")
        await bus.expect(RealtimeSessionRestored, timeout=60)
        await settled(bus)

    assert sum(m["type"] == "response.create" for m in sim.received) == 1


PUZZLED = {
    "turns": [{"when": {"matches": "not transcribed"}, "say": "Could you say that again?"}],
    "otherwise": "I see.",
}


@pytest.mark.parametrize(
    ("scenario", "faults", "transcription"),
    [
        ({"pace": {"transcription_ms": 60_000}, **PUZZLED}, "", TRANSCRIBED),
        (PUZZLED, "no-transcript", TRANSCRIBED),
        (PUZZLED, "", {}),
    ],
    ids=["not yet", "failed", "not asked for"],
)
async def test_turn_without_a_transcript_is_told_as_that(bus, scenario, faults, transcription):
    """
    A session that is lost before the user's turn was transcribed: the next one knows that
    something was said, and its answer asks for it.
    """
    settings = {"audio": {"input": {"turn_detection": {"type": "server_vad"}, **transcription}}}
    async with (
        bus,
        Simulator(scenario, faults=f"drop@1 {faults}") as sim,
        call(bus, sim, settings=settings) as session,
        bus.stream(RealtimeSessionRestored) as restored,
    ):
        await talk(session, speak("Where is my order") + silence(3_000))
        outcome = await anext(restored)
        await settled(bus)

    told = [words for role, words in seeds(sim) if role == "user"]
    assert told == [UNTRANSCRIBED]
    assert session.history[0].item_id in outcome.item_ids
    assert session.history[-1].content[0].transcript == "Could you say that again?"
    assert heard(session) == [None], "the history is not told of words that nobody has heard"


# --- speech in the middle of a change --------------------------------------------------------


def heard(session):
    """
    Return the words of the user's turns.
    """
    return [words_of(item) for item in session.history if isinstance(item, UserMessageItem)]


def words_of(item):
    """
    Return the words of a message, spoken or written.
    """
    part = item.content[0]
    return part.transcript if isinstance(part, InputAudio) else part.text


LONG = "I would like to know whether there is still a table for the whole family tonight " * 3


async def test_speech_over_a_forced_change_is_heard_whole(bus):
    """
    The user speaks when no time is left: the new session gets the turn from its beginning, once.
    """
    model = OpenAIRealtimeModel(reconnect=AT_ONCE, renewal=RenewalPolicy(before=10, margin=3))
    async with (
        bus,
        Simulator(SCENARIO, max_session=60) as sim,
        call(bus, sim, settings=VAD, model=model) as session,
    ):
        # From before the first moment to renew at, 50 s, until after the last one, 57 s.
        await ask(bus, session, NAME)
        await talk(session, silence(45_000))
        speech = speak(LONG)
        assert len(speech) / BYTES_PER_S > 12
        async with bus.stream(RealtimeSessionRestored) as restored:
            await talk(session, speech + silence(1_000))
            await settled(bus)
            assert (await anext(restored)).reason == "connection_lost"

        assert heard(session)[1:] == [LONG.strip()]
        assert sum(isinstance(item, AssistantMessageItem) for item in session.history) == 2


async def test_speech_over_a_loss_is_heard_whole(bus):
    """
    With the words that were said while there was no connection.
    """
    async with (
        bus,
        Simulator(SCENARIO, faults="refuse=503@2 refuse=503@3") as sim,
        call(bus, sim, settings=VAD, model=OpenAIRealtimeModel(reconnect=SLOWLY)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(talk(session, speak(LONG) + silence(1_000)))
        await asyncio.sleep(4)
        await cut(sim)
        await settled(bus)

        assert sim.connections == 2
        assert heard(session) == [LONG.strip()]


async def test_two_seconds_before_speech_are_kept(bus):
    """
    The service reports speech later than it begins: with more silence before, the turn of a
    session that is lost begins two seconds before the report.
    """

    async def begin(peer):
        session = {"type": "realtime", "id": f"sess_{peer.number}", "audio": {}}
        await peer.send("session.created", session=session)

    tenth = bytes(BYTES_PER_S // 10)
    async with (
        scripted_server(begin) as server,
        bus,
        call(bus, server) as session,
    ):
        first = await server.peer()
        for _ in range(100):
            await session.send_audio(tenth)
        await first.receive("input_audio_buffer.append", 100)
        async with bus.stream(RealtimeModelInputSpeechStartedEvent) as started:
            await first.send("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
            await anext(started)
        await first.hang_up()
        second = await server.peer(1)
        await second.receive("input_audio_buffer.append", 20)
        await session.send_message("Hello?")
        await second.receive("conversation.item.create")

    assert second.types.count("input_audio_buffer.append") == 20


async def test_speech_that_a_turn_has_is_not_sent_again(bus):
    """
    After a loss in a pause, the new session gets no audio of before.
    """
    async with bus, Simulator(SCENARIO) as sim, call(bus, sim, settings=VAD) as session:
        await talk(session, speak("Hello there") + silence(3_000))
        before = [m["type"] for m in sim.received].count("input_audio_buffer.append")
        await cut(sim)
        await bus.expect(RealtimeSessionRestored, timeout=60)
        await settled(bus)

        after = [m["type"] for m in sim.received].count("input_audio_buffer.append")
        assert heard(session) == ["Hello there"]
        assert after == before


async def test_push_to_talk_over_a_loss_is_heard_whole(bus):
    """
    Without turn detection, all that was not committed is sent again, also a commit on its way.
    """
    async with bus, Simulator(SCENARIO) as sim, call(bus, sim, settings=PUSH_TO_TALK) as session:
        speech = speak("Hello there")
        await talk(session, speech[:48_000])
        await cut(sim)
        await talk(session, speech[48_000:])
        await session.send_audio(b"", commit=True)
        await settled(bus)

        assert heard(session) == ["Hello there"]
