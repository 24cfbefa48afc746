"""
Another model takes a call over when the first one can't go on.

In virtual time, against simulators.
"""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from eventbus.events import (
    RealtimeModelEndOfStreamEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelTurnEndedEvent,
)
from eventbus.exceptions import ModelNotConnected, RealtimeConnectionError
from eventbus.items import AssistantMessageItem, RealtimeToolCallItem, UserMessageItem
from eventbus.realtime import RealtimeSession
from eventbus.realtime.events import RealtimeAudioInterrupted, RealtimeSessionRestored
from eventbus.realtime.openai import GPTLiveModel, OpenAIRealtimeModel
from eventbus.simulator import Simulator
from eventbus.testing import FakeClock, capture
from tests.realtime.relay import Relay
from tests.realtime.test_calls_that_go_on import NAME, QUESTION, SCENARIO, ask, cut, of, settled

QUOTA = json.dumps(
    {
        "type": "error",
        "event_id": "event_1",
        "error": {
            "type": "insufficient_quota",
            "code": "insufficient_quota",
            "message": "You exceeded your current quota.",
        },
    }
)

LOST = "the connection"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
async def virtual_time():
    with FakeClock(autojump=True):
        yield


def models(*sims, **options):
    """
    Return models and configurations, one for each address.
    """
    made = [OpenAIRealtimeModel(reconnect=None, **options) for _ in sims]
    return made, [{"url": sim.url, "api_key": "none"} for sim in sims]


async def test_next_model_is_connected_if_the_first_cannot_be(bus):
    """
    The refusal is reported, and the stream of events has one beginning and one end.
    """
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, faults="refuse=503@every") as first,
            Simulator() as other,
        ):
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                assert session.model is made[1]

    (report,) = of(captured, RealtimeModelExceptionEvent)
    assert report.exception.code == 503
    assert len(of(captured, RealtimeModelEndOfStreamEvent)) == 1


async def test_next_model_takes_the_call_over_with_its_memory(bus):
    """
    After the first one was lost for good.
    """
    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO) as first, Simulator(SCENARIO) as other:
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                await ask(bus, session, NAME)
                await settled(bus)
                await cut(first)
                restored = await bus.expect(RealtimeSessionRestored, timeout=60)
                assert await ask(bus, session, QUESTION) == "Your name is Ada."

    assert restored.reason == "fallback"
    assert session.model is made[1]
    assert len(of(captured, RealtimeModelEndOfStreamEvent)) == 1


async def test_call_ends_when_the_last_model_fails(bus):
    """
    Entering raises the last refusal.
    """
    async with bus, Simulator(faults="refuse=503@every") as first:
        made, configs = models(first, first)
        with pytest.raises(RealtimeConnectionError, match="503"):
            async with RealtimeSession(models=made, bus=bus, config=configs):
                pass


@pytest.mark.parametrize(
    ("fault", "code"),
    [("refuse=429", 429), ("refuse=500", 500), ("refuse=503", 503), ("refuse=401", 401)],
)
async def test_refusal_of_any_kind_at_the_handshake_lets_the_next_model_begin(bus, fault, code):
    """
    Also where another attempt with the same account might do: the caller waits.
    """
    with capture(bus) as captured:
        async with bus, Simulator(faults=f"{fault}@every") as first, Simulator(SCENARIO) as other:
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                assert await ask(bus, session, "Hello") == "I see."

    (report,) = of(captured, RealtimeModelExceptionEvent)
    assert report.exception.code == code


async def test_quota_that_is_told_when_a_session_begins_lets_the_next_model_begin(bus):
    """
    The service's first frame is the error.
    """
    with capture(bus) as captured:
        async with (
            bus,
            Simulator() as sim,
            Relay(sim.url, connection=1, frame=1, fault=QUOTA) as first,
            Simulator(SCENARIO) as other,
        ):
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                assert await ask(bus, session, "Hello") == "I see."
                assert session.model is made[1]

    (report,) = of(captured, RealtimeModelExceptionEvent)
    assert report.exception.reason == "insufficient_quota"


