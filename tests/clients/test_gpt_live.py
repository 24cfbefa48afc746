"""
GPT-Live as pydantic-ai and pipecat speak it.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus import EventBus
from eventbus.events import RealtimeModelToolCallEvent, RealtimeModelTranscriptDoneEvent
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Simulator
from eventbus.simulator.speech import silence, speak
from eventbus.testing import capture
from tests.clients.conftest import SCENARIO, SECONDS, has_sent, refusals, until

TOOL = {"name": "get_weather", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(params=["direct", "proxy"])
async def service(request):
    """
    A simulator, its address or that of a proxy before it, and the proxy's events.
    """
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(SCENARIO))
        if request.param == "direct":
            yield simulator, simulator, None
            return
        bus = await stack.enter_async_context(EventBus())
        captured = stack.enter_context(capture(bus))
        proxy = await stack.enter_async_context(RealtimeProxy(simulator.live_url, bus))
        yield simulator, proxy, captured


def said(simulator):
    """
    Return the words of the model so far.
    """
    type_ = "session.output_transcript.delta"
    return "".join(frame["delta"] for frame in simulator.sent if frame["type"] == type_)


def check_proxied(captured, words):
    """
    Check that the proxy has decoded the session in the same way.
    """
    if captured is not None:
        kinds = {type(event) for event in captured.events}
        assert RealtimeModelToolCallEvent in kinds
        done = [e for e in captured.events if type(e) is RealtimeModelTranscriptDoneEvent]
        assert [event.transcript for event in done] == [words]


async def test_pydantic_ai(service):
    """
    Its agent types a question, the backend calls its tool, and the answer is spoken.
    """
    openai_live = pytest.importorskip("pydantic_ai.realtime.openai_live")
    from pydantic_ai import Agent  # installed for these tests only
    from pydantic_ai.providers.openai import OpenAIProvider

    simulator, place, captured = service
    agent = Agent(instructions="Be brief.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        return f"rain in {city}"

    model = openai_live.OpenAILiveModel(
        "gpt-live-1",
        provider=OpenAIProvider(base_url=place.base_url, api_key="none"),
        settings={
            "openai_live_idle_audio": True,
            "openai_live_delegation": {"model": "gpt-6-sol"},
        },
    )
    async with agent.realtime(model).session() as session:
        await session.send("How is the weather?")
        async with asyncio.timeout(SECONDS):
            async for _ in session:
                if said(simulator) == "In Oslo: rain in Oslo.":
                    break
        await asyncio.sleep(0)

    assert refusals(simulator) == []
    check_proxied(captured, "In Oslo: rain in Oslo.")


async def test_pipecat(service):
    """
    Its service hears a caller, the backend calls its function, and the answer is spoken.
    """
    llm = pytest.importorskip("pipecat.services.openai.live.llm")
    from pipecat.adapters.schemas.function_schema import FunctionSchema
    from pipecat.adapters.schemas.tools_schema import ToolsSchema
    from pipecat.frames.frames import (
        EndFrame,
        InputAudioRawFrame,
        LLMContextFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.runner import PipelineRunner
    from pipecat.pipeline.task import PipelineParams, PipelineTask
    from pipecat.processors.aggregators.llm_context import LLMContext

    simulator, place, captured = service
    responses = pytest.importorskip("pipecat.services.openai.responses.llm")
    backend = responses.OpenAIResponsesLLMSettings(model="gpt-6-sol")
    model = llm.OpenAILiveLLMService(
        api_key="none",
        base_url=f"{place.base_url.replace('http', 'ws', 1)}/live/sessions",
        delegation=llm.ResponsesDelegation(backend),
    )

    async def get_weather(params):
        await params.result_callback("rain")

    model.register_function("get_weather", get_weather)
    task = PipelineTask(Pipeline([model]), params=PipelineParams(audio_in_sample_rate=24_000))
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    try:
        schema = FunctionSchema(description="The weather.", **TOOL)
        context = LLMContext([], ToolsSchema(standard_tools=[schema]))
        await task.queue_frame(LLMContextFrame(context))
        await until(has_sent(simulator, "session.started"))

        async def send(piece):
            await task.queue_frame(
                InputAudioRawFrame(audio=piece, sample_rate=24_000, num_channels=1)
            )

        # Until pipecat has taken note of the session, it drops the audio.
        while not any(each["type"] == "session.input_audio.append" for each in simulator.received):
            await send(silence(20))
            await asyncio.sleep(0.02)
        audio = speak("How is the weather?") + silence(6_000)
        for start in range(0, len(audio), 960):
            await send(audio[start : start + 960])
        await until(lambda: said(simulator) == "In Oslo: rain.")
    finally:
        await task.queue_frame(EndFrame())
        await asyncio.wait({running}, timeout=10)

    assert refusals(simulator) == []
    check_proxied(captured, "In Oslo: rain.")
