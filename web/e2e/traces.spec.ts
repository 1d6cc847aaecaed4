import { readFileSync } from 'node:fs';

import { expect, test } from '@playwright/test';

import { EXAMPLES } from '../src/lib/query/examples';
import { expectNoSidewaysScroll, hex, send, someTrace, traces, watch, wholeTrace } from './support';

test('both applications of the demo are in the list, and a row opens its trace', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  await someTrace(request, '{ resource.service.name = "agent" }');
  await someTrace(request, '{ resource.service.name = "streaming" }');
  for (const service of ['agent', 'streaming']) {
    await page.goto('/traces');
    await page.getByLabel('Service', { exact: true }).selectOption({ value: service });
    await expect(page).toHaveURL(/resource\.service\.name/);
    const row = page.locator('[data-row]').first();
    await expect(row).toContainText(service);
    await row.click();
    await expect(page.getByRole('tree')).toBeVisible();
    await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/);
    await page.goBack();
    await expect(page.locator('[data-row]').first()).toBeVisible();
  }
  expect(complaints).toEqual([]);
});

test('a trace that happens comes on the screen by itself', async ({ page, request }) => {
  // One application, because all of them together make more traces than a page has rows.
  const q = '{ name = "agent.turn" }';
  await someTrace(request, q);
  await page.goto(`/traces?q=${encodeURIComponent(q)}`);
  await expect(page.locator('[data-row]').first()).toBeVisible();
  const known = new Set((await traces(request, q)).map((trace) => trace.trace_id));
  let fresh = '';
  await expect(async () => {
    fresh = (await traces(request, q)).find((trace) => !known.has(trace.trace_id))?.trace_id ?? '';
    expect(fresh).not.toBe('');
  }).toPass({ timeout: 30_000 });
  await expect(page.locator(`a[href="/traces/${fresh}"]`)).toBeVisible();
});

test('a trace whose root is open goes by its earliest span, and one that was cut says so', async ({
  page,
  request,
}) => {
  const [service, traceId] = [`open-${hex(4)}`, hex(16)];
  const start = BigInt(Date.now()) * 1_000_000n;
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  const span = {
    traceId,
    spanId: hex(8),
    parentSpanId: hex(8),
    name: 'load the cart',
    startTimeUnixNano: `${start}`,
    endTimeUnixNano: `${start + 5_000_000n}`,
  };
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
  await page.goto(`/traces?live=0&q=${encodeURIComponent(`{ resource.service.name = "${service}" }`)}`);
  const row = page.locator('[data-row]');
  await expect(row).toHaveCount(1);
  await expect(row).toContainText(service);
  await expect(row).toContainText('load the cart');
  await expect(row).toContainText(/root not (ended|received yet)/);
  // A trace that is too large for an answer takes more than a test may send.
  const whole = await wholeTrace(request, traceId);
  await page.route(`**/api/v1/traces/${traceId}`, (route) =>
    route.fulfill({ json: { ...whole, spans_left_out: 1234 } }),
  );
  await row.click();
  await expect(page.getByRole('main')).toContainText('root not received yet');
  await expect(page.getByRole('main')).toContainText('1,234 later spans left out');
});

test('paused, the list stands still', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/traces?live=0');
  const first = page.locator('[data-row]').first();
  const before = await first.getAttribute('href');
  const known = new Set((await traces(request)).map((trace) => trace.trace_id));
  await expect(async () => {
    expect((await traces(request)).some((trace) => !known.has(trace.trace_id))).toBe(true);
  }).toPass({ timeout: 30_000 });
  expect(await first.getAttribute('href')).toBe(before);
});