@pytest.mark.parametrize("comes_as", ["an error", "a failed response"])
async def test_quota_that_is_used_up_in_a_call_lets_the_next_model_answer(bus, comes_as):
    """
    The message that was not answered is answered by the next model, which knows the name.
    """
    # The second response: its frames begin with the 20th, after two of the session, two of the
    # item, 15 of the first answer.
    fault = "fail=insufficient_quota@2" if comes_as == "a failed response" else ""
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, faults=fault) as sim,
            contextlib.AsyncExitStack() as stack,
            Simulator(SCENARIO) as other,
        ):
            first = sim
            if comes_as == "an error":
                relay = Relay(sim.url, connection=1, frame=22, fault=QUOTA)
                first = await stack.enter_async_context(relay)
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                await ask(bus, session, NAME)
                await settled(bus)
                await session.send_message(QUESTION)
                restored = await bus.expect(RealtimeSessionRestored, timeout=60)
                await settled(bus)
                answers = answers_of(session)
                said = [i for i in session.history if isinstance(i, UserMessageItem)]

    assert restored.reason == "fallback"
    assert answers[-1].content[0].transcript == "Your name is Ada."
    assert [item.content[0].text for item in said] == [NAME, QUESTION]
    assert len(of(captured, RealtimeModelEndOfStreamEvent)) == 1


async def test_another_vendor_takes_the_call_over(bus):
    """
    With its own address, key and model; settings and tools are the session's.
    """

    async def clock() -> str:
        """Return the time."""
        return "noon"

    async with (
        bus,
        Simulator(SCENARIO, api_key="first") as first,
        Simulator(SCENARIO, api_key="second") as other,
    ):
        azure = other.url.partition("?")[0].replace("/v1/", "/openai/v1/")
        configs = [
            {"url": first.url, "api_key": "first"},
            {"url": f"{azure}?deployment=mine", "headers": {"api-key": "second"}},
        ]
        made = [OpenAIRealtimeModel(reconnect=None) for _ in configs]
        async with RealtimeSession(
            models=made,
            bus=bus,
            config=configs,
            tools=[clock],
            settings={"instructions": "Be brief."},
        ) as session:
            await ask(bus, session, NAME)
            await settled(bus)
            await cut(first)
            await bus.expect(RealtimeSessionRestored, timeout=60)
            assert await ask(bus, session, QUESTION) == "Your name is Ada."
            assert await ask(bus, session, "What time is it?") == "It is noon."
            (call,) = [i for i in session.history if isinstance(i, RealtimeToolCallItem)]

    assert call.output == "noon"
    settings = next(m["session"] for m in other.received if m["type"] == "session.update")
    assert settings["instructions"] == "Be brief."
    assert [tool["name"] for tool in settings["tools"]] == ["clock"]
    created = next(frame for frame in other.sent if frame["type"] == "session.created")
    assert created["session"]["model"] == "mine"


async def test_answer_that_breaks_off_with_the_first_model_is_given_by_the_next(bus):
    """
    It is cut off where it was heard, the history knows that, and the next model is asked once.
    """
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, faults="drop@1") as first,
            Simulator(SCENARIO, seed=2) as other,
        ):
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                await session.send_message("A story")
                await bus.expect(RealtimeSessionRestored, timeout=60)
                await settled(bus)
                broken, whole = answers_of(session)

    assert len(of(captured, RealtimeAudioInterrupted)) == 1
    assert broken.status == "incomplete"
    assert broken.content[0].heard is not None
    assert whole.status == "completed"
    assert sum(m["type"] == "response.create" for m in other.received) == 1


async def test_answer_that_is_complete_is_heard_to_its_end(bus):
    """
    Though the connection over which it came is lost meanwhile.
    """
    with capture(bus) as captured:
        async with bus, Simulator(SCENARIO) as first, Simulator(SCENARIO) as other:
            made, configs = models(first, other)
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                await session.send_message("A story")
                await bus.expect(RealtimeModelTurnEndedEvent, timeout=60)
                await cut(first)
                await bus.expect(RealtimeSessionRestored, timeout=60)
                await settled(bus)
                (story,) = answers_of(session)

    assert of(captured, RealtimeAudioInterrupted) == []
    assert story.content[0].heard is None
    assert not any(m["type"] == "response.create" for m in other.received)


