// OpenAI's own SDK for Node against Runestone: only the address and the key are different.
//
//   npm install openai
//   export RUNESTONE_API_KEY=sk-rs-…
//   node docs/examples/client.mjs

import OpenAI from "openai";

const url = process.env.RUNESTONE_URL ?? "http://localhost:4001";
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.RUNESTONE_API_KEY });
const messages = [{ role: "user", content: "Say hello." }];

// An answer as a whole. Runestone's own fields ride beside OpenAI's.
const answer = await client.chat.completions.create({
  model: "gpt-4o-mini",
  messages,
  request_id: "order-17",
});
console.log("answer:", answer.choices[0].message.content);
console.log("by:", answer.provider, "as", answer.request_id);

// A stream, with what it used in its last chunk.
const stream = await client.chat.completions.create({
  model: "gpt-4o-mini",
  messages,
  stream: true,
  stream_options: { include_usage: true },
});
process.stdout.write("stream: ");
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(` (${chunk.usage.total_tokens} tokens)`);
}

// What can be asked, and what it costs.
for await (const model of client.models.list()) {
  console.log("model:", model.id, model.cost_per_1k_tokens);
}

// Errors are the SDK's own.
try {
  await client.chat.completions.create({ model: "nothing", messages });
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.log("error:", error.status, error.code);
}
