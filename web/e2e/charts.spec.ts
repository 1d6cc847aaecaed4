import { expect, test, type APIRequestContext, type Page } from '@playwright/test';

import { boxOf, hex, send, watch } from './support';

/** Whole seconds, on which steps of charts begin: what was counted just before one is in one step. */
const now = Math.floor(Date.now() / 1000) * 1000;
const nanos = (ago: number) => `${now - ago}000000`;
const range = `from=${now - 900_000}&to=${now}`;

async function sendMetric(request: APIRequestContext, service: string, metric: object): Promise<void> {
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
  await send(request, 'metrics', { resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [metric] }] }] });
}

/** Jobs that were counted in one step each, minutes apart. */
function jobs(name: string, counted: Record<number, number>): object {
  const dataPoints = Object.entries(counted).map(([ago, value]) => ({
    startTimeUnixNano: nanos(Number(ago) + 500),
    timeUnixNano: nanos(Number(ago)),
    asInt: String(value),
  }));
  return { name, unit: '{job}', sum: { aggregationTemporality: 1, isMonotonic: true, dataPoints } };
}

/** Pixels within the axes of the chart that have a colour, as lines and points have; the grid is grey. */
async function paintedLine(page: Page): Promise<number> {
  return page.locator('.chart canvas').evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const plot = canvas.parentElement!.querySelector('.u-over')!.getBoundingClientRect();
    const whole = canvas.getBoundingClientRect();
    const [left, top] = [plot.left - whole.left + 2, plot.top - whole.top].map((at) => at * devicePixelRatio);
    const [width, height] = [plot.width, plot.height - 2].map((size) => size * devicePixelRatio);
    const { data } = canvas.getContext('2d')!.getImageData(left!, top!, width!, height!);
    let painted = 0;
    for (let at = 0; at < data.length; at += 4) {
      const pixel = data.slice(at, at + 3);
      if (data[at + 3]! > 100 && Math.max(...pixel) - Math.min(...pixel) > 40) painted += 1;
    }
    return painted;
  });
}

test('what falls into one step alone is seen, and how much came in all', async ({ page, request }) => {
  const name = `jobs.${hex(4)}`;
  await sendMetric(
    request,
    'shop',
    jobs(name, { 700_000: 5007, 430_000: 4006, 250_000: 9009, 90_000: 11_980 }),
  );
  await page.goto(`/metrics?name=${name}&agg=sum&${range}`);
  await expect(page.getByRole('columnheader', { name: 'Total' })).toBeVisible();
  await expect(page.getByRole('row').nth(1).getByRole('cell').last()).toHaveText('30,002');
  // Four dots, and no line from one to the next.
  await expect.poll(() => paintedLine(page)).toBeGreaterThan(4 * 10);
  expect(await paintedLine(page)).toBeLessThan(4 * 40);
  const menu = page.getByRole('combobox', { name: 'Aggregation' });
  await expect(menu.getByRole('option')).toHaveText(['a second', 'sum']);
});

test('services without anything in the time shown are told by their number', async ({ page, request }) => {
  const name = `jobs.${hex(4)}`;
  await sendMetric(request, 'shop', jobs(name, { 90_000: 3 }));
  await sendMetric(request, 'till', jobs(name, { 3_000_000: 4 }));
  await page.goto(`/metrics?name=${name}&agg=sum&by=resource.service.name&${range}`);
  await expect(page.getByRole('row')).toHaveText([/^Series/, /shop/]);
  await expect(page.getByText('1 more series has nothing in this time.')).toBeVisible();
});

/** A histogram whose values are near two seconds, with an exemplar of each of the values given. */
function latencies(name: string, values: Record<number, number>): object {
  const dataPoints = Array.from({ length: 200 }, (_, step) => {
    const ago = 100_000 + step * 4000;
    const value = values[step];
    const at = { timeUnixNano: nanos(ago), asDouble: value ?? 2, traceId: hex(16), spanId: hex(8) };
    return {
      startTimeUnixNano: nanos(ago + 4000),
      timeUnixNano: nanos(ago),
      count: '10',
      sum: 20,
      explicitBounds: [1.9, 2.1],
      bucketCounts: ['0', '10', '0'],
      exemplars: [at],
    };
  });
  return { name, unit: 's', histogram: { aggregationTemporality: 1, dataPoints } };
}

test('exemplars beyond the scale are at its edge, and the page says which are known', async ({
  page,
  request,
}) => {
  const name = `latency.${hex(4)}`;
  await sendMetric(request, 'shop', latencies(name, { 20: 8 }));
  await page.goto(`/metrics?name=${name}&agg=p50&${range}`);
  const plot = page.locator('.u-over');
  await expect(plot).toBeVisible();
  const { width } = await boxOf(plot);
  const x = (ago: number) => (1 - ago / 900_000) * width;
  await plot.hover({ position: { x: x(180_000), y: 2 } });
  await expect(page.getByText('8 s, open its trace')).toBeVisible();
  await expect(page.getByText(/^Diamonds are the newest 100 examples of a line/)).toBeVisible();
});

/** A level that was measured every five seconds of the last minute, with the same value. */
function level(name: string, value: number): object {
  const dataPoints = Array.from({ length: 12 }, (_, step) => ({
    timeUnixNano: nanos(step * 5000),
    asInt: String(value),
  }));
  return { name, unit: '{order}', gauge: { dataPoints } };
}

test('what lines are worth at the time under the pointer is said beside it', async ({ page, request }) => {
  const complaints = watch(page);
  const name = `orders.${hex(4)}`;
  await sendMetric(request, 'shop', level(name, 41));
  await sendMetric(request, 'till', level(name, 7));
  const until = now + 60_000;
  await page.goto(`/metrics?name=${name}&by=resource.service.name&from=${now - 120_000}&to=${until}`);
  const plot = page.locator('.u-over');
  const tip = page.locator('.chart .tip');
  await expect(plot).toBeVisible();
  await expect(tip).toHaveCount(0);
  const { width } = await boxOf(plot);
  await plot.hover({ position: { x: width / 2, y: 60 } });
  await expect(tip).toHaveText(/\d\d:\d\d:\d\d\s*service\.name = shop\s*41\s*service\.name = till\s*7/);
  await page.mouse.move(0, 0);
  await expect(tip).toHaveCount(0);
  expect(complaints).toEqual([]);
});

test('charts of the runtime show the time that the pointer is at in one of them', async ({
  page,
  request,
}) => {
  const service = `worker-${hex(4)}`;
  await sendMetric(request, service, level('process.pages.kept', 9));
  await sendMetric(request, service, level('process.pages.lost', 4096));
  await page.goto(`/runtime?service=${service}&last=5m`);
  const [one, other] = ['Pages kept', 'Pages lost'].map((name) => page.getByRole('article', { name }));
  await expect(other!.locator('canvas')).toBeVisible();
  const plot = one!.locator('.u-over');
  const { width } = await boxOf(plot);
  await plot.hover({ position: { x: width * 0.9, y: 30 } });
  await expect(one!.locator('.tip')).toContainText('9');
  await expect(other!.locator('.u-cursor-x')).toBeVisible();
  await expect(other!.locator('.tip')).toHaveCount(0);
});
