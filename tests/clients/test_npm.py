"""
npm's clients, each a program for Node with the same scenarios.

* openai: its Realtime client, which speaks TLS only.
* @openai/agents-realtime: an agent in a session over a WebSocket.
"""

from __future__ import annotations

import pytest

from eventbus.simulator.speech import silence, speak
from tests.clients.conftest import needs_node, refusals, run_node, said

TLS = True
PROGRAMS = {"openai": "npm_openai.mjs", "@openai/agents-realtime": "npm_agents.mjs"}
pytestmark = [
    needs_node,
    pytest.mark.parametrize("client", [(name, f"npm {name}") for name in PROGRAMS], ids=PROGRAMS),
]


@pytest.fixture
def program(client):
    """
    The program of the client.
    """
    package, _ = client
    return PROGRAMS[package]


async def test_text(service, program, tmp_path):
    """
    A message is answered.
    """
    simulator, place = service
    await run_node(program, "text", place, tmp_path)

    assert said(simulator) == ["You said: Hello"]
    assert refusals(simulator) == []


async def test_audio_with_turn_detection(service, program, tmp_path):
    """
    Speech is noticed and answered.
    """
    simulator, place = service
    audio = tmp_path / "audio"
    audio.write_bytes(silence(300) + speak("Good morning") + silence(1_200))
    await run_node(program, "audio", place, tmp_path, audio)

    assert refusals(simulator) == []


async def test_tool_round(service, program, tmp_path):
    """
    A tool is called, and its output is answered.
    """
    simulator, place = service
    await run_node(program, "tool", place, tmp_path)

    assert said(simulator) == ["In Oslo: rain."]
    assert refusals(simulator) == []


async def test_interruption(service, program, tmp_path):
    """
    An answer that is interrupted ends as cancelled.
    """
    simulator, place = service
    await run_node(program, "interruption", place, tmp_path)

    assert refusals(simulator) == []
