import { expect, test } from '@playwright/test';

import { hex, logs, send, watch } from './support';

test.beforeEach(async ({ request }) => {
  await expect(async () => {
    expect((await logs(request, { limit: '1' })).logs).toHaveLength(1);
  }).toPass({ timeout: 30_000 });
});

test('a record expands to its attributes and leads to its span in the trace', async ({ page, request }) => {
  const complaints = watch(page);
  await expect(async () => {
    const page = await logs(request, { limit: '500' });
    expect(page.logs.some((log) => log.trace_id !== '')).toBe(true);
  }).toPass({ timeout: 30_000 });
  await page.goto('/logs?live=0');
  const row = page
    .locator('li', { has: page.getByRole('link', { name: 'To its span in the trace' }) })
    .first();
  await row.locator('[data-row]').click();
  await expect(row.getByRole('heading', { name: /^Attributes/ })).toBeVisible();
  await expect(row.getByText('Severity', { exact: true })).toBeVisible();
  await row.getByRole('link', { name: 'To its span in the trace' }).click();
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=/);
  await expect(page.getByRole('tree').or(page.getByRole('alert'))).toBeVisible();
  await page.goBack();
  await expect(page).toHaveURL(/\/logs/);
  await expect(page.getByRole('heading', { name: /^Attributes/ })).toBeVisible();
  expect(complaints).toEqual([]);
});

test('the least severity is part of the filter, and every row names its severity', async ({ page }) => {
  await page.goto('/logs?live=0');
  await page.getByLabel('Least severity').selectOption('info');
  await expect(page.getByRole('combobox', { name: 'Filter' })).toHaveValue('{ severity >= info }');
  await expect(page.locator('[data-row]').first()).toBeVisible();
  for (const text of await page.locator('[data-row]').allInnerTexts()) {
    expect(text).toMatch(/INFO|WARN|ERROR|FATAL/);
  }
  await page.getByLabel('Least severity').selectOption('');
  await expect(page.getByRole('combobox', { name: 'Filter' })).toHaveValue('');
});

