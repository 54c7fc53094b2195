import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';

import { client } from './stage.js';

const openai = client();

test('models', async () => {
  const names = [];
  for await (const model of openai.models.list()) names.push(model.id);
  assert.ok(names.includes('gpt-4o-mini'));
  assert.equal((await openai.models.retrieve('gpt-4o-mini')).object, 'model');
  await assert.rejects(openai.models.retrieve('org/none:free'), OpenAI.NotFoundError);
});

test('embeddings are asked for in base64 and come as numbers', async () => {
  const input = ['hello world', 'hello'];
  const model = 'text-embedding-3-small';
  const packed = await openai.embeddings.create({ model, input });
  const plain = await openai.embeddings.create({ model, input, encoding_format: 'float' });

  assert.equal(packed.data[0].embedding.length, 1536);
  assert.equal(packed.usage.prompt_tokens, 3);
  packed.data[1].embedding.forEach((value, at) => {
    assert.ok(Math.abs(value - plain.data[1].embedding[at]) < 1e-6);
  });
  const short = await openai.embeddings.create({ model, input: [1, 2, 3], dimensions: 8 });
  assert.equal(short.data[0].embedding.length, 8);
});

test('moderations', async () => {
  const answer = await openai.moderations.create({ input: ['peace', 'violence'] });
  assert.deepEqual(answer.results.map((result) => result.flagged), [false, true]);
  assert.equal(Object.keys(answer.results[0].category_scores).length, 13);
  const [seen] = (
    await openai.moderations.create({
      input: [{ type: 'image_url', image_url: { url: 'https://example.org/a.png' } }],
    })
  ).results;
  assert.deepEqual(seen.category_applied_input_types.violence, ['image']);
});

test('legacy completions', async () => {
  const model = 'gpt-3.5-turbo-instruct';
  const answer = await openai.completions.create({ model, prompt: ['a b', 'c'], n: 2 });
  assert.deepEqual(answer.choices.map((choice) => choice.text), ['a b', 'a b', 'c', 'c']);

  let said = '';
  for await (const chunk of await openai.completions.create({ model, prompt: 'a b', stream: true })) {
    said += chunk.choices[0].text;
  }
  assert.equal(said, 'a b');
});

test('responses', async () => {
  const model = 'gpt-4o-mini';
  const first = await openai.responses.create({ model, input: 'Hello' });
  assert.equal(first.output_text, 'Hello');

  const types = [];
  const stream = await openai.responses.create({
    model,
    input: 'And on',
    previous_response_id: first.id,
    stream: true,
  });
  for await (const event of stream) types.push(event.type);
  assert.equal(types[0], 'response.created');
  assert.equal(types.at(-1), 'response.completed');

  assert.equal((await openai.responses.retrieve(first.id)).output_text, 'Hello');
  await openai.responses.delete(first.id);
  await assert.rejects(openai.responses.retrieve(first.id), OpenAI.NotFoundError);
});

test('the helper for streams of responses', async () => {
  const stream = openai.responses.stream({ model: 'gpt-4o-mini', input: 'one two three' });
  const deltas = [];
  stream.on('response.output_text.delta', ({ delta }) => deltas.push(delta));
  const final = await stream.finalResponse();
  assert.equal(deltas.join(''), 'one two three');
  assert.equal(final.output_text, 'one two three');
});
