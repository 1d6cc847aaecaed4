import { afterEach, expect, test, vi } from 'vitest';

import { api, ApiError, LOOKUP_MAX_MS, SEARCH_MAX_MS, watchReachability } from './api/client';
import { TraceState } from './traceState.svelte';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const answering = (body: string, status = 200) =>
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(body, { status })));

test('an answer that breaks off is none, and may come whole later', async () => {
  answering('{"traces": [{"trace_id');
  const error = await api.traces({}).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ApiError);
  expect(error).toMatchObject({ unreachable: true, passing: true, body: { code: 'cut' } });
});

test('an answer that is given up half-way is not taken for one that broke off', async () => {
  const controller = new AbortController();
  vi.stubGlobal('fetch', () => {
    const body = new ReadableStream({
      pull(stream) {
        controller.abort();
        stream.error(new DOMException('', 'AbortError'));
      },
    });
    return Promise.resolve(new Response(body));
  });
  await expect(api.traces({}, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
});

test.each([
  [400, false],
  [403, false],
  [404, false],
  [429, true],
  [500, true],
  [503, true],
])('%d may pass by itself: %s', (status, passing) => {
  expect(new ApiError(status, { code: 'x', message: '' }).passing).toBe(passing);
});

test.each([
  ['{"error": {"code": "internal", "message": "a defect"}}', 500, true],
  ['{"spans": [', 200, true],
  ['{"error": {"code": "not_found", "message": "no such trace"}}', 404, true],
  ['{"error": {"code": "bad_parameter", "message": "no id"}}', 400, false],
])('after %j with %d, a trace is asked for again: %s', async (body, status, again) => {
  answering(body, status);
  const trace = new TraceState('4bf92f');
  await trace.load(new AbortController().signal);
  expect(trace.problem).not.toBeNull();
  expect(trace.growing).toBe(again);
});

/** A backend that takes a request, or begins an answer, and never ends it. */
const hanging = (part: 'request' | 'answer') =>
  vi.stubGlobal('fetch', (_: string, { signal }: { signal: AbortSignal }) => {
    if (signal.aborted) return Promise.reject(new DOMException('', 'AbortError'));
    const aborted = (reject: (error: unknown) => void) =>
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    if (part === 'request') return new Promise((_, reject) => aborted(reject));
    return Promise.resolve(
      new Response(new ReadableStream({ start: (body) => aborted((e) => body.error(e)) })),
    );
  });

test.each([
  ['request', 'a look-up', () => api.status(), LOOKUP_MAX_MS],
  ['answer', 'a look-up', () => api.metrics(), LOOKUP_MAX_MS],
  ['request', 'a search', () => api.traces({}), SEARCH_MAX_MS],
  ['answer', 'a search', () => api.logs({}), SEARCH_MAX_MS],
] as const)('of %s that hangs, %s is given up, and may be tried again', async (part, what, ask, maxMs) => {
  vi.useFakeTimers();
  hanging(part);
  let reachable = true;
  watchReachability((is) => (reachable = is));
  const error = ask().catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(maxMs - 1);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await error).toMatchObject({ unreachable: true, passing: true, body: { code: 'timeout' } });
  expect(((await error) as ApiError).message).toBe(
    `The backend did not answer within ${maxMs / 1000} seconds.`,
  );
  // A search alone may be what hangs.
  expect(reachable).toBe(what === 'a search');
  watchReachability(() => undefined);
});

test('a request that is given up by its page is not late, and leaves no timer', async () => {
  vi.useFakeTimers();
  hanging('request');
  const controller = new AbortController();
  const asked = expect(api.traces({}, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
  controller.abort();
  await asked;
  expect(vi.getTimerCount()).toBe(0);
  await expect(api.traces({}, controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
});
