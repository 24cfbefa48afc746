"""
pipecat: its service for OpenAI's Realtime API, in a pipeline of its own.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.clients.conftest import refusals, status_of_the_answer

pytest.importorskip("pipecat.services.openai.realtime.llm")

from pipecat.frames.frames import EndFrame, LLMContextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService


async def perform(place, frames, until):
    """
    Run a pipeline of the service alone, send *frames* into it, and end it after *until*.
    """
    service = OpenAIRealtimeLLMService(api_key="none", base_url=place.url)

    task = PipelineTask(Pipeline([service]), params=PipelineParams(audio_in_sample_rate=24_000))
    running = asyncio.ensure_future(PipelineRunner(handle_sigint=False).run(task))
    await task.queue_frames(frames)
    try:
        async with asyncio.timeout(20):
            await until()
    finally:
        await task.queue_frame(EndFrame())
        await asyncio.wait({running}, timeout=10)


def context(text):
    return LLMContextFrame(LLMContext([{"role": "user", "content": text}]))


def said(simulator):
    done = "response.output_audio_transcript.done"
    return [event["transcript"] for event in simulator.sent if event["type"] == done]


async def test_text(service):
    """
    A context with a message is answered.
    """
    simulator, place = service
    await perform(place, [context("Hello")], lambda: status_of_the_answer(simulator))

    assert said(simulator) == ["You said: Hello"]
    assert refusals(simulator) == []
