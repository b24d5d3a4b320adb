import assert from "node:assert/strict";
import test from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { key, model, oneTry, parameters, speaking, text, url } from "./gateway.js";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const options = speaking("anthropic_messages");
const tool = { name: "get_weather", input_schema: parameters };
const asking = (content, more = {}) => ({
  model,
  max_tokens: 100,
  messages: [{ role: "user", content }],
  ...more,
});

test("a message is answered with usage", options, async () => {
  const answer = await client.messages.create(asking("hello", { system: "Be brief." }));

  assert.equal(answer.content[0].text, text);
  assert.equal(answer.stop_reason, "end_turn");
  assert.ok(answer.usage.output_tokens > 0);
});

test("the streaming helper puts a message together", options, async () => {
  const pieces = [];
  const stream = client.messages.stream(asking("hello")).on("text", (piece) => pieces.push(piece));

  const answer = await stream.finalMessage();

  assert.equal(answer.content[0].text, text);
  assert.equal(pieces.join(""), text);
  assert.ok(pieces.length > 1);
});

test("the streaming helper puts tool calls together", options, async () => {
  const stream = client.messages.stream(asking("the weather in Paris?", { tools: [tool] }));

  const answer = await stream.finalMessage();

  const call = answer.content.find((block) => block.type === "tool_use");
  assert.deepEqual(call.input, { city: "Paris" });
  assert.equal(answer.stop_reason, "tool_use");
});

test("a tool's result is sent back", options, async () => {
  const call = { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Paris" } };
  const result = { type: "tool_result", tool_use_id: "toolu_1", content: "Rain" };

  const answer = await client.messages.create({
    model,
    max_tokens: 100,
    tools: [tool],
    messages: [
      { role: "user", content: "hello" },
      { role: "assistant", content: [call] },
      { role: "user", content: [result] },
    ],
  });

  assert.equal(answer.content[0].text, text);
});

for (const [words, status, error] of [
  ["nonsense", 400, Anthropic.BadRequestError],
  ["too much", 429, Anthropic.RateLimitError],
]) {
  test(`what the upstream answers with ${status} is the SDK's own error`, options, async () => {
    const asked = client.messages.create(asking(words, { model: oneTry }));

    await assert.rejects(asked, error);
  });
}

for (const words of ["broken off", "failing"]) {
  test(`a stream that is ${words} never looks complete`, options, async () => {
    const stream = client.messages.stream(asking(words, { model: oneTry }));

    await assert.rejects(stream.finalMessage(), Anthropic.APIError);
  });
}
