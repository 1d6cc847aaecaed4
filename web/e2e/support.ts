import { randomBytes } from 'node:crypto';

import { expect, type APIRequestContext, type Locator, type Page } from '@playwright/test';

import type { LogPage, Status, Trace, TracePage, TraceSummary } from '../src/lib/api/types';

/** What a page must not do whatever it shows: throw, break the content security policy, or ask another host. */
export function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`threw: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    // A refused query is answered with 400, a trace that is not there with 404; the browser logs both.
    if (/status of 40[04]/.test(message.text())) return;
    complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!/^(127\.0\.0\.1|localhost|\[::1\])$/.test(url.hostname)) complaints.push(`asked ${url.host}`);
  });
  return complaints;
}

export async function traces(request: APIRequestContext, q = ''): Promise<TraceSummary[]> {
  const response = await request.get('/api/v1/traces', { params: { q, limit: '50' } });
  expect(response.status(), await response.text()).toBe(200);
  return ((await response.json()) as TracePage).traces;
}

/** Waits until the demo has sent traces that match; a fresh one needs a moment. */
export async function someTrace(request: APIRequestContext, q = ''): Promise<TraceSummary> {
  let found: TraceSummary | undefined;
  await expect(async () => {
    found = (await traces(request, q))[0];
    expect(found, `no trace matches ${q || 'at all'}`).toBeDefined();
  }).toPass({ timeout: 30_000 });
  return found!;
}

export async function wholeTrace(request: APIRequestContext, id: string): Promise<Trace> {
  const response = await request.get(`/api/v1/traces/${id}`);
  expect(response.status()).toBe(200);
  return (await response.json()) as Trace;
}

export async function logs(request: APIRequestContext, params: Record<string, string>): Promise<LogPage> {
  const response = await request.get('/api/v1/logs', { params });
  expect(response.status(), await response.text()).toBe(200);
  return (await response.json()) as LogPage;
}

/** Nothing sticks out sideways. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(excess).toBeLessThanOrEqual(0);
}

/** How many pixels of the waterfall are not background: a canvas that draws nothing would be zero. */
export async function paintedPixels(page: Page): Promise<number> {
  return page
    .getByRole('tree')
    .locator('canvas')
    .evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      const context = canvas.getContext('2d');
      if (!context || canvas.width === 0) return 0;
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      const [red, green, blue] = [data.at(-4), data.at(-3), data.at(-2)];
      let painted = 0;
      for (let index = 0; index < data.length; index += 4) {
        if (data[index] !== red || data[index + 1] !== green || data[index + 2] !== blue) painted += 1;
      }
      return painted;
    });
}

export function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}

/** Sends spans, log records or metrics as OTLP/HTTP with JSON to the backend behind the UI. */
export async function send(
  request: APIRequestContext,
  signal: 'traces' | 'logs' | 'metrics',
  body: unknown,
): Promise<void> {
  const status = (await (await request.get('/api/v1/status')).json()) as Status;
  const answer = await request.post(`http://${status.listen.otlp_http}/v1/${signal}`, { data: body });
  expect(answer.status(), await answer.text()).toBe(200);
}

/**
 * Sends a trace of `count` spans below one root, forty branches of which each has the same shape, and returns its id.
 * In batches, because a request has a limit.
 */
export async function sendLargeTrace(request: APIRequestContext, count: number): Promise<string> {
  const traceId = hex(16);
  const start = BigInt(Date.now()) * 1_000_000n - 20_000_000_000n;
  const length = 8_000_000_000;
  const time = (nanos: number) => (start + BigInt(Math.round(nanos))).toString();
  const rootId = hex(8);
  const spans: object[] = [
    { traceId, spanId: rootId, name: 'import', startTimeUnixNano: time(0), endTimeUnixNano: time(length) },
  ];
  const open = [{ id: rootId, from: 0, for: length, width: 40 }];
  for (let parent = open.shift(); parent && spans.length < count; parent = open.shift()) {
    for (let index = 0; index < parent.width && spans.length < count; index += 1) {
      const spanId = hex(8);
      const from = parent.from + (parent.for / parent.width) * index;
      const length = (parent.for / parent.width) * 0.8;
      spans.push({
        traceId,
        spanId,
        parentSpanId: parent.id,
        name: ['fetch', 'parse', 'validate', 'store'][index % 4],
        startTimeUnixNano: time(from),
        endTimeUnixNano: time(from + length),
        attributes: [{ key: 'item.id', value: { intValue: String(spans.length) } }],
      });
      open.push({ id: spanId, from, for: length, width: 6 });
    }
  }
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'large' } }] };
  for (let first = 0; first < spans.length; first += 4000) {
    const batch = spans.slice(first, first + 4000);
    await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans: batch }] }] });
  }
  return traceId;
}

/** Where something is on the screen. A chart is drawn anew with every answer, and may just not be there. */
export async function boxOf(shown: Locator): Promise<Box> {
  let box: Box | null = null;
  await expect(async () => {
    box = await shown.boundingBox();
    expect(box).not.toBeNull();
  }).toPass();
  return box!;
}

type Box = NonNullable<Awaited<ReturnType<Locator['boundingBox']>>>;
