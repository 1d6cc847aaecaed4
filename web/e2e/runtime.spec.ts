import { expect, test, type APIRequestContext } from '@playwright/test';

import { expectNoSidewaysScroll, hex, send, watch } from './support';

const text = (key: string, value: string) => ({ key, value: { stringValue: value } });
const int = (key: string, value: number) => ({ key, value: { intValue: String(value) } });

/** What a service with channels, a watched runtime and an allocator that counts would send. */
async function sendRuntime(request: APIRequestContext, service: string): Promise<string> {
  const resource = {
    attributes: [text('service.name', service), text('service.instance.id', `${service}-1`)],
  };
  const now = Date.now();
  const at = (millis: number) => `${now - millis}000000`;
  const gauge = (name: string, unit: string, value: number, attributes: object[]) => ({
    name,
    unit,
    gauge: {
      dataPoints: [10_000, 5000].map((ago) => ({ timeUnixNano: at(ago), asInt: String(value), attributes })),
    },
  });
  /** One of a minute, which is a part of one in each step. */
  const blocked = (name: string) => ({
    name,
    unit: '{block}',
    sum: {
      aggregationTemporality: 1,
      isMonotonic: true,
      dataPoints: [
        {
          startTimeUnixNano: at(90_000),
          timeUnixNano: at(30_000),
          asInt: '1',
          attributes: [text('span.name', 'resize')],
        },
      ],
    },
  });
  const channel = (name: string, type: string) => [text('channel.name', name), text('channel.type', type)];
  const depth = (name: string, type: string, value: number) =>
    gauge('', '', value, channel(name, type)).gauge.dataPoints;
  const times = { startTimeUnixNano: at(90_000), timeUnixNano: at(5000) };
  const dropped = {
    name: 'channel.dropped',
    unit: '{message}',
    sum: {
      aggregationTemporality: 2,
      isMonotonic: true,
      dataPoints: [
        { ...times, asInt: '2', attributes: channel('mail', 'broadcast') },
        { ...times, asInt: '900', attributes: channel('settings', 'watch') },
      ],
    },
  };
  const scopeMetrics = [
    {
      metrics: [
        gauge('orders.open', '{order}', 41, []),
        gauge('orders.packed', '{order}', 5, []),
        gauge('orders.paid', '{order}', 9, []),
        gauge('orders.shipped', '{order}', 12, []),
      ],
    },
    {
      scope: { name: 'ringlight.runtime' },
      metrics: [gauge('tokio.alive_tasks', '{task}', 7, []), blocked('tokio.worker.blocked')],
    },
    {
      scope: { name: 'ringlight.channel' },
      metrics: [
        {
          ...gauge('channel.queue_depth', '{message}', 0, []),
          gauge: {
            dataPoints: [
              ...depth('jobs', 'mpsc', 3),
              ...depth('idle', 'mpsc', 0),
              ...depth('settings', 'watch', 9),
            ],
          },
        },
        dropped,
      ],
    },
  ];
  await send(request, 'metrics', { resourceMetrics: [{ resource, scopeMetrics }] });
  const traceId = hex(16);
  const attributes = [
    int('alloc.count', 4),
    int('alloc.bytes', 4096),
    int('dealloc.count', 5),
    int('dealloc.bytes', 5120),
    int('alloc.net_bytes', -1024),
    int('alloc.total.count', 4),
    int('alloc.total.bytes', 4096),
    int('dealloc.total.count', 5),
    int('dealloc.total.bytes', 5120),
    int('alloc.total.net_bytes', -1024),
    text('file.name', 'orders.csv'),
  ];
  const spans = [
    {
      traceId,
      spanId: hex(8),
      name: 'parse',
      startTimeUnixNano: at(8000),
      endTimeUnixNano: at(6000),
      attributes,
    },
  ];
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  return traceId;
}

