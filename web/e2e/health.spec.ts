import { expect, test } from '@playwright/test';

import type { ClientLedger, LedgerCells, Status } from '../src/lib/api/types';
import { someTrace, watch } from './support';

test('the ledgers of both applications balance and agree with the backend', async ({ page, request }) => {
  const complaints = watch(page);
  await someTrace(request);
  await page.goto('/health');
  const clients = page.locator('#clients');
  for (const service of ['agent', 'streaming']) {
    const row = clients.getByRole('row').filter({ hasText: service }).filter({ hasText: 'traces' }).first();
    await expect(row).toContainText('balanced');
    await expect(row).not.toContainText('differs');
  }
  await expect(page.locator('#signals').getByRole('row', { name: /^Traces/ })).toContainText('balanced');
  expect(complaints).toEqual([]);
});

test('nothing on the page of a running demo is a problem', async ({ page, request }) => {
  await someTrace(request);
  // The ledgers of the clients arrive as metrics.
  await expect(async () => {
    const { metrics } = ((await (await request.get('/api/v1/status')).json()) as Status).signals;
    expect(metrics.ledger_points).toBeGreaterThan(0);
    expect(metrics.accepted).toBe(
      metrics.stored + metrics.duplicates + metrics.not_stored + metrics.ledger_points,
    );
  }).toPass({ timeout: 30_000 });
  await page.goto('/health');
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Every record is accounted for');
  await expect(page.getByRole('main').getByText('✕ problem')).toHaveCount(0);
  const metrics = page.locator('#signals').getByRole('row', { name: /^Metrics/ });
  await expect(metrics).toContainText("clients' own reports");
  await expect(metrics).toContainText('balanced');
});

test('a request at the wrong port is shown with the hint that mends it', async ({ page, request }) => {
  const status = (await (await request.get('/api/v1/status')).json()) as Status;
  const answer = await request
    .post(`http://${status.listen.otlp_http}/v1/nonsense`, {
      data: '{}',
      headers: { 'content-type': 'application/json' },
    })
    .catch(() => null);
  expect(answer?.status()).toBe(404);
  await page.goto('/health');
  const refusals = page.locator('#refusals');
  await expect(refusals).toContainText('Unknown path');
  await expect(refusals).toContainText('/v1/nonsense');
  await expect(refusals).toContainText('Hint:');
});

test('a client that was killed is not shown as if it went on', async ({ page, request }) => {
  await someTrace(request);
  const settled = {
    submitted: 69,
    recovered: 0,
    exported: 69,
    exported_recovered: 0,
    rejected: 0,
    dropped: {},
    in_flight: 0,
    spooled: 0,
    balanced: true,
  };
  const client = {
    service: 'unknown_service:newuser-service',
    instance: 'killed',
    last_report_unix_nano: `${Date.now() - 5 * 60_000}000000`,
    final: false,
    signals: {
      traces: { ...settled, exported: 61, in_flight: 8 },
    },
    negative_durations: 0,
    unmatched_exits: 0,
    stored: { traces: 67 },
    threads: [],
    ring_bytes: 0,
    cost: null,
    delivery: null,
  };
  const idle = {
    ...client,
    service: 'nothing-to-do',
    instance: 'idle',
    signals: { traces: settled },
    stored: { traces: 69 },
  };
  await page.route('**/api/v1/status', async (route) => {
    const response = await route.fetch();
    const status = (await response.json()) as Status;
    await route.fulfill({ response, json: { ...status, clients: [...status.clients, client, idle] } });
  });
  await page.goto('/health');
  const row = page.locator('#clients').getByRole('row').filter({ hasText: 'newuser-service' });
  await expect(row).toContainText('5 min ago');
  await expect(row).toContainText('no goodbye');
  await expect(row).toContainText('not told');
  await expect(row).not.toContainText('ahead');
  await expect(page.getByRole('main')).toContainText('2 records were in flight when clients ended');
  const quiet = page.locator('#clients').getByRole('row').filter({ hasText: 'nothing-to-do' });
  await expect(quiet).toContainText('quiet');
  await expect(quiet).toContainText('agrees');
  await expect(quiet).not.toContainText('no goodbye');
  const others = page.locator('#clients').getByRole('row').filter({ hasText: 'agent' });
  await expect(others.first()).toBeVisible();
  await expect(others.filter({ hasText: 'no goodbye' })).toHaveCount(0);
});

