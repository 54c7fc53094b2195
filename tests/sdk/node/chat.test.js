import assert from 'node:assert/strict';
import { test } from 'node:test';

import { client, messages, models } from './stage.js';

const openai = client();
const model = 'gpt-4o-mini';

test('it works', async () => {
  const { data, request_id: id } = await openai.chat.completions
    .create({ model, messages })
    .withResponse();

  assert.equal(data.choices[0].message.content, 'The quick brown fox');
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.equal(data.object, 'chat.completion');
  assert.deepEqual([data.usage.prompt_tokens, data.usage.completion_tokens], [4, 4]);
  assert.match(id, /^req_[0-9a-f]{32}$/);
  assert.equal(data._request_id, id);
});

test('it streams', async () => {
  const stream = await openai.chat.completions.create({ model, messages, stream: true });
  let said = '';
  let finish;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    said += chunk.choices[0].delta.content ?? '';
    finish = chunk.choices[0].finish_reason ?? finish;
  }
  assert.equal(said, 'The quick brown fox');
  assert.equal(finish, 'stop');
});

test('a stream carries usage when asked', async () => {
  const stream = await openai.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, 8);
  assert.ok(chunks.every((chunk) => chunk.usage === null));
});

test('the stream helper puts the message together', async () => {
  const words = [];
  const stream = openai.chat.completions.stream({
    model,
    messages,
    stream_options: { include_usage: true },
  });
  stream.on('content', (delta) => words.push(delta));
  const final = await stream.finalChatCompletion();

  assert.deepEqual(words.filter(Boolean), ['The ', 'quick ', 'brown ', 'fox']);
  assert.equal(final.choices[0].message.content, 'The quick brown fox');
  assert.equal(await stream.finalContent(), 'The quick brown fox');
  assert.equal((await stream.totalUsage()).total_tokens, 8);
});

test('several choices', async () => {
  const answer = await openai.chat.completions.create({ model, messages, n: 3 });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
});

test('a refusal', async () => {
  const answer = await openai.chat.completions.create({ model: models.refusal, messages });
  assert.equal(answer.choices[0].message.content, null);
  assert.match(answer.choices[0].message.refusal, /sorry/);
});

test('structured output is parsed', async () => {
  const answer = await openai.chat.completions.parse({
    model,
    messages: [{ role: 'user', content: '{"city":"Paris"}' }],
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'place',
        strict: true,
        schema: {
          type: 'object',
          properties: { city: { type: 'string' } },
          required: ['city'],
          additionalProperties: false,
        },
      },
    },
  });
  assert.equal(JSON.parse(answer.choices[0].message.content).city, 'Paris');
});

const png =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
for (const address of [png, 'https://example.org/a.png']) {
  test(`an image at ${address.slice(0, 5)}`, async () => {
    const answer = await openai.chat.completions.create({
      model,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'What is this' },
            { type: 'image_url', image_url: { url: address, detail: 'low' } },
          ],
        },
      ],
    });
    assert.equal(answer.choices[0].message.content, 'What is this');
  });
}
