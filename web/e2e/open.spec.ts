import { expect, test, type APIRequestContext } from '@playwright/test';

import { hex, paintedPixels, send, watch } from './support';

const field = (number: number, bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);

function fixed64(number: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (number << 3) | 1;
  bytes.writeBigUInt64LE(value, 1);
  return bytes;
}

interface Open {
  traceId: string;
  spanId: string;
  service: string;
  name: string;
  start: bigint;
}

/** What a client of ours reports of an open span: the bytes of an OTLP `ScopeSpans` in the body of a log record. */
function scopeSpans({ traceId, spanId, name, start }: Open, now: bigint): string {
  const span = Buffer.concat([
    field(1, Buffer.from(traceId, 'hex')),
    field(2, Buffer.from(spanId, 'hex')),
    field(5, Buffer.from(name)),
    fixed64(7, start),
    fixed64(8, now),
  ]);
  return field(2, span).toString('base64');
}

async function report(
  request: APIRequestContext,
  open: Open,
  round: number,
  isFinal: boolean,
): Promise<void> {
  const now = BigInt(Date.now()) * 1_000_000n;
  const attribute = (key: string, value: object) => ({ key: `ringlight.open_spans.${key}`, value });
  const scope = {
    name: 'ringlight',
    attributes: [
      attribute('sender', { stringValue: open.traceId }),
      attribute('round', { intValue: String(round) }),
      attribute('interval_ms', { intValue: '60000' }),
      attribute('final', { boolValue: isFinal }),
    ],
  };
  const record = {
    timeUnixNano: String(now),
    eventName: 'ringlight.span.open',
    traceId: open.traceId,
    spanId: open.spanId,
    body: { bytesValue: scopeSpans(open, now) },
  };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: open.service } }] };
  await send(request, 'logs', {
    resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords: [record] }] }],
  });
}

test('a span in progress is shown as such, as lost when its process ends, and as any span once it arrives', async ({
  page,
  request,
}) => {
  const complaints = watch(page);
  const open: Open = {
    traceId: hex(16),
    spanId: hex(8),
    service: `open-${hex(4)}`,
    name: 'wait for the night',
    start: BigInt(Date.now() - 90_000) * 1_000_000n,
  };
  await report(request, open, 1, false);
  const list = `/traces?live=0&q=${encodeURIComponent(`{ resource.service.name = "${open.service}" }`)}`;
  const row = page.locator('[data-row]');
  await expect(async () => {
    await page.goto(list);
    await expect(row).toHaveCount(1, { timeout: 2000 });
  }).toPass();
  await expect(row).toContainText(open.name);
  await expect(row).toContainText('in progress');

  await row.click();
  await expect(page.getByRole('main')).toContainText('1 span in progress');
  await expect.poll(() => paintedPixels(page)).toBeGreaterThan(500);
  await page.keyboard.press('j');
  const selected = page.getByRole('treeitem', { selected: true });
  await expect(selected).toContainText('so far');
  await expect(selected).toContainText('in progress');
  const panel = page.getByRole('complementary', { name: 'Selected span' });
  await expect(panel).toContainText('In progress since');

  // The page follows what becomes of it.
  await report(request, open, 2, true);
  await expect(selected).toContainText('lost');
  await expect(panel).toContainText('Last seen at');

  const span = {
    traceId: open.traceId,
    spanId: open.spanId,
    name: open.name,
    startTimeUnixNano: String(open.start),
    endTimeUnixNano: String(open.start + 91_000_000_000n),
  };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: open.service } }] };
  await send(request, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
  await page.reload();
  await expect(panel).toContainText('1 m 31 s');
  await expect(panel).not.toContainText('Last seen at');
  expect(complaints).toEqual([]);
});
