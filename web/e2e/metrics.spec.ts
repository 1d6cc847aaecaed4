import { expect, test, type APIRequestContext, type Page } from '@playwright/test';

import type { MetricOverview } from '../src/lib/api/types';
import { boxOf, hex, send, watch } from './support';

const millis = (ago: number) => `${Date.now() - ago}000000`;
const since = { startTimeUnixNano: millis(600_000) };

test('a metric is found, drawn, divided and leads to a trace', async ({ page, request }) => {
  const complaints = watch(page);
  // Metrics are sent every five seconds, and a line takes two of them.
  await expect(async () => {
    const answer = await request.get('/api/v1/metrics/streaming.chunks');
    expect(answer.ok()).toBe(true);
    const { series } = (await answer.json()) as { series: { points: unknown[] }[] };
    expect(series[0]?.points.length).toBeGreaterThan(1);
  }).toPass({ timeout: 60_000 });
  await page.goto('/metrics');
  await page.getByRole('searchbox', { name: 'Find a metric or service' }).fill('chunk size');
  const list = page.getByRole('navigation', { name: 'Metrics' });
  await expect(list.getByRole('link')).toHaveCount(1);
  await list.getByRole('link', { name: /streaming\.chunk\.size/ }).click();
  await expect(page).toHaveURL(/name=streaming\.chunk\.size/);
  await expect(page.getByRole('heading', { level: 2, name: 'streaming.chunk.size' })).toBeVisible();
  const chart = page.getByRole('img', { name: /^streaming\.chunk\.size over time, 1 series/ });
  await expect(chart.locator('canvas')).toBeVisible();

  await page.getByRole('combobox', { name: 'Aggregation' }).selectOption('p99');
  await expect(page).toHaveURL(/agg=p99/);
  await expect(page.getByRole('row', { name: /all series together/ })).toContainText(/B/);

  const example = page.getByRole('main').getByRole('listitem').filter({ hasText: '◆' }).first();
  await example.getByRole('link').click();
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=[0-9a-f]{16}/);
  await expect(page.getByRole('tree')).toBeVisible();
  expect(complaints).toEqual([]);
});

test('a line for each value of an attribute, named in the table', async ({ page, request }) => {
  await expect(async () => {
    const { metrics } = (await (await request.get('/api/v1/metrics')).json()) as {
      metrics: MetricOverview[];
    };
    const cpu = metrics.find(({ metric }) => metric.name === 'process.cpu.time');
    expect(cpu?.services).toEqual(expect.arrayContaining(['agent', 'streaming']));
  }).toPass({ timeout: 60_000 });
  await page.goto('/metrics?name=process.cpu.time&by=point.cpu.mode');
  for (const mode of ['user', 'system']) {
    await expect(page.getByRole('row', { name: new RegExp(`cpu\\.mode = ${mode}`) })).toBeVisible();
  }
  await page.getByRole('combobox', { name: 'A line for each' }).selectOption('by service');
  await expect(page.getByRole('row', { name: /service\.name = agent/ })).toBeVisible();
  await page.getByRole('combobox', { name: 'Service' }).selectOption('streaming');
  await expect(page.getByRole('row', { name: /service\.name = agent/ })).toHaveCount(0);
});

test('a quantile is divided by an attribute', async ({ page, request }) => {
  const complaints = watch(page);
  const name = `wait.${hex(4)}`;
  /** All in one bucket, of which the quantile is 99 hundredths of the way. */
  const point = (queue: string, bucketCounts: string[]) => ({
    ...since,
    timeUnixNano: millis(5000),
    count: '600',
    sum: 600,
    bucketCounts,
    explicitBounds: [0.5, 1, 2, 4],
    attributes: [{ key: 'queue', value: { stringValue: queue } }],
  });
  const dataPoints = [point('jobs', ['0', '600', '0', '0', '0']), point('mail', ['0', '0', '0', '600', '0'])];
  const histogram = { aggregationTemporality: 1, dataPoints };
  await sendMetrics(request, 'shop', { name, unit: 's', histogram });
  await page.goto(`/metrics?name=${name}`);
  await page.getByRole('combobox', { name: 'Aggregation' }).selectOption('p99');
  const all = page.getByRole('row', { name: /all series together/ });
  await expect(all.getByRole('cell', { name: '3.96 s', exact: true }).first()).toBeVisible();
  await page.getByRole('combobox', { name: 'A line for each' }).selectOption('by queue');
  await expect(page).toHaveURL(/agg=p99.*by=point\.queue/);
  await expect(page.getByRole('img', { name: new RegExp(`^${name} over time, 2 series`) })).toBeVisible();
  const jobs = page.getByRole('row', { name: /queue = jobs/ });
  await expect(jobs.getByRole('cell', { name: '995 ms', exact: true }).first()).toBeVisible();
  const mail = page.getByRole('row', { name: /queue = mail/ });
  await expect(mail.getByRole('cell', { name: '3.98 s', exact: true }).first()).toBeVisible();
  await expect(all).toHaveCount(0);
  expect(complaints).toEqual([]);
});

