import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';

import { client, messages, models, poorKey } from './stage.js';

const model = 'gpt-4o-mini';

async function caught(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

const ask = (openai, fields) => openai.chat.completions.create({ model, messages, ...fields });

for (const [name, options, fields, type, status, code] of [
  ['a wrong key', { apiKey: 'sk-wrong' }, {}, OpenAI.AuthenticationError, 401, 'invalid_api_key'],
  ['no such model', {}, { model: 'none' }, OpenAI.NotFoundError, 404, 'model_not_found'],
  ['a bad value', {}, { temperature: 3 }, OpenAI.BadRequestError, 400, 'decimal_above_max_value'],
  ['a missing field', {}, { messages: undefined }, OpenAI.BadRequestError, 400,
    'missing_required_parameter'],
  ['too much for the provider', {}, { model: models.busy }, OpenAI.RateLimitError, 429,
    'rate_limit_exceeded'],
  ['not to be processed', {}, { model: models.unprocessable }, OpenAI.UnprocessableEntityError, 422,
    null],
]) {
  test(name, async () => {
    const error = await caught(ask(client(options), fields));
    assert.ok(error instanceof type, String(error));
    assert.deepEqual([error.status, error.code], [status, code]);
    assert.match(error.requestID, /^req_/);
    assert.ok(error.message.startsWith(`${status} `) && error.message.length > 10, error.message);
  });
}

test('a bad value is named', async () => {
  assert.equal((await caught(ask(client(), { temperature: 3 }))).param, 'temperature');
});

test('a budget that is used up is not tried again', async () => {
  const openai = client({ apiKey: poorKey, maxRetries: 2 });
  const error = await caught(ask(openai));
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.equal(error.code, 'insufficient_quota');
  assert.equal(openai.tries.length, 1);
});

test('retry-after-ms is obeyed', async () => {
  const openai = client({ maxRetries: 2 });
  assert.ok((await ask(openai, { model: models.busyTwice })).choices);
  assert.equal(openai.tries.length, 3);
  // The header in seconds says 1, and the SDK's own patience starts at half a second.
  assert.ok(openai.tries[2] - openai.tries[0] < 900, String(openai.tries));
});

for (const name of ['downOnce', 'failsOnce']) {
  test(`a failure of the provider is tried again: ${name}`, async () => {
    const openai = client({ maxRetries: 1 });
    assert.ok((await ask(openai, { model: models[name] })).choices);
    assert.equal(openai.tries.length, 2);
  });
}

for (const name of ['cut', 'brokenInside']) {
  test(`a stream that breaks throws: ${name}`, async () => {
    let said = '';
    const error = await caught(
      (async () => {
        for await (const chunk of await ask(client(), { model: models[name], stream: true })) {
          said += chunk.choices[0]?.delta.content ?? '';
        }
      })(),
    );
    assert.equal(said.trim(), 'The quick');
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.ok(error.message.length > 10);
  });
}

test('a timeout', async () => {
  const openai = client({ timeout: 300 });
  const error = await caught(ask(openai, { model: models.late }));
  assert.ok(error instanceof OpenAI.APIConnectionTimeoutError, String(error));
});