test('plain words search what the rows show, in capitals or not', async ({ page, request }) => {
  const words = `quartz lantern (${hex(4)})`;
  const timeUnixNano = `${Date.now()}000000`;
  const logRecords = [
    { timeUnixNano, body: { stringValue: `a ${words} in the dark` } },
    { timeUnixNano, body: { stringValue: `first line\n${words.toUpperCase()}` } },
    { timeUnixNano, attributes: [{ key: 'error', value: { stringValue: `no ${words}` } }] },
    { timeUnixNano, body: { stringValue: 'quartz without a lantern' } },
  ];
  await send(request, 'logs', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  await page.goto('/logs?live=0');
  await page.keyboard.press('/');
  await page.keyboard.type(words);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('combobox', { name: 'Filter' })).toHaveValue(
    /^\{ body =~ "\(\?is\)\.\*quartz lantern /,
  );
  const rows = page.locator('[data-row]');
  await expect(rows).toHaveCount(3);
  for (const row of await rows.all()) await expect(row).toContainText(new RegExp('quartz lantern', 'i'));
});

test('a record without a body shows what tells most of the rest', async ({ page, request }) => {
  const mark = hex(8);
  const attributes = [
    { key: 'mark', value: { stringValue: mark } },
    { key: 'error', value: { stringValue: 'no room left' } },
  ];
  const timeUnixNano = `${Date.now()}000000`;
  const logRecords = [
    { timeUnixNano, attributes },
    { timeUnixNano, attributes, eventName: 'cart.full' },
  ];
  await send(request, 'logs', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  await page.goto(`/logs?live=0&q=${encodeURIComponent(`{ .mark = "${mark}" }`)}`);
  const rows = page.locator('[data-row]');
  await expect(rows).toHaveCount(2);
  await expect(rows.filter({ hasText: `error=no room left` })).toHaveCount(2);
  await expect(rows.filter({ hasText: 'cart.full' })).toHaveCount(1);
});

test('services without a name are told apart by their programs', async ({ page, request }) => {
  const mark = hex(8);
  const programs = ['newuser-service', 'newuser-worker'];
  for (const program of programs) {
    const attributes = [{ key: 'mark', value: { stringValue: mark } }];
    const record = { timeUnixNano: `${Date.now()}000000`, attributes };
    const name = { key: 'service.name', value: { stringValue: `unknown_service:${program}` } };
    await send(request, 'logs', {
      resourceLogs: [{ resource: { attributes: [name] }, scopeLogs: [{ logRecords: [record] }] }],
    });
  }
  await page.goto(`/logs?live=0&q=${encodeURIComponent(`{ .mark = "${mark}" }`)}`);
  await expect(page.locator('[data-row]')).toHaveCount(2);
  for (const program of programs) {
    const name = page.getByTitle(`unknown_service:${program}`);
    // Not by italics alone: a service whose name is the program's is another one.
    await expect(name).toHaveText(`unnamed service, program ${program}`);
    expect(await name.evaluate((element) => element.scrollWidth <= element.clientWidth)).toBe(true);
  }
});

test('new records appear by themselves', async ({ page, request }) => {
  await page.goto('/logs');
  await expect(page.locator('[data-row]').first()).toBeVisible();
  const newest = (await logs(request, { limit: '1' })).logs[0]!.time_unix_nano;
  let body = '';
  await expect(async () => {
    const record = (await logs(request, { limit: '1' })).logs[0]!;
    expect(record.time_unix_nano).not.toBe(newest);
    body = String(record.body.value);
  }).toPass({ timeout: 30_000 });
  await expect(
    page
      .locator('[data-row]')
      .filter({ hasText: body.split('\n')[0]!.slice(0, 60) })
      .first(),
  ).toBeVisible();
});

test('a record left open does not hold up the list of another filter', async ({ page, request }) => {
  const mark = hex(8);
  const add = () => {
    const timeUnixNano = `${Date.now()}000000`;
    const attributes = [{ key: 'mark', value: { stringValue: mark } }];
    const record = { timeUnixNano, severityNumber: 9, body: { stringValue: 'kept open' }, attributes };
    return send(request, 'logs', { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  };
  await add();
  await page.goto(`/logs?q=${encodeURIComponent(`{ .mark = "${mark}" }`)}`);
  const rows = page.locator('[data-row]');
  await rows.first().click();
  await expect(page.getByRole('heading', { name: /^Attributes/ })).toBeVisible();
  // The focus leaves the list too, which would hold it up as well.
  await page.getByLabel('Least severity').focus();
  await page.getByLabel('Least severity').selectOption('info');
  await expect(page.getByRole('heading', { name: /^Attributes/ })).toBeHidden();
  await add();
  await expect(rows).toHaveCount(2);
});

test('paused, the list stands still and counts what arrives, and goes on with it', async ({
  page,
  request,
}) => {
  const mark = hex(8);
  const sendOne = async (body: string) => {
    const timeUnixNano = `${Date.now()}000000`;
    const attributes = [{ key: 'mark', value: { stringValue: mark } }];
    const logRecords = [{ timeUnixNano, body: { stringValue: body }, attributes }];
    await send(request, 'logs', { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  };
  await sendOne('the first');
  await page.goto(`/logs?q=${encodeURIComponent(`{ .mark = "${mark}" }`)}`);
  const rows = page.locator('[data-row]');
  await expect(rows).toHaveCount(1);
  await page.keyboard.press('l');
  await expect(page.getByRole('button', { name: 'Paused' })).toBeVisible();
  await sendOne('the second');
  await sendOne('the third');
  await expect(page.getByRole('button', { name: 'Paused · 2 new' })).toBeVisible();
  await expect(rows).toHaveCount(1);
  await page.keyboard.press('l');
  await expect(page.getByRole('button', { name: 'Live' })).toBeVisible();
  await expect(rows).toHaveText([/the third/, /the second/, /the first/]);
  await sendOne('the fourth');
  await expect(rows).toHaveCount(4);
});

test('the list goes on by itself after failures, with all that came meanwhile', async ({ page, request }) => {
  const mark = hex(8);
  const sendOne = (body: string) => {
    const attributes = [{ key: 'mark', value: { stringValue: mark } }];
    const record = { timeUnixNano: `${Date.now()}000000`, body: { stringValue: body }, attributes };
    return send(request, 'logs', { resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] });
  };
  // A defect, and an answer that breaks off.
  const faults = [
    { status: 500, json: { error: { code: 'internal', message: 'a wheel came off' } } },
    { status: 200, contentType: 'application/json', body: '{"logs": [{"time_unix_nano": "1' },
  ] as const;
  let failing = true;
  let failed = 0;
  await page.route('**/api/v1/logs?*', async (route) => {
    if (failing) await route.fulfill(faults[failed++ % 2]);
    else await route.fallback();
  });
  const rows = page.locator('[data-row]');
  const notice = page.getByRole('status').filter({ hasText: 'Not up to date.' });
  const q = encodeURIComponent(`{ .mark = "${mark}" }`);
  await sendOne('before');
  // The first answer of all, where the time has an end, and later ones where it has none.
  const now = Date.now();
  await page.goto(`/logs?q=${q}&from=${now - 60_000}&to=${now + 60_000}`);
  await expect(notice).toContainText(/came off|broke off/);
  failing = false;
  await expect(rows).toHaveText([/before/]);
  await expect(notice).toHaveCount(0);

  await page.goto(`/logs?q=${q}`);
  await expect(rows).toHaveText([/before/]);
  failing = true;
  failed = 0;
  await expect(notice).toContainText(/came off|broke off/);
  await expect.poll(() => failed).toBeGreaterThan(2);
  await expect(rows).toHaveText([/before/]);
  await sendOne('meanwhile');
  failing = false;
  await expect(rows).toHaveText([/meanwhile/, /before/]);
  await expect(notice).toHaveCount(0);
  await sendOne('after');
  await expect(rows).toHaveText([/after/, /meanwhile/, /before/]);
});

test('a filter that is refused is not asked for again', async ({ page }) => {
  await page.clock.install();
  let asked = 0;
  page.on('request', (request) => {
    if (new URL(request.url()).pathname === '/api/v1/logs') asked += 1;
  });
  await page.goto(`/logs?q=${encodeURIComponent('{ severity >> warn }')}`);
  await expect(page.locator('form').getByRole('alert')).toBeVisible();
  expect(asked).toBe(1);
  await page.clock.runFor(60_000);
  expect(asked).toBe(1);
  // One that is right is followed.
  await page.locator('form .examples').getByRole('button').first().click();
  await expect.poll(() => asked).toBeGreaterThan(3);
});
