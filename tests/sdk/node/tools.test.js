import assert from 'node:assert/strict';
import { test } from 'node:test';

import { client, messages, models, tool } from './stage.js';

const openai = client();

test('it works', async () => {
  const answer = await openai.chat.completions.create({
    model: models.tools,
    messages,
    tools: [tool],
  });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  assert.equal(call.function.name, 'lookup');
  assert.deepEqual(JSON.parse(call.function.arguments), { city: 'mock' });
});

test('parallel calls in a stream', async () => {
  const stream = openai.chat.completions.stream({ model: models.twoTools, messages, tools: [tool] });
  const { message } = (await stream.finalChatCompletion()).choices[0];
  assert.equal(message.tool_calls.length, 2);
  assert.notEqual(message.tool_calls[0].id, message.tool_calls[1].id);
  for (const call of message.tool_calls) {
    assert.deepEqual(JSON.parse(call.function.arguments), { city: 'mock' });
  }
});

for (const stream of [false, true]) {
  test(`runTools calls, hands back and goes on, stream ${stream}`, async () => {
    const asked = [];
    const runner = openai.chat.completions.runTools({
      model: models.tools,
      messages,
      stream,
      tools: [
        {
          type: 'function',
          function: {
            ...tool.function,
            parse: JSON.parse,
            function: ({ city }) => {
              asked.push(city);
              return `Nice in ${city}`;
            },
          },
        },
      ],
    });
    assert.equal(await runner.finalContent(), 'The quick brown fox');
    assert.deepEqual(asked, ['mock']);
    assert.deepEqual(
      runner.messages.map((message) => message.role),
      ['user', 'assistant', 'tool', 'assistant'],
    );
  });
}

test('a named function is called', async () => {
  const answer = await openai.chat.completions.create({
    model: 'gpt-4o-mini',
    messages,
    tools: [tool],
    tool_choice: { type: 'function', function: { name: 'lookup' } },
  });
  assert.equal(answer.choices[0].message.tool_calls[0].function.name, 'lookup');
});