test('processes that have ended are folded away, but for one that disagrees, which is named', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  await someTrace(request);
  const cells = (part: Partial<LedgerCells>): LedgerCells => ({
    submitted: 60,
    recovered: 0,
    exported: 60,
    exported_recovered: 0,
    rejected: 0,
    dropped: {},
    in_flight: 0,
    spooled: 0,
    balanced: true,
    ...part,
  });
  const ended = (instance: string, traces: LedgerCells, stored: number): ClientLedger => ({
    service: 'batch',
    instance,
    started_unix_nano: `${Date.now()}000000`,
    last_report_unix_nano: `${Date.now() - 60_000}000000`,
    final: true,
    signals: { traces },
    negative_durations: 0,
    unmatched_exits: 0,
    stored: { traces: stored },
    threads: [],
    ring_bytes: 0,
    cost: null,
    delivery: null,
  });
  const batches = [
    ended('first-run', cells({}), 60),
    ended('second-run', cells({ submitted: 47, exported: 40, dropped: { ring_full: 7 } }), 40),
    ended('wrongone', cells({}), 58),
  ];
  await page.route('**/api/v1/status', async (route) => {
    const response = await route.fetch();
    const status = (await response.json()) as Status;
    const clients = [...status.clients.filter(({ final }) => !final), ...batches];
    await route.fulfill({ response, json: { ...status, clients } });
  });
  await page.goto('/health');
  await expect(page.getByRole('main')).toContainText(
    'batch wrongone, traces: the client says that it exported 60, and 58 are stored here.',
  );
  const rows = page.locator('#clients').getByRole('row').filter({ hasText: 'batch' });
  await expect(rows).toHaveCount(1);
  await expect(rows).toContainText('differs by 2');
  const sum = page.locator('#clients').getByRole('row', { name: /2 processes that have ended/ });
  for (const text of ['107', '100', 'ring full: 7', 'all 2 agree', '1 min ago']) {
    await expect(sum).toContainText(text);
  }
  const fold = sum.getByRole('button');
  await expect(fold).toHaveAttribute('aria-expanded', 'false');
  await fold.click();
  await expect(fold).toHaveAttribute('aria-expanded', 'true');
  await expect(rows).toHaveCount(3);
  await expect(rows.filter({ hasText: 'second-r' })).toContainText('1 min ago, final');
  expect(complaints).toEqual([]);
});

test('what observing costs is shown, and threads unfold', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/health');
  const cost = page.locator('#cost');
  const streaming = cost.getByRole('listitem').filter({ hasText: 'streaming' }).first();
  await expect(streaming).toContainText(/% of one core, [\d.]+ [KM]iB/);
  await expect(streaming).toContainText(
    /[\d.]+ B a span on the wire, .*answered in .*, \d+ requests? at a time/,
  );
  await expect(cost).toContainText('a span takes several times what benchmarks have');
  const threads = streaming.getByRole('table');
  await expect(threads).toBeHidden();
  await streaming.locator('summary').click();
  await expect(threads).toBeVisible();
  await expect(threads.getByRole('row').filter({ hasText: 'traces' }).first()).toBeVisible();
});

test('what was left out on purpose is not told as lost', async ({ page, request }) => {
  await someTrace(request);
  const pipeline = (service: string, dropped: Record<string, number>): ClientLedger => ({
    service,
    instance: `${service}-1`,
    started_unix_nano: `${Date.now()}000000`,
    last_report_unix_nano: `${Date.now()}000000`,
    final: false,
    signals: {},
    negative_durations: 0,
    unmatched_exits: 0,
    stored: {},
    threads: [
      {
        kind: 'pipeline',
        name: '',
        id: 0,
        ring_used_bytes: 0,
        signals: { traces: { submitted: 0, dropped } },
      },
    ],
    ring_bytes: 0,
    cost: null,
    delivery: null,
  });
  const clients = [
    pipeline('frugal', { tail_sampled: 1200, filtered: 34 }),
    pipeline('losing', { tail_sampled: 5, queue_full: 7 }),
  ];
  await page.route('**/api/v1/status', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...((await response.json()) as Status), clients } });
  });
  await page.goto('/health');
  const summary = (service: string) =>
    page.locator('#cost').getByRole('listitem').filter({ hasText: service }).locator('summary');
  await expect(summary('frugal')).toHaveText('Threads, 1,234 left out as asked');
  await expect(summary('losing')).toHaveText('Threads, 7 records dropped, 5 left out as asked');
  await expect(page.getByRole('main')).not.toContainText('Clients dropped');
  for (const service of ['frugal', 'losing']) await summary(service).click();
  const wrong = page.locator('#cost td.error-text');
  await expect(wrong).toHaveCount(1);
  await expect(wrong).toContainText('queue full: 7');
  await expect(page.locator('#cost .reason.muted')).toHaveText([/tail/, /filtered/, /tail/]);
});

