// What pytest tells us of the world, and a client for it.
import OpenAI from 'openai';

export const { url, key, poorKey, models } = JSON.parse(process.env.RUNESTONE_SDK);
export const messages = [{ role: 'user', content: 'The quick brown fox' }];
export const tool = {
  type: 'function',
  function: {
    name: 'lookup',
    description: 'Looks something up.',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};

// Counts how often the SDK tries, which it does not tell.
export function client(options = {}) {
  const tries = [];
  const made = new OpenAI({
    baseURL: url,
    apiKey: key,
    maxRetries: 0,
    fetch: (address, init) => {
      tries.push(Date.now());
      return fetch(address, init);
    },
    ...options,
  });
  made.tries = tries;
  return made;
}
