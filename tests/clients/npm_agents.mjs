// npm's @openai/agents-realtime: an agent in a session, a scenario of its arguments each.
import { readFileSync } from "node:fs";
import assert from "node:assert";
import {
  OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession,
} from "@openai/agents-realtime";
import { z } from "zod";
import { tool } from "@openai/agents-core";

const [scenario, file] = process.argv.slice(2);
const getWeather = tool({
  name: "get_weather",
  description: "Return the weather of a city.",
  parameters: z.object({ city: z.string() }),
  execute: async () => "rain",
});
const agent = new RealtimeAgent({ name: "clerk", instructions: "Be brief.", tools: [getWeather] });
const transport = new OpenAIRealtimeWebSocket({ useInsecureApiKey: true });
const session = new RealtimeSession(agent, { transport, model: "gpt-realtime" });
session.on("error", (error) => { console.error(error); process.exit(1); });

const next = (type, count = 1) => new Promise((resolve) => {
  transport.on(type, (event) => { count -= 1; if (count === 0) resolve(event); });
});
const answer = next("response.output_audio_transcript.done");
const done = next("response.done");

const scenarios = {
  async text() {
    session.sendMessage("Hello");
    assert.equal((await answer).transcript, "You said: Hello");
  },
  async audio() {
    const audio = new Uint8Array(readFileSync(file));
    const heard = next("input_audio_buffer.speech_started");
    for (let start = 0; start < audio.length; start += 4800) {
      session.sendAudio(audio.slice(start, start + 4800).buffer);
    }
    await heard;
    assert.equal((await answer).transcript, "You said: Good morning");
  },
  async tool() {
    session.sendMessage("How is the weather?");
    assert.equal((await answer).transcript, "In Oslo: rain.");
  },
  async interruption() {
    session.sendMessage("Tell me a story");
    await next("response.output_audio.delta");
    session.interrupt();
    assert.equal((await done).response.status, "cancelled");
  },
};

await session.connect({ apiKey: "none", url: process.env.REALTIME_URL });
await scenarios[scenario]();
session.close();