test('menus show what the address asks for, whether it is in them or not', async ({ page, request }) => {
  await sendMetrics(request, 'shop', {
    name: `menus.${hex(4)}`,
    gauge: { dataPoints: [{ timeUnixNano: millis(5000), asInt: '1' }] },
  });
  const chosen = (name: string) => page.getByRole('combobox', { name }).locator('option:checked');
  const by = chosen('A line for each');
  await page.goto('/metrics?by=service.name');
  await expect(by).toHaveText('by service');
  await page.goto('/metrics?by=host.name,service.name');
  await expect(by).toHaveText('by host.name, service.name');
  await page.getByRole('combobox', { name: 'A line for each' }).selectOption('by process');
  await expect(page).toHaveURL(/by=resource\.service\.instance\.id/);
  await expect(by).toHaveText('by process');
  await page.goto(`/metrics?agg=p42&q=${encodeURIComponent('{ resource.service.name = "nobody" }')}`);
  await expect(chosen('Service')).toHaveText('nobody');
  await expect(chosen('Aggregation')).toHaveText('p42');
});

test('what cannot be asked for is told in the words of the backend', async ({ page }) => {
  await page.goto('/metrics?name=process.cpu.time&agg=p99');
  await expect(page.getByRole('alert')).toContainText('agg');
  await page.goto('/metrics?name=no.such.metric');
  await expect(page.getByRole('status')).toContainText('Nothing is stored of no.such.metric');
});

async function sendMetrics(request: APIRequestContext, service: string, ...metrics: object[]): Promise<void> {
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  await send(request, 'metrics', { resourceMetrics: [{ resource, scopeMetrics: [{ metrics }] }] });
}

/** A gauge with a point for each route. */
function routes(name: string, values: Record<string, number>): object {
  const dataPoints = Object.entries(values).map(([route, value]) => ({
    timeUnixNano: millis(5000),
    asInt: String(value),
    attributes: [{ key: 'http.route', value: { stringValue: route } }],
  }));
  return { name, gauge: { dataPoints } };
}

test('series are filtered by the values of their attributes, and the address says by which', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  const mark = hex(4);
  const name = `open.${mark}`;
  await sendMetrics(request, 'shop', routes(name, { '/orders': 5, '/carts': 70 }));
  await sendMetrics(
    request,
    'till',
    routes(name, { '/orders': 900 }),
    routes(`other.${mark}`, { '/other': 1 }),
  );
  await page.goto(`/metrics?name=${name}&agg=max`);
  const newest = page.getByRole('row').nth(1).getByRole('cell').nth(1);
  await expect(newest).toHaveText('900');

  // By typing, with what this metric has.
  const bar = page.getByRole('combobox', { name: 'Filter' });
  const options = page.getByRole('listbox', { name: 'Suggestions' }).getByRole('option');
  await bar.click();
  await expect(options.first()).toContainText('point.http.route');
  await bar.fill('{ point.http.route = ');
  await expect(options).toHaveText([/^\/carts/, /^\/orders/]);
  await options.filter({ hasText: '/carts' }).click();
  await page.keyboard.type('}');
  await bar.press('Enter');
  await expect(newest).toHaveText('70');
  expect(new URL(page.url()).searchParams.get('q')).toBe('{ point.http.route = "/carts" }');
  await page.reload();
  await expect(bar).toHaveValue('{ point.http.route = "/carts" }');
  await expect(newest).toHaveText('70');

  // By a menu and by a line of the table, which edit the same text.
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await page.getByRole('combobox', { name: 'A line for each' }).selectOption('by http.route');
  await expect(page.getByRole('link', { name: 'http.route = /carts' })).toBeVisible();
  await page.getByRole('link', { name: 'http.route = /orders' }).click();
  await expect(bar).toHaveValue('{ point.http.route = "/orders" }');
  await expect(newest).toHaveText('900');
  await page.getByRole('combobox', { name: 'Service' }).selectOption('shop');
  await expect(bar).toHaveValue('{ resource.service.name = "shop" && point.http.route = "/orders" }');
  await expect(newest).toHaveText('5');
  await expect(page.getByRole('row')).toHaveCount(2);

  // What leaves nothing, and what cannot be read.
  await page.goto(`/metrics?name=${name}&q=${encodeURIComponent('{ point.http.route = "/none" }')}`);
  await page.getByRole('button', { name: 'Without the filter' }).click();
  await expect(page.getByRole('row')).toHaveCount(2);
  await bar.fill('{ point.http.route = }');
  await bar.press('Enter');
  await expect(page.getByRole('alert')).toContainText('at character');
  await expect(page.getByRole('alert')).toHaveCount(1);
  expect(complaints).toEqual([]);
});

