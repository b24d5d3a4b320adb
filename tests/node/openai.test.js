import assert from "node:assert/strict";
import test from "node:test";

import OpenAI from "openai";

import { gathered, key, model, oneTry, parameters, text, url } from "./gateway.js";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const tool = { type: "function", function: { name: "get_weather", parameters, strict: true } };
const says = (content) => [{ role: "user", content }];

test("a chat is answered with usage", async () => {
  const answer = await client.chat.completions.create({ model, messages: says("hello") });

  assert.equal(answer.choices[0].message.content, text);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
});

test("a stream is answered in order and ends with usage", async () => {
  const stream = await client.chat.completions.create({
    model,
    messages: says("hello"),
    stream: true,
    stream_options: { include_usage: true },
  });

  const chunks = await gathered(stream);

  const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.equal(said, text);
  assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("the streaming helper puts tool calls together", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: says("the weather in Paris?"),
    tools: [tool],
  });

  const answer = await stream.finalChatCompletion();

  const call = answer.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("an answer with a schema is parsed", async () => {
  const answer = await client.chat.completions.parse({
    model,
    messages: says("Paris in JSON"),
    response_format: {
      type: "json_schema",
      json_schema: { name: "place", schema: { type: "object" }, strict: true },
    },
  });

  assert.equal(JSON.parse(answer.choices[0].message.content).degrees, 21);
});

test("a completion is streamed", async () => {
  const stream = await client.completions.create({ model, prompt: "hello", stream: true });

  const chunks = await gathered(stream);

  assert.equal(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), text);
});

test("embeddings come as numbers", async () => {
  const answer = await client.embeddings.create({
    model: "text-embedding-3-small",
    input: ["one", "two"],
  });

  assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
  assert.equal(typeof answer.data[0].embedding[0], "number");
});

test("the models are listed", async () => {
  const models = await gathered(client.models.list());

  assert.ok(models.some((listed) => listed.id === model));
});

for (const [words, status, error] of [
  ["nonsense", 400, OpenAI.BadRequestError],
  ["too much", 429, OpenAI.RateLimitError],
]) {
  test(`what the upstream answers with ${status} is the SDK's own error`, async () => {
    const asked = client.chat.completions.create({ model: oneTry, messages: says(words) });

    await assert.rejects(asked, error);
  });
}

test("a wrong key is an authentication error", async () => {
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "mg-wrong-key", maxRetries: 0 });

  const asked = stranger.chat.completions.create({ model, messages: says("hello") });

  await assert.rejects(asked, OpenAI.AuthenticationError);
});

for (const words of ["broken off", "failing"]) {
  test(`a stream that is ${words} never looks complete`, async () => {
    const question = { model: oneTry, messages: says(words), stream: true };

    const asked = client.chat.completions.create(question).then(gathered);

    await assert.rejects(asked, OpenAI.APIError);
  });
}

test("a response is answered", async () => {
  const answer = await client.responses.create({ model, input: "hello", store: false });

  assert.equal(answer.output_text, text);
  assert.equal(answer.status, "completed");
});

test("a response is streamed", async () => {
  const stream = client.responses.stream({ model, input: "hello", store: false });

  const answer = await stream.finalResponse();

  assert.equal(answer.output_text, text);
});
