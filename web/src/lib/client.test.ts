import { afterEach, expect, test, vi } from 'vitest';

import { api, ApiError } from './api/client';
import { TraceState } from './traceState.svelte';

afterEach(() => vi.unstubAllGlobals());

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
