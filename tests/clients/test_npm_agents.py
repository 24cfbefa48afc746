"""
npm's @openai/agents-realtime: an agent in a session over a WebSocket.
"""

from __future__ import annotations

from eventbus.simulator.speech import silence, speak
from tests.clients.conftest import needs_node, refusals, run_node, said

CLIENT = ("@openai/agents-realtime", "npm @openai/agents-realtime")
TLS = True
PROGRAM = "npm_agents.mjs"
pytestmark = needs_node


async def test_text(service, tmp_path):
    """
    A message is answered.
    """
    simulator, place = service
    await run_node(PROGRAM, "text", place, tmp_path)

    assert said(simulator) == ["You said: Hello"]
    assert refusals(simulator) == []


async def test_audio_with_turn_detection(service, tmp_path):
    """
    Speech is noticed and answered.
    """
    simulator, place = service
    audio = tmp_path / "audio"
    audio.write_bytes(silence(300) + speak("Good morning") + silence(1_200))
    await run_node(PROGRAM, "audio", place, tmp_path, audio)

    assert refusals(simulator) == []


async def test_tool_round(service, tmp_path):
    """
    A tool is called, and its output is answered.
    """
    simulator, place = service
    await run_node(PROGRAM, "tool", place, tmp_path)

    assert said(simulator) == ["In Oslo: rain."]
    assert refusals(simulator) == []


async def test_interruption(service, tmp_path):
    """
    An answer that is interrupted ends as cancelled.
    """
    simulator, place = service
    await run_node(PROGRAM, "interruption", place, tmp_path)

    assert refusals(simulator) == []
