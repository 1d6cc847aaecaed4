import { expect, test } from '@playwright/test';

import type { Operations } from '../src/lib/api/types';
import { expectNoSidewaysScroll, hex, send, someTrace, watch } from './support';

test.beforeEach(async ({ request }) => {
  await someTrace(request, '{ name = "agent.turn" }');
});

test('operations are the first thing shown, and their figures open examples', async ({ page, request }) => {
  const complaints = watch(page);
  await page.goto('/');
  await expect(page).toHaveTitle(/^Overview/);
  const row = page.getByRole('row', { name: /agent\.turn/ });
  await expect(row).toBeVisible();
  await expect(page.getByRole('status')).toContainText(/spans of \d+ operations in \d+ services/);
  // Lines have headings and words of their own.
  for (const name of ['Rate over time Rate', 'Failed over time Failed', 'p95 over time p95']) {
    await expect(page.getByRole('columnheader', { name })).toBeVisible();
  }
  await expect(
    row.getByRole('img', { name: /^[\d,]+( to [\d,]+)? spans in each [\d.]+ m?s$/ }),
  ).toBeVisible();
  await row.getByTitle(/^Open the longest/).click();
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=[0-9a-f]{16}/);
  await expect(page.getByRole('treeitem', { selected: true })).toContainText('agent.turn');
  await page.goBack();
  await row.getByRole('link', { name: 'agent.turn' }).click();
  await expect(page.getByRole('combobox', { name: 'Filter' })).toHaveValue(
    /^{ resource\.service\.name = "agent" && name = "agent\.turn" && kind = \w+ }$/,
  );
  await expect(page.locator('[data-row]').first()).toBeVisible();

  // The figures are those of the backend.
  const answer = await request.get('/api/v1/operations', { params: { service: 'agent', sort: 'count' } });
  const { operations } = (await answer.json()) as Operations;
  const turn = operations.find(({ name }) => name === 'agent.turn')!;
  expect(turn.p50_nano).toBeLessThanOrEqual(turn.p95_nano);
  expect(turn.p99_nano).toBeLessThanOrEqual(turn.longest_nano);
  expect(complaints).toEqual([]);
});

test('a failed example, the order and the service are a click away', async ({ page, request }) => {
  const [service, traceId] = [`till-${hex(4)}`, hex(16)];
  const now = BigInt(Date.now()) * 1_000_000n;
  const span = (name: string, millis: number, more: object) => ({
    traceId,
    spanId: hex(8),
    name,
    startTimeUnixNano: (now - BigInt(millis) * 1_000_000n).toString(),
    endTimeUnixNano: now.toString(),
    ...more,
  });
  const spans = [
    span('slow', 900, {}),
    span('often', 5, {}),
    span('often', 5, {}),
    span('refund', 20, { status: { code: 2, message: 'no money left' } }),
    span('inner', 1, { parentSpanId: hex(8) }),
  ];
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  await page.goto(`/overview?service=${service}`);
  const names = page.locator('[data-row]');
  await expect(names).toHaveText(['slow', 'refund', 'often']);
  await page.getByRole('button', { name: 'Rate' }).click();
  await expect(names.first()).toHaveText('often');
  await page.getByRole('button', { name: 'Failed' }).click();
  await expect(names.first()).toHaveText('refund');
  await page.getByRole('button', { name: 'All operations' }).click();
  await expect(names).toHaveCount(4);
  await page.keyboard.press('j');
  await expect(names.first()).toBeFocused();
  await page
    .getByRole('row', { name: /refund/ })
    .getByRole('link', { name: '100 %' })
    .click();
  await expect(page).toHaveURL(new RegExp(`/traces/${traceId}`));
  await expect(page.getByText('no money left')).toBeVisible();
});