test('an answer that does not come is told, asked for again, and shown once it comes', async ({
  page,
  request,
}) => {
  await page.clock.install();
  const name = `slow.${hex(4)}`;
  await sendMetrics(request, 'shop', routes(name, { '/orders': 5 }));
  let asked = 0;
  let hanging = true;
  await page.route(`**/api/v1/metrics/${name}?*`, async (route) => {
    asked += 1;
    if (!hanging) await route.fallback();
  });
  let lists = 0;
  page.on(
    'response',
    (response) => (lists += Number(new URL(response.url()).pathname === '/api/v1/metrics')),
  );
  const listed = (times: number) =>
    expect(async () => {
      await page.clock.runFor(5000);
      expect(lists).toBeGreaterThanOrEqual(times);
    }).toPass();
  const from = Date.now() - 60_000;
  await page.goto(`/metrics?name=${name}&from=${from}&to=${from + 120_000}`);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await listed(1);
  // However often the list beside it is asked for again, one question waits for its answer.
  const before = asked;
  await listed(lists + 2);
  expect(asked).toBe(before);
  await page.clock.runFor(61_000);
  const notice = page.getByRole('status').filter({ hasText: 'Not up to date.' });
  await expect(notice).toContainText('The backend did not answer within 60 seconds.');
  hanging = false;
  // The next attempt may have begun before.
  await page.clock.runFor(70_000);
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(notice).toHaveCount(0);
});

test('a metric that comes with both temporalities is one', async ({ page, request }) => {
  const complaints = watch(page);
  const name = `tokio.both.${hex(4)}`;
  for (const temporality of [1, 2]) {
    const dataPoints = [{ ...since, timeUnixNano: millis(5000), asInt: '6' }];
    const sum = { aggregationTemporality: temporality, isMonotonic: true, dataPoints };
    await sendMetrics(request, `service-${temporality}`, { name, unit: '{job}', sum });
  }
  await page.goto(`/metrics?name=${name}`);
  await page.getByRole('searchbox', { name: 'Find a metric or service' }).fill(name);
  const list = page.getByRole('navigation', { name: 'Metrics' });
  await expect(list.getByRole('link')).toHaveCount(1);
  await expect(list.getByRole('link')).toContainText('2 series');
  await expect(page.getByRole('img', { name: new RegExp(`^${name} over time`) })).toBeVisible();
  await page.goto('/runtime');
  await expect(page.getByRole('link', { name, exact: true })).toHaveCount(1);
  expect(complaints).toEqual([]);
});

test('each unit of a name can be looked at, and only that is marked', async ({ page, request }) => {
  const name = `took.${hex(4)}`;
  const of = (unit: string, asDouble: number, ago: number) => ({
    name,
    unit,
    gauge: { dataPoints: [{ timeUnixNano: millis(ago), asDouble }] },
  });
  await sendMetrics(request, 'shop', of('s', 2, 9000), of('By', 3000, 6000), of('', 7, 3000));
  await page.goto(`/metrics?name=${name}`);
  await page.getByRole('searchbox', { name: 'Find a metric or service' }).fill(name);
  const list = page.getByRole('navigation', { name: 'Metrics' });
  for (const [shown, unit, value] of [
    [/gauge · s ·/, 's', '2 s'],
    [/gauge · bytes ·/, 'By', '2.93 KiB'],
    [/gauge · 1 series/, '', '7'],
  ] as const) {
    await list.getByRole('link', { name: shown }).click();
    const inAddress = new URL(page.url()).searchParams.get('unit') ?? '';
    expect(inAddress).toBe(unit);
    await expect(page.getByRole('cell', { name: value, exact: true }).first()).toBeVisible();
    await expect(list.locator('[aria-current]')).toHaveCount(1);
    await expect(list.locator('[aria-current]')).toHaveText(shown);
  }
});

