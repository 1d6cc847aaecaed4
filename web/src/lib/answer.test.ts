import { expect, test } from 'vitest';

import { Answer } from './answer.svelte';
import { ApiError } from './api/client';

const { signal } = new AbortController();

test.each([
  [0, 3000],
  [500, 3000],
  [503, 3000],
  [400, 3_600_000],
])('about a time that has an end, after %d is asked again in %d ms', async (status, pause) => {
  const answer = new Answer<string>();
  await answer.ask(() => Promise.reject(new ApiError(status, { code: 'x', message: '' })), signal);
  expect(answer.pause(3000, false)(10)).toBe(pause);
  await answer.ask(() => Promise.resolve('whole'), signal);
  expect(answer.pause(3000, false)(10)).toBe(3_600_000);
  expect(answer.pause(3000, true)(2000)).toBe(6000);
});

test('what keeps failing is told, and what is on the screen stays', async () => {
  const failing = (status: number) => () =>
    Promise.reject(new ApiError(status, { code: 'x', message: `with ${status}` }));
  const answer = new Answer<string>();
  await answer.ask(() => Promise.resolve('whole'), signal);
  await answer.ask(failing(503), signal);
  // Too busy for once.
  expect([answer.data, answer.trouble]).toEqual(['whole', null]);
  await answer.ask(failing(503), signal);
  expect([answer.data, answer.trouble?.message]).toEqual(['whole', 'with 503']);
  await answer.ask(() => Promise.resolve('again'), signal);
  expect([answer.data, answer.trouble]).toEqual(['again', null]);
  await answer.ask(failing(0), signal);
  expect([answer.data, answer.trouble?.message]).toEqual(['again', 'with 0']);
  // However long it took: nothing was learnt of what an answer costs.
  expect(answer.pause(3000, true)(60_000)).toBe(3000);
});