test('what there is of process, runtime, channels and allocations is drawn', async ({ page, request }) => {
  const complaints = watch(page);
  const service = `worker-${hex(4)}`;
  await sendRuntime(request, service);
  await page.goto(`/runtime?service=${service}`);
  const tasks = page.getByRole('article', { name: 'Tasks alive' });
  await expect(tasks.locator('canvas')).toBeVisible();
  await expect(tasks.getByRole('listitem')).toHaveText(new RegExp(`${service}\\s*7`));
  const blocked = page.getByRole('article', { name: 'Workers blocked, by span' });
  await expect(blocked.getByRole('listitem')).toHaveText(/resize\s*1 in this time/);
  const depth = page.getByRole('article', { name: 'Messages in the channel' });
  await expect(depth.getByRole('listitem')).toHaveText([/jobs\s*3/, /idle\s*0/]);
  const dropped = page.getByRole('article', { name: 'Nobody received' });
  await expect(dropped.getByRole('listitem')).toHaveText(/mail\s*2 in this time/);
  const allocations = page.getByRole('region', { name: 'Allocations by span' });
  await expect(allocations.getByRole('row', { name: /parse/ })).toContainText('4 KiB');
  await expect(allocations.getByRole('row', { name: /parse/ })).toContainText('-1 KiB');
  // Of what this service does not tell, the page says how it would.
  await expect(page.getByRole('region', { name: 'Process' })).toContainText('features = ["profiling"]');
  await page.setViewportSize({ width: 390, height: 800 });
  await expectNoSidewaysScroll(page);
  await depth.getByRole('link', { name: 'channel.queue_depth' }).click();
  await expect(page).toHaveURL(/\/metrics\?name=channel\.queue_depth.*by=point\.channel\.name/);
  await expect(page.getByRole('row', { name: /channel\.name = jobs/ })).toBeVisible();
  expect(complaints).toEqual([]);
});

test('each worker of a service has a line, the busiest first', async ({ page, request }) => {
  const complaints = watch(page);
  const service = `worker-${hex(4)}`;
  const resource = { attributes: [text('service.name', service)] };
  const now = Date.now();
  const worker = (index: number, seconds: number) => ({
    startTimeUnixNano: `${now - 120_000}000000`,
    timeUnixNano: `${now}000000`,
    asDouble: seconds,
    attributes: [int('tokio.worker.index', index)],
  });
  const name = 'tokio.worker.busy_duration';
  const dataPoints = [worker(0, 12), worker(1, 60), worker(2, 30)];
  const sum = { aggregationTemporality: 1, isMonotonic: true, dataPoints };
  const scope = { name: 'ringlight.runtime' };
  const scopeMetrics = [{ scope, metrics: [{ name, unit: 's', sum }] }];
  await send(request, 'metrics', { resourceMetrics: [{ resource, scopeMetrics }] });
  await page.goto(`/runtime?service=${service}`);
  const busy = page.getByRole('article', { name: 'Workers busy, of one worker' });
  await expect(
    busy.getByRole('img', { name: /^tokio\.worker\.busy_duration over time, 3 series/ }),
  ).toBeVisible();
  await expect(busy.getByRole('listitem')).toHaveText([/1\s*[\d.]+ %$/, /2\s*[\d.]+ %$/, /0\s*[\d.]+ %$/]);
  await busy.getByRole('link', { name }).click();
  await expect(page).toHaveURL(/by=point\.tokio\.worker\.index/);
  await expect(page.getByRole('row', { name: /tokio\.worker\.index = 2/ })).toBeVisible();
  expect(complaints).toEqual([]);
});

test('the processes of the demo are there, side by side, in a narrow window, too', async ({
  page,
  request,
}) => {
  await expect(async () => {
    expect((await request.get('/api/v1/metrics/process.memory.usage')).ok()).toBe(true);
  }).toPass({ timeout: 60_000 });
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto('/runtime');
  const memory = page.getByRole('article', { name: 'Memory in use' });
  await expect(memory.locator('canvas')).toBeVisible();
  await expect(memory.getByRole('listitem').filter({ hasText: 'streaming' })).toContainText(/MiB/);
  await expect(page.getByRole('link', { name: 'Runtime', exact: true }).first()).toBeInViewport({
    ratio: 0.95,
  });
  await expectNoSidewaysScroll(page);
});

