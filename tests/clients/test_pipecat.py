"""
pipecat: its service for OpenAI's Realtime API, in a pipeline with its context.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from eventbus.simulator.speech import silence, speak
from tests.clients.conftest import (
    has_sent,
    refusals,
    said,
    status_of_the_answer,
    until,
)

pytest.importorskip("pipecat.services.openai.realtime.llm")

from pipecat.frames.frames import EndFrame, InputAudioRawFrame, LLMContextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

CLIENT = ("pipecat-ai", "pipecat")


@contextlib.asynccontextmanager
async def pipeline(service, tools=()):
    """
    A pipeline that runs, after its session is set up: audio that comes before, pipecat drops.
    """
    simulator, place = service
    model = OpenAIRealtimeLLMService(api_key="none", base_url=place.url)
    for tool in tools:
        model.register_function(tool.__name__, tool)
    aggregators = LLMContextAggregatorPair(LLMContext([]))
    task = PipelineTask(
        Pipeline([aggregators.user(), model, aggregators.assistant()]),
        params=PipelineParams(audio_in_sample_rate=24_000),
    )
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    try:
        await until(has_sent(simulator, "session.updated"))
        yield task, simulator
    finally:
        await task.queue_frame(EndFrame())
        await asyncio.wait({running}, timeout=10)


def context(text):
    return LLMContextFrame(LLMContext([{"role": "user", "content": text}]))


async def push(task, audio):
    for start in range(0, len(audio), 960):
        piece = audio[start : start + 960]
        frame = InputAudioRawFrame(audio=piece, sample_rate=24_000, num_channels=1)
        await task.queue_frame(frame)
        await asyncio.sleep(0.005)


async def test_text(service):
    """
    A context with a message is answered.
    """
    async with pipeline(service) as (task, simulator):
        await task.queue_frame(context("Hello"))
        await status_of_the_answer(simulator)

    assert said(simulator) == ["You said: Hello"]
    assert refusals(simulator) == []


async def test_audio_with_turn_detection(service):
    """
    Speech is noticed and answered.
    """
    async with pipeline(service) as (task, simulator):
        await push(task, silence(300) + speak("Good morning") + silence(1_200))
        await status_of_the_answer(simulator)

    assert said(simulator) == ["You said: Good morning"]
    assert refusals(simulator) == []


async def test_tool_round(service):
    """
    A tool is called, and its output is answered.
    """

    async def get_weather(params):
        await params.result_callback("rain")

    async with pipeline(service, [get_weather]) as (task, simulator):
        await task.queue_frame(context("How is the weather?"))
        await until(lambda: said(simulator))

    assert said(simulator) == ["In Oslo: rain."]
    assert refusals(simulator) == []


async def test_interruption(service):
    """
    A caller who speaks ends the answer, and the client cuts its item where it was heard.

    With the service's turn detection pipecat leaves the cancelling to the service: an
    InterruptionFrame alone cuts the item, and sends no response.cancel.
    """
    async with pipeline(service) as (task, simulator):
        await task.queue_frame(context("Tell me a story"))
        await until(has_sent(simulator, "response.output_audio.delta"))
        await push(task, silence(300) + speak("Stop it, please") + silence(1_200))
        assert await status_of_the_answer(simulator) == "cancelled"
        await until(has_sent(simulator, "conversation.item.truncated"))

    assert refusals(simulator) == []