test('a wrong filter is marked at its character, says what was expected and offers one that works', async ({
  page,
}) => {
  const complaints = watch(page);
  await page.goto('/traces');
  const bar = page.getByRole('combobox', { name: 'Filter' });
  await bar.fill('{ duration >> 100ms }');
  await bar.press('Enter');
  const alert = page.locator('form').getByRole('alert');
  await expect(alert).toContainText('at character 12');
  await expect(page.locator('.marker .point')).toHaveText('>>');
  await expect(bar).toHaveAttribute('aria-invalid', 'true');
  await page.getByRole('button', { name: '{ duration > 100ms }' }).click();
  await expect(alert).toBeHidden();
  await expect(bar).toHaveValue('{ duration > 100ms }');
  expect(complaints).toEqual([]);
});

test('the filter completes fields, operators and values from what was received', async ({
  page,
  request,
}) => {
  await someTrace(request, '{ resource.service.name = "agent" }');
  await page.goto('/traces');
  const bar = page.getByRole('combobox', { name: 'Filter' });
  const options = page.getByRole('option');
  await page.keyboard.press('/');
  await expect(bar).toBeFocused();
  await page.keyboard.type('service.na');
  // The coloured text lies exactly under the field, whose own letters are transparent.
  const [field, colours] = [await bar.boundingBox(), await page.locator('form .tokens').boundingBox()];
  expect(Math.abs(colours!.y + colours!.height / 2 - (field!.y + field!.height / 2))).toBeLessThan(2);
  await expect(page.locator('form .tokens')).toHaveText('service.na');
  await expect(options.filter({ hasText: 'resource.service.name' })).toBeVisible();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(bar).toHaveValue('{ resource.service.name ');
  await expect(options.filter({ hasText: 'equals' })).toBeVisible();
  await page.keyboard.type('= "ag');
  await expect(options.filter({ hasText: 'agent' }).first()).toBeVisible();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(bar).toHaveValue(/^\{ resource\.service\.name = "agent" $/);
  await page.keyboard.type('}');
  await page.keyboard.press('Enter');
  await expect(page.locator('[data-row]').first()).toContainText('agent');
});

/** Queries between fences of a language. */
function fenced(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`\n\`\`\`${language}\n(.*?)\n\`\`\``, 'gs'))].map((found) => found[1]!);
}

test('every example of the help and of the guide finds something in the demo', async ({ request }) => {
  const guide = readFileSync(new URL('../../docs/query-language.md', import.meta.url), 'utf8');
  const examples = [
    ...EXAMPLES,
    ...fenced(guide, 'traceql').map((query) => ({ signal: 'traces', query })),
    ...fenced(guide, 'traceql-logs').map((query) => ({ signal: 'logs', query })),
  ];
  expect(examples.length).toBeGreaterThan(EXAMPLES.length + 8);
  // What is rare comes within a minute.
  await expect(async () => {
    for (const { signal, query } of examples) {
      const response = await request.get(`/api/v1/${signal}`, { params: { q: query, limit: '1' } });
      expect(response.status(), `${query}: ${await response.text()}`).toBe(200);
      const found = (await response.json()) as Record<string, unknown[]>;
      expect(found[signal], query).not.toEqual([]);
    }
  }).toPass({ timeout: 55_000 });
});

test('filter, range and selection are in the address; back and forward walk through them', async ({
  page,
  request,
}) => {
  await someTrace(request);
  await page.goto('/traces');
  const bar = page.getByRole('combobox', { name: 'Filter' });
  await bar.fill('{ duration > 1ns }');
  await bar.press('Enter');
  await expect(page).toHaveURL(/q=/);
  await page.getByLabel('Time range: Any time').click();
  await page.getByRole('button', { name: 'Last hour' }).click();
  await expect(page).toHaveURL(/last=1h/);
  await page.goBack();
  await expect(page).not.toHaveURL(/last=/);
  await expect(bar).toHaveValue('{ duration > 1ns }');
  await page.goBack();
  await expect(bar).toHaveValue('');
  await page.goForward();
  await page.goForward();
  await expect(page).toHaveURL(/last=1h/);
  await page.reload();
  await expect(bar).toHaveValue('{ duration > 1ns }');
});

