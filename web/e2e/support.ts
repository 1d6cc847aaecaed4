import { expect, type APIRequestContext, type Page } from '@playwright/test';

import type { LogPage, Trace, TracePage, TraceSummary } from '../src/lib/api/types';

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
