import { expect, test } from '@playwright/test';

import { hex, paintedPixels, send, sendLargeTrace, watch } from './support';

test('attributes of every type, events, links and status arrive on the screen intact', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  const [traceId, spanId, linked] = [hex(16), hex(8), hex(16)];
  const start = BigInt(Date.now()) * 1_000_000n;
  const attributes = [
    { key: 'a.string', value: { stringValue: 'text with "quotes"\nand a line' } },
    { key: 'a.bool', value: { boolValue: false } },
    { key: 'a.int', value: { intValue: '9223372036854775807' } },
    { key: 'a.negative', value: { intValue: '-9007199254740993' } },
    { key: 'a.double', value: { doubleValue: 0.1 } },
    { key: 'a.nan', value: { doubleValue: 'NaN' } },
    { key: 'a.bytes', value: { bytesValue: '3q2+7w==' } },
    { key: 'a.array', value: { arrayValue: { values: [{ intValue: '1' }, { stringValue: 'two' }] } } },
    { key: 'a.map', value: { kvlistValue: { values: [{ key: 'inner', value: { boolValue: true } }] } } },
    { key: 'an.empty', value: {} },
  ];
  await send(request, 'traces', {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'typed' } }] },
        scopeSpans: [
          {
            scope: { name: 'a.scope', version: '1.2.3' },
            spans: [
              {
                traceId,
                spanId,
                name: 'every type',
                kind: 3,
                startTimeUnixNano: start.toString(),
                endTimeUnixNano: (start + 1_500_000n).toString(),
                attributes,
                droppedAttributesCount: 2,
                status: { code: 2, message: 'it failed' },
                events: [
                  {
                    timeUnixNano: (start + 500_000n).toString(),
                    name: 'exception',
                    attributes: [
                      { key: 'exception.stacktrace', value: { stringValue: 'at line 1\nat line 2' } },
                    ],
                  },
                ],
                links: [
                  {
                    traceId: linked,
                    spanId: hex(8),
                    attributes: [{ key: 'why', value: { stringValue: 'follows' } }],
                  },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
  await page.goto(`/traces/${traceId}?span=${spanId}`);
  const panel = page.getByRole('complementary', { name: 'Selected span' });
  for (const [key, text, type] of [
    ['a.string', 'text with "quotes"', 'str'],
    ['a.bool', 'false', 'bool'],
    ['a.int', '9223372036854775807', 'int'],
    ['a.negative', '-9007199254740993', 'int'],
    ['a.double', '0.1', 'float'],
    ['a.nan', 'NaN', 'float'],
    ['a.bytes', '3q2+7w==', 'base64'],
    ['a.array', '"two"', 'array'],
    ['a.map', '"inner": true', 'map'],
    ['an.empty', 'empty', 'empty'],
  ] as const) {
    const row = panel.locator('.row', { has: page.locator(`dt[title="${key}"]`) });
    await expect(row.locator('.content')).toContainText(text);
    await expect(row.locator('.type')).toHaveText(type);
  }
  await expect(panel).toContainText('2 more were dropped');
  await expect(panel).toContainText('it failed');
  await expect(panel).toContainText('client');
  await expect(panel).toContainText('1.5 ms');
  await expect(panel.locator('.stack')).toHaveText('at line 1\nat line 2');
  await expect(panel).toContainText('500 µs in');
  await expect(panel.getByRole('link', { name: linked })).toHaveAttribute(
    'href',
    new RegExp(`^/traces/${linked}\\?span=`),
  );
  await panel.getByText('Ids, time and scope').click();
  await expect(panel).toContainText('a.scope 1.2.3');
  await panel.getByRole('link', { name: linked }).click();
  await expect(page.getByRole('alert')).toContainText(linked);
  expect(complaints).toEqual([]);
});

test('a trace of 20 000 spans draws, scrolls, folds and is searched', async ({ page, request }) => {
  const complaints = watch(page);
  const id = await sendLargeTrace(request, 20_000);
  await page.goto(`/traces/${id}`);
  await expect(page.getByText('20,000 spans')).toBeVisible();
  const tree = page.getByRole('tree');
  await page.keyboard.press('f');
  await expect(tree).toHaveAttribute('aria-label', /20,000 rows/);
  await page.keyboard.press('End');
  await expect(page.getByRole('treeitem')).toHaveAttribute('aria-posinset', '20000');
  await expect.poll(() => tree.evaluate((element) => element.scrollTop)).toBeGreaterThan(400_000);
  await expect.poll(() => paintedPixels(page)).toBeGreaterThan(2000);
  await page.keyboard.press('/');
  await page.keyboard.type('19999');
  await expect(page.getByText('1 match', { exact: true })).toBeVisible();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await page.keyboard.press('z');
  await expect(page).toHaveURL(/zoom=\d+-\d+/);
  expect(complaints).toEqual([]);
});