test('j, k and Enter move through the list', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/traces?live=0');
  const rows = page.locator('[data-row]');
  await expect(rows.nth(1)).toBeVisible();
  await page.keyboard.press('j');
  await expect(rows.nth(0)).toBeFocused();
  await page.keyboard.press('j');
  await expect(rows.nth(1)).toBeFocused();
  await page.keyboard.press('k');
  await expect(rows.nth(0)).toBeFocused();
  await page.keyboard.press('j');
  const target = await rows.nth(1).getAttribute('href');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(new RegExp(target ?? 'none'));
  await expect(page.getByRole('tree')).toBeVisible();
  // Back is where it was left.
  await page.keyboard.press('Escape');
  await expect(page.locator(`a[href="${target}"]`)).toBeFocused();
});

test('a pasted trace id opens that trace, a span id finds its trace', async ({ page, request }) => {
  const summary = await someTrace(request, '{ name = "agent.turn" }');
  const { spans } = await wholeTrace(request, summary.trace_id);
  await page.goto('/traces?live=0');
  const bar = page.getByRole('combobox', { name: 'Filter' });
  await bar.fill(spans[0]!.span_id);
  await bar.press('Enter');
  await expect(page.locator(`a[href="/traces/${summary.trace_id}"]`)).toBeVisible();
  await bar.fill(summary.trace_id.toUpperCase());
  await bar.press('Enter');
  await expect(page.getByRole('tree')).toBeVisible();
  await expect(page).toHaveURL(new RegExp(summary.trace_id));
});

test('a filter that leaves nothing says so and can be taken back', async ({ page, request }) => {
  await someTrace(request);
  await page.goto(`/traces?q=${encodeURIComponent('{ name = "no span is called this" }')}`);
  await expect(page.getByText('No trace matches.')).toBeVisible();
  await page.getByRole('button', { name: 'Show all traces' }).click();
  await expect(page.locator('[data-row]').first()).toBeVisible();
});

test('the chart names the trace under the pointer and opens it', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/traces?live=0');
  const chart = page.getByRole('img', { name: /Durations of the/ });
  const box = (await chart.boundingBox())!;
  // The oldest trace is the leftmost dot; how high it is depends on its duration.
  const tip = chart.locator('.tip');
  let y = box.y + 8;
  for (; y < box.y + box.height - 16 && !(await tip.isVisible()); y += 6)
    await page.mouse.move(box.x + 59, y);
  await expect(tip).toContainText(/s · \d\d:/);
  await page.mouse.click(box.x + 59, y - 6);
  await expect(page.getByRole('tree')).toBeVisible();
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`the pages stand in ${colorScheme}, wide and narrow`, async ({ browser, request, baseURL }) => {
    const trace = await someTrace(request);
    for (const width of [1280, 400]) {
      const page = await browser.newPage({
        colorScheme,
        viewport: { width, height: 800 },
        baseURL: baseURL!,
      });
      const complaints = watch(page);
      for (const path of [
        '/overview',
        '/traces',
        `/traces/${trace.trace_id}`,
        '/logs',
        '/metrics',
        '/runtime',
        '/health',
      ]) {
        await page.goto(path);
        await expect(page.locator('main')).not.toBeEmpty();
        await expectNoSidewaysScroll(page);
        const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const [red = 0] = (background.match(/\d+/g) ?? []).map(Number);
        expect(red < 128).toBe(colorScheme === 'dark');
      }
      expect(complaints).toEqual([]);
      await page.close();
    }
  });
}

test('the theme can be chosen against the system and stays', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto('/traces');
  const toggle = page.getByRole('button', { name: /^Theme:/ });
  await toggle.click();
  await toggle.click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await toggle.click();
  await expect(page.locator('html')).not.toHaveAttribute('data-theme', /./);
});

test('help opens with ? and closes with Escape', async ({ page }) => {
  await page.goto('/traces');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard and filters' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toBeHidden();
  await page.keyboard.press('g');
  await page.keyboard.press('l');
  await expect(page).toHaveURL(/\/logs$/);
});
