// npm's openai: its Realtime client for Node, a scenario of its arguments each.
import { readFileSync } from "node:fs";
import assert from "node:assert";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

const [scenario, file] = process.argv.slice(2);
const rt = new OpenAIRealtimeWS({ model: "gpt-realtime" }, new OpenAI());
rt.on("error", (error) => { console.error(error); process.exit(1); });

const next = (type) => new Promise((resolve) => rt.once(type, resolve));
const say = (text) => {
  const content = [{ type: "input_text", text }];
  rt.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  rt.send({ type: "response.create" });
};

const scenarios = {
  async text() {
    say("Hello");
    const done = await next("response.output_audio_transcript.done");
    assert.equal(done.transcript, "You said: Hello");
  },
  async audio() {
    const audio = readFileSync(file);
    const heard = next("input_audio_buffer.speech_started");
    const answer = next("response.output_audio_transcript.done");
    for (let start = 0; start < audio.length; start += 4800) {
      const piece = audio.subarray(start, start + 4800).toString("base64");
      rt.send({ type: "input_audio_buffer.append", audio: piece });
    }
    await heard;
    assert.equal((await answer).transcript, "You said: Good morning");
  },
  async tool() {
    const tools = [{ type: "function", name: "get_weather", parameters: { type: "object" } }];
    rt.send({ type: "session.update", session: { type: "realtime", tools } });
    say("How is the weather?");
    const done = next("response.done");
    const call = await next("response.function_call_arguments.done");
    await done;
    const item = { type: "function_call_output", call_id: call.call_id, output: "rain" };
    rt.send({ type: "conversation.item.create", item });
    rt.send({ type: "response.create" });
    const answer = await next("response.output_audio_transcript.done");
    assert.equal(answer.transcript, "In Oslo: rain.");
  },
  async interruption() {
    say("Tell me a story");
    await next("response.output_audio.delta");
    const done = next("response.done");
    rt.send({ type: "response.cancel" });
    assert.equal((await done).response.status, "cancelled");
  },
};

await new Promise((resolve) => rt.socket.on("open", resolve));
await scenarios[scenario]();
rt.close();
