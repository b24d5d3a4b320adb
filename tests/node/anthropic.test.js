import assert from "node:assert/strict";
import test from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { key, models, oneTry, parameters, text, url } from "./gateway.js";

const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const tool = { name: "get_weather", input_schema: parameters };
const asking = (content, more = {}) => ({
  model: models.openai_chat,
  max_tokens: 100,
  messages: [{ role: "user", content }],
  ...more,
});

for (const [upstream, model] of Object.entries(models)) {
  test(`a message is answered with usage by ${upstream}`, async () => {
    const answer = await client.messages.create(asking("hello", { model, system: "Be brief." }));

    assert.equal(answer.content[0].text, text);
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.output_tokens > 0);
  });

  test(`the streaming helper puts a message of ${upstream} together`, async () => {
    const pieces = [];
    const stream = client.messages.stream(asking("hello", { model }));
    stream.on("text", (piece) => pieces.push(piece));

    const answer = await stream.finalMessage();

    assert.equal(answer.content[0].text, text);
    assert.equal(pieces.join(""), text);
    assert.ok(pieces.length > 1);
  });

  test(`tool calls of ${upstream} are put together, and results sent back`, async () => {
    const question = asking("the weather in Paris?", { model, tools: [tool] });
    const wish = await client.messages.stream(question).finalMessage();
    const calls = wish.content.filter((block) => block.type === "tool_use");
    const results = calls.map((call) => ({
      type: "tool_result",
      tool_use_id: call.id,
      content: "Rain",
    }));

    const answer = await client.messages.create({
      model,
      max_tokens: 100,
      tools: [tool],
      messages: [
        { role: "user", content: "hello" },
        { role: "assistant", content: wish.content },
        { role: "user", content: results },
      ],
    });

    assert.deepEqual(calls.map((call) => call.input), [{ city: "Paris" }]);
    assert.equal(wish.stop_reason, "tool_use");
    assert.equal(answer.content[0].text, text);
  });
}

for (const [words, status, error] of [
  ["nonsense", 400, Anthropic.BadRequestError],
  ["too much", 429, Anthropic.RateLimitError],
]) {
  test(`what the upstream answers with ${status} is the SDK's own error`, async () => {
    const asked = client.messages.create(asking(words, { model: oneTry }));

    await assert.rejects(asked, error);
  });
}

for (const words of ["broken off", "failing"]) {
  test(`a stream that is ${words} never looks complete`, async () => {
    const stream = client.messages.stream(asking(words, { model: oneTry }));

    await assert.rejects(stream.finalMessage(), Anthropic.APIError);
  });
}
