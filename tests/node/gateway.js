// The gateway that `judges.py` has started, and what the tests know of what is behind it.

export const url = process.env.MESHGATE_URL;
export const key = process.env.MESHGATE_KEY;
export const model = "gpt-4o-mini";
// One for each dialect of an upstream.
export const models = {
  openai_chat: "gpt-4o-mini",
  anthropic_messages: "claude",
  gemini_generate: "gemini-3-flash-preview",
};
export const oneTry = "one-try"; // the same, asked once
export const text = "The quick brown fox jumps over the lazy dog.";
export const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

/** All that a stream brings. */
export async function gathered(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return pieces;
}