test('lines of services have the colours that the services have elsewhere', async ({ page, request }) => {
  await expect(async () => {
    expect((await request.get('/api/v1/metrics/process.memory.usage')).ok()).toBe(true);
  }).toPass({ timeout: 60_000 });
  await page.goto('/overview?all=1');
  const color = async (service: string) => {
    const mark = page.locator('.service', { hasText: service }).first().locator('.mark');
    return mark.evaluate((element) => getComputedStyle(element).backgroundColor);
  };
  await expect(page.locator('.service', { hasText: 'agent' }).first()).toBeVisible();
  const colors = { agent: await color('agent'), streaming: await color('streaming') };
  expect(colors.agent).not.toBe(colors.streaming);
  const lineColor = (chart: string, line: string) =>
    page
      .getByRole('article', { name: chart })
      .getByRole('listitem')
      .filter({ hasText: line })
      .first()
      .locator('path')
      .evaluate((path) => getComputedStyle(path).stroke);
  await page.goto('/runtime');
  for (const service of ['agent', 'streaming'] as const) {
    expect(await lineColor('Memory in use', service)).toBe(colors[service]);
  }
  await page.goto('/runtime?service=streaming');
  expect(await lineColor('Memory in use', 'streaming')).toBe(colors.streaming);
  // Several lines of the service begin with its colour, and none has that of another service.
  const modes = page.getByRole('article', { name: 'CPU, of one core' }).getByRole('listitem').locator('path');
  await expect(modes).not.toHaveCount(1);
  const strokes = await modes.evaluateAll((paths) => paths.map((path) => getComputedStyle(path).stroke));
  expect(strokes).toContain(colors.streaming);
  expect(new Set(strokes).size).toBe(strokes.length);
  expect(strokes).not.toContain(colors.agent);
});

test('a span says what was allocated in it, and a trace what its process was doing', async ({
  page,
  request,
}) => {
  const service = `worker-${hex(4)}`;
  const traceId = await sendRuntime(request, service);
  const other = {
    attributes: [text('service.name', service), text('service.instance.id', `${service}-2`)],
  };
  const dataPoints = [{ timeUnixNano: `${Date.now() - 7000}000000`, asInt: '9001' }];
  const metrics = [{ name: 'orders.open', unit: '{order}', gauge: { dataPoints } }];
  await send(request, 'metrics', { resourceMetrics: [{ resource: other, scopeMetrics: [{ metrics }] }] });
  await page.goto(`/traces/${traceId}`);
  await expect(page.getByRole('tree')).toBeVisible();
  await page.keyboard.press('ArrowDown');
  const panel = page.getByRole('complementary', { name: 'Selected span' });
  await expect(panel.getByRole('row', { name: /Allocated/ })).toContainText('4 KiB in 4');
  await expect(panel.getByRole('row', { name: /Net/ })).toContainText('-1 KiB');
  await expect(panel.getByTitle('alloc.bytes = 4096, alloc.count = 4')).toBeVisible();
  // Once is enough: they are not among the attributes, too.
  await expect(panel.locator('dt[title="file.name"]')).toBeVisible();
  await expect(panel.locator('dt[title*="alloc."]')).toHaveCount(0);
  const meanwhile = page.getByRole('region', { name: 'Meanwhile' });
  const longest = meanwhile.getByRole('link', { name: /jobs, longest queue/ });
  await expect(longest).toContainText(/queue\s*3$/);
  await expect(longest).toHaveAttribute('href', /by=point\.channel\.name/);
  // What the application measures itself, too: of this process alone, here and behind the link.
  await expect(meanwhile.getByRole('link', { name: /orders\.open/ })).toContainText('41');
  // Others of its own can be chosen, and stay for other traces.
  await expect(meanwhile.getByRole('link', { name: /orders\.shipped/ })).toHaveCount(0);
  await meanwhile.getByLabel(/^Choose metrics/).click();
  await meanwhile.getByRole('group', { name: 'Its own' }).getByLabel('orders.shipped').check();
  await expect(meanwhile.getByRole('link', { name: /orders\.shipped/ })).toContainText('12');
  // A key in the menu is no key of the page.
  await page.keyboard.press('Escape');
  await expect(meanwhile.getByRole('group', { name: 'Its own' })).toBeHidden();
  await expect(panel).toBeVisible();
  await page.reload();
  await expect(meanwhile.getByRole('link', { name: /orders\.shipped/ })).toContainText('12');
  await meanwhile.getByRole('button', { name: 'Meanwhile' }).click();
  await expect(meanwhile.getByRole('link')).toHaveCount(0);
  await meanwhile.getByRole('button', { name: 'Meanwhile' }).click();
  await meanwhile.getByRole('link', { name: /orders\.open/ }).click();
  await expect(page.getByRole('combobox', { name: 'Filter' })).toHaveValue(
    `{ resource.service.instance.id = "${service}-1" && resource.service.name = "${service}" }`,
  );
  await expect(page.getByRole('row').nth(1)).toContainText('41');
});

