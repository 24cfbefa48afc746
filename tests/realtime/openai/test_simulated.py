"""
Our model against the simulator: a turn, a tool call, an interruption, and every fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import math

import pytest

from eventbus.audio import PCM16
from eventbus.events import (
    RealtimeModelAudioDoneEvent,
    RealtimeModelAudioEvent,
    RealtimeModelAudioInterruptedEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelErrorEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelInputAudioTranscriptionCompletedEvent,
    RealtimeModelInputAudioTranscriptionFailedEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelItemTruncatedEvent,
    RealtimeModelOtherEvent,
    RealtimeModelToolCallEvent,
    RealtimeModelTranscriptDoneEvent,
    RealtimeModelTurnEndedEvent,
    RealtimeModelTurnStartedEvent,
)
from eventbus.exceptions import FrameError, RealtimeConnectionError
from eventbus.realtime import (
    RealtimeModelSendAudio,
    RealtimeModelSendInterrupt,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from eventbus.realtime.openai import OpenAIRealtimeModel
from eventbus.realtime.transport import ReconnectPolicy
from eventbus.testing import FakeClock, capture

pytest.importorskip("yaml")
simulator = pytest.importorskip("eventbus.simulator")
speech = pytest.importorskip("eventbus.simulator.speech")

AT_ONCE = ReconnectPolicy(random=lambda: 0.0)
STATUS = RealtimeModelConnectionStatusEvent


@pytest.fixture(scope="module")
def anyio_backend():
    """
    Only asyncio: websockets knows nothing else.
    """
    return "asyncio"


@pytest.fixture
async def virtual_time():
    """
    Time that passes by itself whenever everybody waits.
    """
    with FakeClock(autojump=True) as clock:
        yield clock


@pytest.fixture
def captured(bus):
    """
    The events published on the bus.
    """
    with capture(bus) as captured:
        yield captured


@contextlib.asynccontextmanager
async def talking(bus, scenario=None, *, speed=math.inf, settings=None, reconnect=AT_ONCE, **sim):
    """
    Give a simulator, and a model that is connected to it.
    """
    async with simulator.Simulator(scenario, speed=speed, **sim) as service:
        model = OpenAIRealtimeModel(reconnect=reconnect)
        model.attach(bus)
        await model.connect(
            {
                "api_key": "none",
                "url": service.url,
                "initial_model_settings": settings or {"output_modalities": ["audio"]},
            }
        )
        try:
            yield service, model
        finally:
            await model.close()


def of(captured, event_type):
    """
    Return the published events of a class.
    """
    return [event for event in captured.events if type(event) is event_type]


async def say(model, captured, text="Hello!"):
    """
    Say something, and wait for the end of the model's turn.
    """
    turns = len(of(captured, RealtimeModelTurnEndedEvent))
    await model.send_event(RealtimeModelSendUserInput(text))
    await captured.wait_for(
        RealtimeModelTurnEndedEvent,
        lambda _: len(of(captured, RealtimeModelTurnEndedEvent)) > turns,
    )


async def speak(model, text, *, seconds_of_silence=1):
    """
    Speak in real time, in pieces of 20 ms.
    """
    audio = speech.speak(text) + speech.silence(1000 * seconds_of_silence)
    for start in range(0, len(audio), 960):
        await model.send_event(RealtimeModelSendAudio(audio[start : start + 960]))
        await asyncio.sleep(0.02)


async def test_turn(bus, captured):
    """
    A written message is answered, with audio, a transcript, and the end of the turn.
    """
    async with talking(bus) as (_, model):
        await say(model, captured)

    captured.assert_order(
        STATUS,
        STATUS,
        RealtimeModelTurnStartedEvent,
        RealtimeModelAudioEvent,
        RealtimeModelAudioDoneEvent,
        RealtimeModelTurnEndedEvent,
        STATUS,
        RealtimeModelEndOfStreamEvent,
    )
    assert of(captured, RealtimeModelTranscriptDoneEvent)
    assert not of(captured, RealtimeModelExceptionEvent)
    assert not of(captured, RealtimeModelErrorEvent)


async def test_spoken_turn(bus, captured, virtual_time):
    """
    The service finds the end of the user's speech by itself, and answers.
    """
    async with talking(bus, speed=1) as (_, model):
        await speak(model, "Good morning", seconds_of_silence=2)
        await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=60)

    captured.assert_order(RealtimeModelInputSpeechStartedEvent, RealtimeModelTurnStartedEvent)
    assert not of(captured, RealtimeModelErrorEvent)


async def test_tool_call(bus, captured):
    """
    The call, its output, and the answer that the output makes.
    """
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    async with talking(bus, "weather", settings={"tools": [tool]}) as (_, model):
        await model.send_event(RealtimeModelSendUserInput("How is the weather in Oslo?"))
        call = await captured.wait_for(RealtimeModelToolCallEvent)
        # While the response that has called may still go on: the next one waits for its end.
        await model.send_event(RealtimeModelSendToolOutput(call, "rain", start_response=True))
        done = await captured.wait_for(
            RealtimeModelTranscriptDoneEvent, lambda e: "rain" in e.transcript
        )

    assert call.name == "get_weather"
    assert "Oslo" in done.transcript
    assert not of(captured, RealtimeModelErrorEvent)


@pytest.mark.parametrize("heard_ms", [300, 1234])
async def test_barge_in_truncates_at_what_was_heard(bus, captured, virtual_time, heard_ms):
    """
    The service confirms a truncation at the time from the first audio to the user's speech.
    """
    loop = asyncio.get_running_loop()
    async with talking(bus, "barge_in", speed=1) as (service, model):
        await model.send_event(RealtimeModelSendUserInput("Tell me a story."))
        first = await captured.wait_for(RealtimeModelAudioEvent)
        began = loop.time()
        await asyncio.sleep(heard_ms / 1000)
        speaking = asyncio.create_task(speak(model, "Stop, please"))
        await captured.wait_for(RealtimeModelAudioInterruptedEvent, timeout=60)
        interrupted_ms = (loop.time() - began) * 1000
        truncated = await captured.wait_for(RealtimeModelItemTruncatedEvent, timeout=60)
        await speaking

    assert truncated.item_id == first.item_id
    assert truncated.audio_end_ms == pytest.approx(interrupted_ms, abs=25)
    received = of(captured, RealtimeModelAudioEvent)
    received_ms = sum(
        PCM16.duration_ms(len(e.data)) for e in received if e.item_id == first.item_id
    )
    assert truncated.audio_end_ms <= received_ms
    after = captured.events[captured.events.index(truncated) :]
    assert not [
        e
        for e in after
        if getattr(e, "response_id", "") == first.response_id
        and isinstance(e, RealtimeModelAudioEvent)
    ]
    assert not of(captured, RealtimeModelErrorEvent)
    assert service.connections == 1


async def test_interrupt_ends_the_turn(bus, captured, virtual_time):
    """
    The application can do the same, and the service knows where the user stopped listening.
    """
    async with talking(bus, "barge_in", speed=1) as (_, model):
        await model.send_event(RealtimeModelSendUserInput("Tell me a story."))
        await captured.wait_for(RealtimeModelAudioEvent)
        await asyncio.sleep(0.5)
        await model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))
        truncated = await captured.wait_for(RealtimeModelItemTruncatedEvent)
        ended = await captured.wait_for(RealtimeModelTurnEndedEvent)
        await say(model, captured)

    assert truncated.audio_end_ms == pytest.approx(500, abs=25)
    assert ended.status == "cancelled"
    assert not of(captured, RealtimeModelErrorEvent)


async def test_nothing_is_truncated_when_the_user_speaks_after_the_answer(
    bus, captured, virtual_time
):
    """
    An answer that was heard in full stays as it is.
    """
    async with talking(bus, speed=1) as (service, model):
        await say(model, captured)
        await asyncio.sleep(60)
        await speak(model, "Thank you")
        await captured.wait_for(RealtimeModelInputSpeechStartedEvent)

    assert "conversation.item.truncate" not in [each["type"] for each in service.received]


# --- faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "close=1011", "close=1012"])
async def test_connection_that_is_lost_in_a_response_is_replaced(bus, captured, fault):
    """
    The turn ends, and the next one is answered over another connection.
    """
    async with talking(bus, faults=fault) as (service, model):
        await say(model, captured)
        await captured.wait_for(STATUS, lambda _: len(of(captured, STATUS)) == 4)
        await say(model, captured)

    first, second = of(captured, RealtimeModelTurnEndedEvent)
    assert (first.status, second.status) == ("failed", "completed")
    assert [each.status for each in of(captured, STATUS)] == [
        *["connecting", "connected"] * 2,
        "disconnected",
    ]
    assert len(of(captured, RealtimeModelEndOfStreamEvent)) == 1
    assert service.connections == 2


@pytest.mark.parametrize(("fault", "code"), [("drop", 1006), ("close=4001", 4001)])
async def test_connection_that_stays_lost_ends_the_stream(bus, captured, fault, code):
    """
    Exception, the end of the turn, disconnected, and the end of the stream.
    """
    reconnect = None if fault == "drop" else AT_ONCE
    async with talking(bus, faults=fault, reconnect=reconnect) as (_, model):
        await say(model, captured)
        await captured.wait_for(RealtimeModelEndOfStreamEvent)

    found = captured.assert_order(
        RealtimeModelExceptionEvent,
        RealtimeModelTurnEndedEvent,
        STATUS,
        RealtimeModelEndOfStreamEvent,
    )
    assert isinstance(found[0].exception, RealtimeConnectionError)
    assert found[0].exception.code == code


async def test_malformed_frame_is_an_exception_and_no_end(bus, captured):
    """
    The turn goes on around it.
    """
    async with talking(bus, faults="malformed") as (_, model):
        await say(model, captured)

    (event,) = of(captured, RealtimeModelExceptionEvent)
    assert isinstance(event.exception, FrameError)
    assert of(captured, RealtimeModelTurnEndedEvent)[0].status == "completed"


async def test_unknown_event_is_other(bus, captured):
    """
    And nothing else changes.
    """
    async with talking(bus, faults="unknown") as (_, model):
        await say(model, captured)

    assert of(captured, RealtimeModelOtherEvent)
    assert not of(captured, RealtimeModelExceptionEvent)


async def test_error_event_does_not_end_the_session(bus, captured):
    """
    It is emitted, and the next turn is answered.
    """
    async with talking(bus, faults="error") as (_, model):
        await say(model, captured)
        await say(model, captured)

    assert of(captured, RealtimeModelErrorEvent)
    assert of(captured, RealtimeModelTurnEndedEvent)[-1].status == "completed"


async def test_stall_is_sat_out(bus, captured, virtual_time):
    """
    A service that says nothing for a while ends nothing.
    """
    async with talking(bus, faults="stall=5s", speed=1) as (service, model):
        await model.send_event(RealtimeModelSendUserInput("Hello!"))
        await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=60)

    assert service.connections == 1


@pytest.mark.parametrize("fault", ["duplicate-audio", "late-audio"])
async def test_more_audio_than_there_should_be_changes_no_turn(bus, captured, fault):
    """
    It is emitted as it comes: the service decides which audio is to be heard.
    """
    async with talking(bus, faults=fault) as (_, model):
        await say(model, captured)
        await say(model, captured)

    assert len(of(captured, RealtimeModelTurnEndedEvent)) == 2
    assert not of(captured, RealtimeModelErrorEvent)


async def test_late_audio_of_an_interrupted_response_is_not_emitted(bus, captured, virtual_time):
    """
    Not even after the response is over.
    """
    async with talking(bus, "barge_in", faults="late-audio", speed=1) as (_, model):
        await model.send_event(RealtimeModelSendUserInput("Tell me a story."))
        await captured.wait_for(RealtimeModelAudioEvent)
        await asyncio.sleep(0.5)
        await model.send_event(RealtimeModelSendInterrupt(force_response_cancel=True))
        interrupted = await captured.wait_for(RealtimeModelAudioInterruptedEvent)
        await captured.wait_for(RealtimeModelTurnEndedEvent)
        await asyncio.sleep(5)

    after = captured.events[captured.events.index(interrupted) :]
    assert not [event for event in after if isinstance(event, RealtimeModelAudioEvent)]


@pytest.mark.parametrize(("fault", "status"), [("fail", "failed"), ("incomplete", "incomplete")])
async def test_response_that_ends_badly_is_a_turn_that_ended(bus, captured, fault, status):
    """
    With its status, and the next one is answered.
    """
    async with talking(bus, faults=fault) as (_, model):
        await say(model, captured)
        await say(model, captured)

    ends = of(captured, RealtimeModelTurnEndedEvent)
    assert [end.status for end in ends] == [status, "completed"]


async def test_transcription_that_fails_is_an_event(bus, captured, virtual_time):
    """
    The user's turn is answered all the same.
    """
    settings = {"input_audio_transcription": {"model": "whisper-1"}}
    async with talking(bus, faults="no-transcript", speed=1, settings=settings) as (_, model):
        await speak(model, "Good morning", seconds_of_silence=2)
        await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=60)
        await captured.wait_for(RealtimeModelInputAudioTranscriptionFailedEvent, timeout=60)

    assert not of(captured, RealtimeModelInputAudioTranscriptionCompletedEvent)


async def test_refused_connection_is_told(bus, captured):
    """
    With the status, and the remedy for it.
    """
    with pytest.raises(RealtimeConnectionError, match="later") as caught:
        async with talking(bus, faults="refuse=503"):
            pass

    assert caught.value.code == 503


async def test_wrong_key_is_told(bus, captured):
    """
    The line says that it is the key, and doesn't say which.
    """
    with pytest.raises(RealtimeConnectionError, match="refused the key") as caught:
        async with talking(bus, api_key="the right one"):
            pass

    assert "none" not in str(caught.value)


async def test_connection_refused_once_is_tried_again_when_one_was_lost(bus, captured):
    """
    A service that restarts may not take the first attempt.
    """
    async with talking(bus, faults="drop refuse=503@2") as (service, model):
        await say(model, captured)
        await captured.wait_for(STATUS, lambda _: len(of(captured, STATUS)) == 4)
        await say(model, captured)

    assert of(captured, RealtimeModelTurnEndedEvent)[-1].status == "completed"
    assert service.connections >= 2


async def test_response_without_an_end_blocks_no_spoken_turn(bus, captured, virtual_time):
    """
    The next response that the service begins is the end of the one before.
    """
    async with talking(bus, faults="no-done", speed=1) as (_, model):
        await model.send_event(RealtimeModelSendUserInput("Hello!"))
        await captured.wait_for(RealtimeModelAudioDoneEvent, timeout=60)
        await speak(model, "Good morning", seconds_of_silence=2)
        await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=60)
        await say(model, captured)

    assert len(of(captured, RealtimeModelTurnEndedEvent)) == 2


async def test_response_without_an_end_blocks_no_written_turn_for_ever(bus, captured, virtual_time):
    """
    If nothing has come for long enough, the stream ends for its iterators.
    """
    async with talking(bus, faults="no-done", speed=1) as (_, model):
        await model.send_event(RealtimeModelSendUserInput("Hello!"))
        await captured.wait_for(RealtimeModelAudioDoneEvent, timeout=60)
        await model.send_event(RealtimeModelSendUserInput("Hello?"))
        await captured.wait_for(RealtimeModelTurnEndedEvent, timeout=120)

    assert len(of(captured, RealtimeModelTurnStartedEvent)) == 2