async def test_requests_wait_while_a_model_is_replaced(bus):
    """
    Audio and messages of that time go to the next model, each once and in order.
    """
    async with (
        bus,
        Simulator(SCENARIO) as first,
        Simulator(SCENARIO) as other,
    ):
        made, configs = models(first, other)
        async with RealtimeSession(models=made, bus=bus, config=configs) as session:
            await ask(bus, session, NAME)
            await settled(bus)

            @bus.on(RealtimeModelExceptionEvent, when=lambda event: event.context == LOST)
            async def talk(_event) -> None:
                await session.send_audio(bytes(4_800))
                await session.send_message(QUESTION)

            await cut(first)
            await bus.expect(RealtimeSessionRestored, timeout=60)
            await settled(bus)
            answer = answers_of(session)[-1]

    assert answer.content[0].transcript == "Your name is Ada."
    sent = [m["type"] for m in other.received if "restore" not in m.get("event_id", "")]
    assert sent == [
        "session.update",
        "input_audio_buffer.append",
        "conversation.item.create",
        "response.create",
    ]


async def test_models_that_fail_one_after_another_are_all_tried(bus):
    """
    This includes one that refuses the first request because its quota is used up.
    """
    async with (
        bus,
        Simulator(SCENARIO) as first,
        Simulator(SCENARIO, faults="fail=insufficient_quota@1") as second,
        Simulator(faults="refuse=500@every") as third,
        Simulator(SCENARIO) as last,
    ):
        made, configs = models(first, second, third, last)
        async with RealtimeSession(models=made, bus=bus, config=configs) as session:
            await ask(bus, session, NAME)
            await settled(bus)
            await cut(first)
            await bus.expect(RealtimeSessionRestored, timeout=60)
            await session.send_message(QUESTION)
            await bus.expect(RealtimeSessionRestored, timeout=60)
            await settled(bus)
            assert session.model is made[3]
            assert answers_of(session)[-1].content[0].transcript == "Your name is Ada."


def answers_of(session):
    return [item for item in session.history if isinstance(item, AssistantMessageItem)]


async def test_another_protocol_takes_the_call_over(bus):
    """
    GPT-Live gets the conversation at its start, and answers on.
    """
    async with bus, Simulator(SCENARIO) as first, Simulator(SCENARIO, seed=2) as other:
        made = [OpenAIRealtimeModel(reconnect=None), GPTLiveModel()]
        configs = [
            {"url": first.url, "api_key": "none"},
            {"url": other.live_url, "api_key": "none"},
        ]
        async with RealtimeSession(models=made, bus=bus, config=configs) as session:
            await ask(bus, session, NAME)
            await settled(bus)
            await cut(first)
            restored = await bus.expect(RealtimeSessionRestored, timeout=60)
            assert restored.reason == "fallback"
            assert len(restored.item_ids) == 2
            await ask(bus, session, "Hm")
            assert session.model is made[1]

    start = next(m for m in other.received if m["type"] == "session.start")
    told = json.dumps(start)
    assert NAME in told
    assert "I see." in told


async def test_failed_renewal_is_no_reason_to_fall_back_later(bus):
    """
    A call that its service ends in order has ended, whatever has failed before.
    """
    faults = "refuse=503@2 close=1000@2"
    with capture(bus) as captured:
        async with (
            bus,
            Simulator(SCENARIO, max_session=100, faults=faults) as first,
            Simulator(SCENARIO) as other,
        ):
            made = [OpenAIRealtimeModel() for _ in range(2)]
            configs = [{"url": sim.url, "api_key": "none"} for sim in (first, other)]
            async with RealtimeSession(models=made, bus=bus, config=configs) as session:
                await ask(bus, session, NAME)
                restored = await bus.expect(RealtimeSessionRestored, timeout=100)
                assert restored.reason == "renewed"
                await session.send_message("A story")
                async with asyncio.timeout(60):
                    await session.wait_closed()

    assert len(of(captured, RealtimeModelExceptionEvent)) >= 1
    assert other.connections == 0


async def test_request_that_waits_ends_with_the_session(bus):
    """
    A session that is left while a model is replaced lets go of those who wait to send.
    """
    async with bus, Simulator(SCENARIO) as first:
        made, configs = models(first, first)
        configs[1]["url"] = "ws://127.0.0.1:1/v1/realtime"
        connecting = asyncio.Event()

        async def connect(_options) -> None:
            connecting.set()
            await asyncio.sleep(3600)

        made[1].connect = connect
        async with RealtimeSession(models=made, bus=bus, config=configs) as session:
            await cut(first)
            await connecting.wait()
            sending = asyncio.create_task(session.send_audio(bytes(480)))
            await asyncio.sleep(1)
            assert not sending.done()
        with pytest.raises(ModelNotConnected):
            await sending