test('what allocates most is found among many operations that take longer', async ({ page, request }) => {
  const service = `worker-${hex(4)}`;
  const resource = { attributes: [text('service.name', service)] };
  const now = Date.now();
  const span = (name: string, millis: number, bytes: number) => ({
    traceId: hex(16),
    spanId: hex(8),
    name,
    startTimeUnixNano: `${now - 2000}000000`,
    endTimeUnixNano: `${now - 2000 + millis}000000`,
    attributes: [int('alloc.bytes', bytes)],
  });
  const slow = Array.from({ length: 520 }, (_, number) => span(`slow ${number}`, 1000, 10));
  const spans = [span('greedy', 1, 1 << 20), ...slow];
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  await page.goto(`/runtime?service=${service}`);
  const allocations = page.getByRole('region', { name: 'Allocations by span' });
  await expect(allocations.locator('tbody').getByRole('row').first()).toContainText('greedy');
  await expect(allocations).toContainText('Operations that allocated less are not shown.');
});

test('what keeps most of what it allocates is found by sorting', async ({ page, request }) => {
  const service = `worker-${hex(4)}`;
  const resource = { attributes: [text('service.name', service)] };
  const start = Date.now() - 2000;
  const span = (name: string, bytes: number, net: number) => ({
    traceId: hex(16),
    spanId: hex(8),
    name,
    startTimeUnixNano: `${start}000000`,
    endTimeUnixNano: `${start + 1}000000`,
    attributes: [int('alloc.bytes', bytes), int('alloc.net_bytes', net)],
  });
  const spans = [
    span('greedy', 1 << 20, -2048),
    span('keeper', 4096, 3072),
    span('keeper', 4096, 3072),
    span('tidy', 1 << 15, 0),
  ];
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
  await page.goto(`/runtime?service=${service}`);
  const allocations = page.getByRole('region', { name: 'Allocations by span' });
  const names = allocations.locator('tbody').getByRole('link');
  await expect(names).toHaveText(['greedy', 'tidy', 'keeper']);
  await allocations.getByRole('button', { name: 'Net' }).click();
  await expect(names).toHaveText(['keeper', 'tidy', 'greedy']);
  await expect(allocations.getByRole('row', { name: /keeper/ })).toContainText('6 KiB');
  await expect(page).toHaveURL(/sort=alloc\.net_bytes/);
  await page.reload();
  await expect(allocations.getByRole('button', { name: 'Net' })).toHaveAttribute('aria-pressed', 'true');
  await expect(names).toHaveText(['keeper', 'tidy', 'greedy']);
});
