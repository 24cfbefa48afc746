"""
Scripted callers, who speak to an agent's session, and hear what it says and when.
"""

from __future__ import annotations

import pytest

from eventbus import EventBus, ScenarioError
from eventbus.callers import Caller, SessionLine
from eventbus.events import RealtimeModelInputSpeechStartedEvent
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.session import RealtimeSession
from eventbus.simulator import Simulator, load_scenario
from eventbus.testing import FakeClock, capture

SCENARIO = {
    "pace": {"first_output_ms": 300},
    "turns": [
        {"when": "story", "say": "Once upon a time there was a telephone. " * 5},
        {
            "when": "order",
            "call": {"tool": "get_order", "arguments": {"number": 17}},
            "then": "Your order is {output}.",
        },
    ],
    "otherwise": "You said: {user}",
}
SILENCE_MS = 500  # that of the turn detection


@pytest.fixture
def anyio_backend():
    """
    The simulator is for asyncio.
    """
    return "asyncio"


@pytest.fixture
async def caller():
    """
    A caller of an agent with a tool, in virtual time.
    """
    with FakeClock(autojump=True):
        bus = EventBus(strict=True)
        async with Simulator(SCENARIO) as simulator, bus:
            config = {"url": simulator.url, "api_key": "none"}
            session = RealtimeSession(OpenAIRealtimeModel(), bus, config=config)

            @session.tool
            async def get_order(number: int) -> str:
                """Return the state of an order."""
                return f"{number} on its way"

            async with session, Caller(SessionLine(session, bus)) as caller:
                caller.bus = bus
                yield caller


async def test_answer_is_heard(caller):
    """
    The words of the answer, when it began, and how long it took.
    """
    reply = await caller.ask("Good morning", within_ms=1_500)

    assert reply.heard == "You said: Good morning"
    assert reply.latency_ms == pytest.approx(SILENCE_MS + 300, abs=60)
    assert reply.duration_ms == pytest.approx(64 * len("You said: Good morning"), abs=40)
    assert not reply.was_interrupted
    assert caller.replies == [reply]


async def test_tool_is_called_by_voice(caller):
    """
    A spoken request goes through the agent's tool, and the answer has its output.
    """
    assert (await caller.ask("Where is my order?")).heard == "Your order is 17 on its way."


async def test_interruption_silences_the_agent(caller):
    """
    A caller who speaks over the agent hears only the beginning of its words, and gets an answer.
    """
    await caller.say("Tell me a story")
    cut = await caller.interrupt("Stop it, please", after_ms=1_000, stops_within_ms=300)
    answer = await caller.listen()

    assert cut.was_interrupted
    assert cut.stopped_after_ms < 300
    assert cut.heard.startswith("Once upon a time")
    assert len(cut.heard) < 30
    assert cut.duration_ms == pytest.approx(1_000 + cut.stopped_after_ms, abs=40)
    assert answer.heard == "You said: Stop it, please"


async def test_late_answer_fails(caller):
    """
    An answer that begins later than the limit is a failure with both times.
    """
    with pytest.raises(AssertionError, match="The agent didn't answer within 400 ms"):
        await caller.ask("Good morning", within_ms=400)


async def test_agent_that_was_silent_already_cannot_be_interrupted(caller):
    """
    An interruption later than the end of the turn is a failure, not a turn.
    """
    await caller.say("Hi")
    with pytest.raises(AssertionError, match="over before 60000 ms"):
        await caller.interrupt("Stop", after_ms=60_000)


async def test_noise_is_no_speech_and_a_cough_may_be(caller):
    """
    The turn detection doesn't notice the noise of a room, and takes a cough for speech.
    """
    with capture(caller.bus, RealtimeModelInputSpeechStartedEvent) as started:
        await caller.make_noise(1_000)
        assert started.events == []
        await caller.cough()
        await caller.be_silent(100)
        assert len(started.events) == 1


async def test_script_of_a_scenario_is_followed(caller):
    """
    The steps of a scenario's caller are performed, and the agent's turns returned.
    """
    script = load_scenario(
        {
            "caller": [
                {"say": "Good morning", "reply": "good MORNING", "within_ms": 1_500},
                {"noise_ms": 300},
                "Tell me a story",
                {"say": "Where is my order?", "interrupt_after_ms": 500, "stops_within_ms": 300},
                {"listen": "on its way"},
                {"silence_ms": 500},
                {"hang_up": True},
                {"say": "never"},
            ]
        }
    ).caller

    replies = await caller.follow(script)

    assert [reply.was_interrupted for reply in replies] == [False, True, False]


async def test_step_that_goes_wrong_is_named(caller):
    """
    An answer without the expected words fails with the number of the step, and both texts.
    """
    steps = load_scenario(
        {"caller": [{"say": "Hello", "reply": ""}, {"say": "Good morning", "reply": "bye"}]}
    ).caller

    with pytest.raises(AssertionError, match=r"Step 2 .*'You said: Good morning', without 'bye'"):
        await caller.follow(steps)


@pytest.mark.parametrize("step", [{"sai": "Hello"}, "Hello"])
async def test_steps_are_those_of_a_scenario(caller, step):
    """
    A script that no scenario has read is refused before anything is said, with the remedy.
    """
    message = rf"not a {type(step).__name__}; it is follow\(load_scenario\("
    with pytest.raises(TypeError, match=message):
        await caller.follow([step])


async def test_session_has_no_keys(caller):
    """
    Keys are for a line with a telephone.
    """
    with pytest.raises(NotImplementedError, match="phone server"):
        await caller.press("1")


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({}, r"caller\[0\].*it has none"),
        ({"say": "Hi", "cough": True}, "it has say and cough"),
        ({"cough": True, "reply": "Hi"}, "reply belongs to say"),
        ({"say": "Hi", "within_ms": 5}, "within_ms is for a turn that is listened to"),
        ({"say": "Hi", "stops_within_ms": 5}, "belongs to interrupt_after_ms"),
        ({"press": "1x"}, "press is one of 0, 1"),
    ],
)
def test_step_that_means_nothing_is_a_mistake(step, message):
    """
    A step has one action, and settings that fit it.
    """
    with pytest.raises(ScenarioError, match=message):
        load_scenario({"caller": [step]})
