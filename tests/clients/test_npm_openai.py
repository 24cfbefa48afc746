"""
npm's openai: its Realtime client for Node, which speaks TLS only.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil

import pytest

from eventbus import EventBus
from eventbus.realtime.proxy import RealtimeProxy
from eventbus.simulator import Simulator
from tests.clients.conftest import SCENARIO, refusals

MODULES = os.environ.get("EVENTBUS_NODE_MODULES", "")  # an absolute path
pytestmark = pytest.mark.skipif(
    not MODULES or shutil.which("node") is None,
    reason="EVENTBUS_NODE_MODULES names no folder with npm's openai and ws, or there is no node",
)

PROGRAM = """
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import OpenAI from "openai";
const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, new OpenAI());
const tool = { type: "function", name: "get_weather", parameters: { type: "object" } };
const say = (text) => {
  const content = [{ type: "input_text", text }];
  rt.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  rt.send({ type: "response.create" });
};
rt.on("error", (error) => { console.error(error); process.exit(1); });
rt.socket.on("open", () => {
  const session = { type: "realtime", output_modalities: ["text"], tools: [tool] };
  rt.send({ type: "session.update", session });
  say("How is the weather?");
});
rt.on("response.function_call_arguments.done", (call) => {
  const item = { type: "function_call_output", call_id: call.call_id, output: "rain" };
  rt.send({ type: "conversation.item.create", item });
  rt.on("response.done", () => {});
});
let count = 0;
rt.on("response.done", () => {
  count += 1;
  if (count === 1) rt.send({ type: "response.create" });
  if (count === 2) rt.close();
});
rt.on("response.output_text.done", (event) => console.log(JSON.stringify(event.text)));
"""


async def run(place, folder):
    program = folder / "client.mjs"
    program.write_text(PROGRAM, encoding="utf-8")
    (folder / "node_modules").symlink_to(MODULES)
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": place.base_url,
        "OPENAI_API_KEY": "none",
        "NODE_EXTRA_CA_CERTS": str(place.ca_file),
    }
    process = await asyncio.create_subprocess_exec(
        "node", str(program), env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("through_proxy", [False, True])
async def test_tool_round_over_tls(tmp_path, through_proxy):
    """
    A program of the SDK, that trusts the certificate's file, has its tool called and answered.
    """
    async with Simulator(SCENARIO, tls=not through_proxy) as simulator, EventBus() as bus:
        if through_proxy:
            async with RealtimeProxy(simulator.url, bus, tls=True) as proxy:
                said = await run(proxy, tmp_path)
        else:
            said = await run(simulator, tmp_path)

    assert said == ["In Oslo: rain."]
    assert refusals(simulator) == []