test('what is passed on is accounted for, and what waits is said', async ({ page, request }) => {
  const complaints = watch(page);
  await someTrace(request);
  await page.goto('/health');
  await expect(page.locator('#cost')).toBeVisible();
  await expect(page.locator('#forward')).toHaveCount(0);
  const traces = {
    submitted: 100,
    recovered: 7,
    exported: 60,
    exported_recovered: 7,
    rejected: 0,
    dropped: { spool_full: 3 },
    in_flight: 4,
    spooled: 40,
    balanced: true,
  };
  await page.route('**/api/v1/status', async (route) => {
    const response = await route.fetch();
    const status = (await response.json()) as Status;
    const forward = { destination: 'https://tempo.example:4317', signals: { traces }, delivery: {} };
    await route.fulfill({ response, json: { ...status, forward } });
  });
  const forward = page.locator('#forward');
  await expect(forward).toContainText('to https://tempo.example:4317');
  const row = forward.getByRole('row', { name: /^Traces/ });
  await expect(row).toContainText('found on disk: 7');
  await expect(row).toContainText('spool full: 3');
  await expect(row).toContainText('balanced');
  const main = page.getByRole('main');
  await expect(main).toContainText('40 records wait on disk for the next backend.');
  await expect(main).toContainText('3 records were refused or dropped on the way to the next backend.');
  expect(complaints).toEqual([]);
});

test('series that made room for new ones are said', async ({ page }) => {
  await page.route('**/api/v1/status', async (route) => {
    const response = await route.fetch();
    const status = (await response.json()) as Status;
    const store = { ...status.store, series: 99_990, series_max: 100_000, series_forgotten: 1500 };
    await route.fulfill({ response, json: { ...status, store } });
  });
  await page.goto('/health');
  await expect(page.locator('#store')).toContainText('99,990 of 100,000; 1,500 old ones made room');
  await expect(page.getByRole('main')).toContainText('1,500 old series of metrics made room for new ones');
});

test('runs lead to their traces', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/health');
  const run = page.getByRole('row').filter({ hasText: 'this run' });
  await run.getByRole('link').click();
  await expect(page).toHaveURL(/\/traces\?run=/);
  await expect(page.locator('[data-row]').first()).toBeVisible();
});

test('a page that does not exist names those that do', async ({ page }) => {
  await page.goto('/nowhere');
  await expect(page.getByRole('heading', { name: /There is no page/ })).toBeVisible();
  await expect(page.getByRole('main').getByRole('link', { name: 'Traces' })).toBeVisible();
});

test('in a narrow window every figure is in sight, with its heading', async ({ page, request }) => {
  await someTrace(request);
  await page.goto('/health');
  const row = (table: string, name: string) =>
    page.locator(table).getByRole('row').filter({ hasText: name }).first();
  const ledger = row('#clients', 'streaming');
  await expect(ledger).toContainText('balanced');
  const headings = await page.locator('#clients th').allTextContents();
  await page.setViewportSize({ width: 420, height: 800 });
  for (const table of await page.locator('main .scroll').all()) {
    if (!(await table.isVisible())) continue;
    expect(await table.evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
  }
  // What the row is about needs none.
  const labels = await ledger
    .getByRole('cell')
    .evaluateAll((cells) => cells.map((cell) => cell.dataset['label'] ?? ''));
  expect(labels).toEqual(['', ...headings.slice(1)]);
  const width = 420 / 2;
  for (const cell of await row('#signals', 'Traces').getByRole('cell').all()) {
    const box = (await cell.boundingBox())!;
    expect(box.x + box.width).toBeLessThanOrEqual(420);
    expect(box.width).toBeLessThan(width);
    expect(await cell.evaluate((element) => getComputedStyle(element, '::before').content)).not.toBe('none');
  }
});

test('a table that is cut says that there is more of it', async ({ page, request }) => {
  await someTrace(request);
  await page.setViewportSize({ width: 740, height: 800 });
  await page.goto('/health');
  const table = page.locator('#clients .scroll');
  await expect(table).toBeVisible();
  expect(await table.evaluate((element) => element.scrollWidth > element.clientWidth)).toBe(true);
  await expect(table).toHaveCSS('background-attachment', 'local, local, scroll, scroll');
});

test('keys of the help are as high as others where what they do takes two lines', async ({ page }) => {
  await page.goto('/health');
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: 'Keyboard and filters' });
  const height = async (key: string) =>
    (await dialog
      .locator('kbd')
      .filter({ hasText: new RegExp(`^${key}$`) })
      .first()
      .boundingBox())!.height;
  expect(await height('g')).toBe(await height('j'));
});
