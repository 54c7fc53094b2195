import assert from 'node:assert/strict';
import { test } from 'node:test';

import { client, messages, models } from './stage.js';

// The ledger is looked at by pytest, which knows that these are two calls.

test('an AbortController ends a stream', async () => {
  const controller = new AbortController();
  const stream = await client().chat.completions.create(
    { model: models.slow, messages, stream: true },
    { signal: controller.signal },
  );
  let chunks = 0;
  for await (const _ of stream) {
    chunks += 1;
    if (chunks === 5) controller.abort();
  }
  assert.ok(chunks < 100, `${chunks} came`);
});

test('so does leaving the loop', async () => {
  const stream = await client().chat.completions.create({
    model: models.slow,
    messages,
    stream: true,
  });
  for await (const _ of stream) break;
});
