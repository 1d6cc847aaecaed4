import { expect, test } from '@playwright/test';

import { hex, send, watch } from './support';

/** Markup, escape sequences and direction marks where a name or a value is expected. */
const HOSTILE =
  "<img src=x onerror=\"document.title='owned'\"><script>alert(1)</script>\u001b[31m\u202e'; DROP TABLE spans;--";

test('fault_35: names, values and bodies are text, whatever they hold', async ({ page, request }) => {
  const complaints = watch(page);
  const traceId = hex(16);
  const spanId = hex(8);
  const now = `${Date.now()}000000`;
  const attributes = [
    { key: HOSTILE, value: { stringValue: HOSTILE } },
    {
      key: 'nested',
      value: { kvlistValue: { values: [{ key: '__proto__', value: { stringValue: HOSTILE } }] } },
    },
  ];
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: HOSTILE } }] };
  const span = {
    traceId,
    spanId,
    name: HOSTILE,
    kind: 2,
    startTimeUnixNano: now,
    endTimeUnixNano: now,
    attributes,
    status: { code: 2, message: HOSTILE },
    events: [{ timeUnixNano: now, name: HOSTILE, attributes }],
    links: [{ traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), attributes }],
  };
  await send(request, 'traces', {
    resourceSpans: [{ resource, scopeSpans: [{ scope: { name: HOSTILE }, spans: [span] }] }],
  });
  await send(request, 'logs', {
    resourceLogs: [
      {
        resource,
        scopeLogs: [
          {
            scope: { name: HOSTILE },
            logRecords: [
              {
                timeUnixNano: now,
                severityNumber: 17,
                severityText: HOSTILE,
                body: { stringValue: HOSTILE },
                attributes,
                traceId,
                spanId,
              },
            ],
          },
        ],
      },
    ],
  });

  await page.goto(`/traces/${traceId}?span=${spanId}`);
  const panel = page.getByRole('complementary', { name: 'Selected span' });
  await expect(panel.getByRole('heading', { level: 2 }).first()).toContainText(
    '<script>alert(1)</script>␛[31m<U+202E>',
  );
  await panel.getByRole('button', { name: /^Logs/ }).click();
  await expect(page.getByRole('complementary')).toContainText('<script>alert(1)</script>');
  await page.goto(`/logs?trace=${traceId}`);
  await page.locator('[data-row]').first().click();
  await expect(page.locator('.detail')).toContainText('<script>alert(1)</script>');
  // The service's menu and its colour come from the same text.
  await page.goto('/traces');
  const menu = page.getByLabel('Service', { exact: true });
  await expect(menu).toContainText('<script>alert(1)</script>␛[31m<U+202E>');
  await menu.selectOption(HOSTILE);
  await expect(menu).toHaveAttribute('title', /␛\[31m<U\+202E>/);
  const labels = await menu.evaluate((element) =>
    [...(element as HTMLSelectElement).options].map(({ text }) => text),
  );
  // eslint-disable-next-line no-control-regex -- control characters are what must not be there
  expect(labels.join(' ')).not.toMatch(/[\u001b\u202e]/);
  expect(await page.locator('main img').count()).toBe(0);
  expect(await page.title()).not.toContain('owned');
  expect(complaints).toEqual([]);
});

test('fault_35: names that are alike when they are put together are told apart', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  const tag = hex(4);
  const end = Date.now();
  const attributes = [{ key: 'alloc.bytes', value: { intValue: '9000000000000' } }];
  // Joined by a line feed, service and name of both are the same.
  const pairs = [
    [`a-${tag}`, 'b\nc'],
    [`a-${tag}\nb`, 'c'],
  ] as const;
  for (const [service, name] of pairs) {
    const resource = { attributes: [{ key: 'service.name', value: { stringValue: service } }] };
    const span = {
      traceId: hex(16),
      spanId: hex(8),
      name,
      startTimeUnixNano: `${end - 30_000}000000`,
      endTimeUnixNano: `${end}000000`,
      attributes,
    };
    await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
  }
  for (const path of ['/overview?all=1', '/runtime']) {
    await page.goto(path);
    await expect(page.getByRole('row').filter({ hasText: `a-${tag}` })).toHaveCount(2);
  }
  expect(complaints).toEqual([]);
});
