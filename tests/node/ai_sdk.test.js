import assert from "node:assert/strict";
import test from "node:test";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "ai";

import { gathered, key, models, oneTry, parameters, text, url } from "./gateway.js";

globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key });
const ways = [
  ["openai_chat", (name) => openai.chat(name)],
  ["openai_responses", (name) => openai.responses(name)],
  ["anthropic_messages", (name) => anthropic(name)],
];
const place = {
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
  additionalProperties: false,
};

/** The tool, which notes for which cities it was called. */
function noting(cities) {
  const execute = ({ city }) => {
    cities.push(city);
    return "sunny";
  };
  return { get_weather: tool({ inputSchema: jsonSchema(parameters), execute }) };
}

for (const [dialect, way] of ways) {
  for (const [upstream, name] of Object.entries(models)) {
    const pair = `from ${upstream} by way of ${dialect}`;

    test(`a text is generated ${pair}`, async () => {
      const answer = await generateText({ model: way(name), prompt: "hello", maxRetries: 0 });

      assert.equal(answer.text, text);
      assert.equal(answer.finishReason, "stop");
      assert.ok(answer.usage.outputTokens > 0);
    });

    test(`a text is streamed ${pair}`, async () => {
      const answer = streamText({ model: way(name), prompt: "hello", maxRetries: 0 });

      const pieces = await gathered(answer.textStream);

      assert.equal(pieces.join(""), text);
      assert.ok(pieces.length > 1);
      assert.equal(await answer.finishReason, "stop");
    });

    test(`tools are called and their results given back ${pair}`, async () => {
      const cities = [];
      const answer = streamText({
        model: way(name),
        prompt: "the weather in Paris?",
        tools: noting(cities),
        stopWhen: stepCountIs(2),
        maxRetries: 0,
      });

      const steps = await answer.steps;

      // The fake model asks again in each step: it hears of the weather in each.
      assert.deepEqual(cities, ["Paris", "Paris"]);
      assert.deepEqual(steps.map((step) => step.toolResults[0].output), ["sunny", "sunny"]);
    });

    test(`an object is generated ${pair}`, async () => {
      const { output } = await generateText({
        model: way(name),
        prompt: "Paris in JSON",
        output: Output.object({ schema: jsonSchema(place) }),
        maxRetries: 0,
      });

      assert.equal(output.city, "Paris");
    });
  }

  test(`a stream that fails has failed by way of ${dialect}`, async () => {
    const errors = [];
    const answer = streamText({
      model: way(oneTry),
      prompt: "failing",
      maxRetries: 0,
      onError: ({ error }) => errors.push(error),
    });

    await answer.consumeStream();

    assert.ok(errors.length > 0);
  });
}