test('an exemplar has the unit of what was measured, wherever it is drawn', async ({ page, request }) => {
  const complaints = watch(page);
  const name = `latency.${hex(4)}`;
  // The same exemplar in two series.
  const exemplars = [{ timeUnixNano: millis(8000), asDouble: 0.25, traceId: hex(16), spanId: hex(8) }];
  const point = (queue: string) => ({
    ...since,
    timeUnixNano: millis(5000),
    count: '600',
    sum: 60,
    bucketCounts: ['600', '0'],
    explicitBounds: [0.5],
    attributes: [{ key: 'queue', value: { stringValue: queue } }],
    exemplars,
  });
  const histogram = { aggregationTemporality: 1, dataPoints: [point('a'), point('b')] };
  await sendMetrics(request, 'shop', { name, unit: 's', histogram });
  await page.goto(`/metrics?name=${name}&agg=rate&by=point.queue&last=5m`);
  const examples = page.getByRole('main').getByRole('listitem').filter({ hasText: '◆' });
  await expect(examples).toHaveText([/250 ms/, /250 ms/]);
  // Rates have no place for it: it is at the lower edge, at its time.
  const plot = page.locator('.u-over');
  const { width, height } = await boxOf(plot);
  const open = page.getByText('250 ms, open its trace');
  await expect(async () => {
    for (let x = 4; x < width; x += 6) {
      await plot.hover({ position: { x, y: height - 2 } });
      if (await open.isVisible()) return;
    }
    expect(await open.isVisible()).toBe(true);
  }).toPass({ timeout: 15_000 });
  expect(complaints).toEqual([]);
});

/** A chart with an exemplar at the lower edge of its plot, and where that is; data come every few seconds. */
async function withExemplar(page: Page, request: APIRequestContext) {
  const name = `dragged.${hex(4)}`;
  const point = {
    startTimeUnixNano: millis(1_500_000),
    timeUnixNano: millis(1_150_000),
    count: '600',
    sum: 60,
    bucketCounts: ['600', '0'],
    explicitBounds: [0.5],
    exemplars: [{ timeUnixNano: millis(1_200_000), asDouble: 0.25, traceId: hex(16), spanId: hex(8) }],
  };
  const histogram = { aggregationTemporality: 1, dataPoints: [point] };
  await sendMetrics(request, 'shop', { name, unit: 's', histogram });
  // A scale that hardly moves with new data.
  const start = Date.now() - 3_600_000;
  await page.goto(`/metrics?name=${name}&agg=rate&from=${start}`);
  const plot = page.locator('.u-over');
  await expect(plot).toBeVisible();
  const { x: left, y: top, width, height } = await boxOf(plot);
  const [right, middle, bottom] = [left + width, top + height / 2, top + height];
  const open = page.getByText('250 ms, open its trace');
  const find = async (from: number, to: number) => {
    let at = from;
    await expect(async () => {
      for (at = from; at < to; at += 6) {
        await page.mouse.move(at, bottom - 2);
        if (await open.isVisible()) return;
      }
      expect(await open.isVisible()).toBe(true);
    }).toPass({ timeout: 15_000 });
    return at;
  };
  return { name, start, left, right, middle, bottom, find, at: await find(left + 4, right) };
}

const ends = (page: Page) =>
  ['from', 'to'].map((key) => Number(new URL(page.url()).searchParams.get(key))) as [number, number];

test('a drag over the chart is a time range, and opens no trace where it ends', async ({ page, request }) => {
  const { start, left, right, middle, bottom, at, find } = await withExemplar(page, request);
  // From the middle of the plot to the exemplar at its lower edge, and a little below.
  await page.mouse.move(at - 120, middle);
  await page.mouse.down();
  await page.mouse.move(at + 11, bottom - 2, { steps: 4 });
  await page.mouse.move(at + 11, bottom + 4);
  await page.mouse.up();
  await expect(page).toHaveURL(/\/metrics\?.*&to=\d+/);
  const [from, to] = ends(page);
  expect(from).toBeGreaterThan(start);
  expect(to).toBeGreaterThan(from);
  expect(to).toBeLessThan(Date.now() - 600_000);

  // The new range is drawn: the exemplar is at its end, and a part of the chart is a part of it.
  await find(right - 80, right);
  await page.mouse.move(left + 200, middle);
  await page.mouse.down();
  await page.mouse.move(left + 300, middle, { steps: 4 });
  await page.mouse.up();
  await expect.poll(() => ends(page)[0]).toBeGreaterThan(from);
  expect(ends(page)[1]).toBeLessThan(to);
});

test('a drag over the chart outlives new data', async ({ page, request }) => {
  const { name, right, middle, at, find } = await withExemplar(page, request);
  await page.mouse.move(at - 120, middle);
  await page.mouse.down();
  await page.mouse.move(at - 60, middle, { steps: 4 });
  const fresh = await page.waitForResponse((response) => response.url().includes(`/metrics/${name}`));
  await fresh.finished();
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  await page.mouse.move(at + 11, middle, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/\/metrics\?.*&to=\d+/);
  // To the end of the drag, not to where it was when data came.
  await find(right - 80, right);
});