test('what failed within requests that are well is told', async ({ page, request }) => {
  const complaints = watch(page);
  const service = `till-${hex(4)}`;
  const now = BigInt(Date.now()) * 1_000_000n;
  const [start, end] = [(now - 20_000_000n).toString(), now.toString()];
  const trace = (name: string, inner: object) => {
    const [traceId, spanId] = [hex(16), hex(8)];
    const times = { traceId, startTimeUnixNano: start, endTimeUnixNano: end };
    return [
      { ...times, spanId, name },
      { ...times, spanId: hex(8), parentSpanId: spanId, name: 'charge', ...inner },
    ];
  };
  const failed = { status: { code: 2, message: 'declined' } };
  const spans = [trace('pay', failed), trace('pay', {}), trace('look', {})].flat();
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  await page.goto(`/overview?service=${service}`);
  const sum = page.getByRole('status').filter({ hasText: /spans of \d+ operations/ });
  await expect(sum).toHaveText(/0 % failed, and 1 inner span\s*$/);
  await page.getByRole('row', { name: /pay/ }).getByRole('link', { name: '0 %', exact: true }).click();
  await expect(page.locator('[data-row]')).toHaveCount(1);
  await expect(page.locator('[data-row]')).toContainText('pay');
  await page.goBack();
  await page.getByRole('link', { name: 'and 1 inner span' }).click();
  await expect(page.locator('[data-row]').first()).toHaveText('charge');
  await expect(sum).toHaveText(/\d % failed\s*$/);
  expect(complaints).toEqual([]);
});

test('nothing in the time says what to do, and a narrow window shows cards', async ({ page }) => {
  await page.goto('/overview?service=nobody');
  await expect(page.getByRole('main')).toContainText('No span ended in this time.');
  await page.setViewportSize({ width: 390, height: 800 });
  await page.getByRole('button', { name: 'Everything of the last 7 days' }).click();
  await expect(page.locator('[data-row]').first()).toBeVisible();
  // All pages are in sight there.
  const links = page.getByRole('navigation', { name: 'Pages' }).getByRole('link');
  await expect(links).toHaveCount(6);
  for (const link of await links.all()) await expect(link).toBeInViewport({ ratio: 0.95 });
  // Also in windows between that and a wide one, which have a table.
  for (const width of [390, 721, 900, 1001, 1081]) {
    await page.setViewportSize({ width, height: 800 });
    await expectNoSidewaysScroll(page);
    const cell = page.getByRole('row').nth(1).getByRole('cell').nth(3);
    await expect(cell).toHaveCSS('display', width < 720 ? 'flex' : 'table-cell');
  }
});

test('a time without an end is not offered where one is needed', async ({ page }) => {
  for (const path of ['/overview', '/metrics', '/runtime', '/traces', '/logs']) {
    await page.goto(path);
    await page.getByLabel(/^Time range: /).click();
    const offered = path === '/traces' || path === '/logs' ? 1 : 0;
    await expect(page.getByRole('button', { name: 'Last hour' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Any time' })).toHaveCount(offered);
  }
});

test('every figure of an operation leads to what it is about', async ({ page, request }) => {
  const service = `till-${hex(4)}`;
  const now = BigInt(Date.now()) * 1_000_000n;
  const spans = Array.from({ length: 20 }, (_, number) => ({
    traceId: hex(16),
    spanId: hex(8),
    name: 'pay',
    startTimeUnixNano: (now - 2_000_000_000n).toString(),
    endTimeUnixNano: (
      now -
      2_000_000_000n +
      (number < 18 ? 10n : number === 18 ? 890n : 895n) * 1_000_000n
    ).toString(),
  }));
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  const figures = page.getByRole('row', { name: /pay/ }).getByRole('link');
  const traces = page.locator('[data-row]');
  const slow = /about as long, or longer/;
  for (const [title, found] of [
    [/20 spans; search for their traces/, 20],
    // The percentile is 895 ms, wrong by less than 1.6 %: the span of 890 ms is one of these.
    [slow, 2],
    [/^Open one that took 10 ms/, 'trace'],
    [/^Open the longest, 895 ms/, 'trace'],
  ] as const) {
    await page.goto(`/overview?service=${service}`);
    await figures.and(page.getByTitle(title)).first().click();
    if (found === 'trace') await expect(page.getByRole('treeitem', { selected: true })).toContainText('pay');
    else await expect(traces).toHaveCount(found);
  }
});
