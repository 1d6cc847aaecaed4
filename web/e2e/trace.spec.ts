import { expect, test } from '@playwright/test';

import { hex, logs, paintedPixels, send, someTrace, watch, wholeTrace } from './support';

test('the waterfall draws, and the keyboard walks through it', async ({ page, request }) => {
  const complaints = watch(page);
  const summary = await someTrace(request, '{ name = "agent.turn" }');
  await page.goto(`/traces/${summary.trace_id}`);
  const tree = page.getByRole('tree');
  await expect(tree).toBeVisible();
  await expect.poll(() => paintedPixels(page)).toBeGreaterThan(2000);
  await page.keyboard.press('j');
  const selected = page.getByRole('treeitem', { selected: true });
  await expect(selected).toContainText('agent.turn');
  await expect(selected).toHaveAttribute('aria-level', '1');
  await expect(selected).toHaveAttribute('aria-expanded', 'true');
  await page.keyboard.press('ArrowRight');
  await expect(selected).toHaveAttribute('aria-level', '2');
  await expect(page).toHaveURL(/span=[0-9a-f]{16}/);
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await expect(selected).toHaveAttribute('aria-level', '1');
  const width = () => page.evaluate(() => Number(localStorage.getItem('ringlight.nameWidth')));
  await page.keyboard.press('>');
  const wide = await width();
  await page.keyboard.press('<');
  expect(await width()).toBe(wide - 24);
  expect(complaints).toEqual([]);
});

test('folding hides the children, unfolding brings them back', async ({ page, request }) => {
  // A finished turn with several levels: one that was refused at once has nothing to fold.
  const summary = await someTrace(request, '{ rootName = "agent.turn" && name = "tool.execute" }');
  await page.goto(`/traces/${summary.trace_id}`);
  const tree = page.getByRole('tree');
  await expect(tree).toHaveAttribute('aria-label', /rows/);
  const all = await tree.getAttribute('aria-label');
  await page.getByRole('button', { name: 'Fold all' }).click();
  await expect(tree).not.toHaveAttribute('aria-label', all ?? '');
  await page.getByRole('button', { name: 'Unfold all' }).click();
  await expect(tree).toHaveAttribute('aria-label', all ?? '');
});

test('a span shows its attributes with their types, and a value leads to a search for it', async ({
  page,
  request,
}) => {
  const summary = await someTrace(request, '{ name = "agent.turn" }');
  const trace = await wholeTrace(request, summary.trace_id);
  const span = trace.spans.find((candidate) => candidate.attributes.some(({ type }) => type === 'string'))!;
  const attribute = span.attributes.find(({ type }) => type === 'string')!;
  await page.goto(`/traces/${trace.trace_id}?span=${span.span_id}`);
  const panel = page.getByRole('complementary', { name: 'Selected span' });
  await expect(panel.getByRole('heading', { name: span.name, exact: true })).toBeVisible();
  await expect(panel.locator(`dt[title="${attribute.key}"]`)).toBeVisible();
  await panel
    .getByRole('link', { name: `Find this value of ${attribute.key}`, exact: true })
    .first()
    .click();
  await expect(page).toHaveURL(/\/traces\?q=/);
  await expect(page.locator('[data-row]').first()).toBeVisible();
});

test('a span that starts with its trace says so in words', async ({ page, request }) => {
  const summary = await someTrace(request, '{ rootName = "agent.turn" && name = "tool.execute" }');
  const trace = await wholeTrace(request, summary.trace_id);
  const root = trace.spans.find(({ parent_span_id: parent }) => parent === '')!;
  const inner = trace.spans.find(({ name }) => name === 'tool.execute')!;
  await page.goto(`/traces/${trace.trace_id}?span=${root.span_id}`);
  const starts = page
    .getByRole('complementary', { name: 'Selected span' })
    .locator('dt', { hasText: 'Starts at' })
    .locator('+ dd');
  await expect(starts).toHaveText('the start');
  await page.goto(`/traces/${trace.trace_id}?span=${inner.span_id}`);
  await expect(starts).toHaveText(/^\+[\d.]+ .?s$/);
});

test('zooming by wheel, key and drag changes the part on display, and back restores it', async ({
  page,
  request,
}) => {
  const summary = await someTrace(request, '{ name = "agent.turn" }');
  await page.goto(`/traces/${summary.trace_id}`);
  const canvas = page.getByRole('tree').locator('canvas');
  await expect(canvas).toBeVisible();
  await page.keyboard.press('+');
  await expect(page).toHaveURL(/zoom=\d/);
  await page.keyboard.press('0');
  // All of it is said so where spans come long after the root.
  await expect(page).not.toHaveURL(/zoom=\d/);
  const box = (await canvas.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
  await page.keyboard.down('Control');
  await page.mouse.wheel(0, -400);
  await page.keyboard.up('Control');
  await expect(page).toHaveURL(/zoom=\d/);
  await page.getByRole('button', { name: 'Whole trace' }).click();
  await expect(page).not.toHaveURL(/zoom=\d/);
  await page.mouse.move(box.x + box.width * 0.5, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 80, { steps: 5 });
  await page.mouse.up();
  await expect(page).toHaveURL(/zoom=\d/);
});

test('search inside the trace counts its matches and jumps to them', async ({ page, request }) => {
  const summary = await someTrace(request, '{ name = "llm.chat" }');
  await page.goto(`/traces/${summary.trace_id}`);
  await expect(page.getByRole('tree')).toBeVisible();
  await page.keyboard.press('/');
  await page.keyboard.type('llm.chat');
  await expect(page.getByText(/\d+ match/)).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('treeitem')).toContainText('llm.chat');
  await page.keyboard.press('Escape');
  await expect(page.getByText(/\d+ match/)).toBeHidden();
});

test('from a span to its log records, to the Logs page, and back', async ({ page, request }) => {
  let id = '';
  let span = '';
  await expect(async () => {
    const record = (await logs(request, { limit: '500' })).logs.find(
      (log) => log.trace_id !== '' && log.span_id !== '',
    );
    expect(record).toBeDefined();
    const trace = await wholeTrace(request, record!.trace_id);
    expect(trace.spans.some((candidate) => candidate.span_id === record!.span_id)).toBe(true);
    id = record!.trace_id;
    span = record!.span_id;
  }).toPass({ timeout: 30_000 });
  await page.goto(`/traces/${id}?span=${span}`);
  const detail = page.getByRole('complementary', { name: 'Selected span' });
  await expect(detail.getByRole('heading', { name: 'Log records' })).toBeVisible();
  await expect(detail.getByTitle('Select the span that wrote it').first()).toBeVisible();
  await page.goto(`/traces/${id}?span=${span}&tab=logs`);
  const panel = page.getByRole('complementary', { name: 'Log records of the trace' });
  await panel.getByLabel('Only the selected span').check();
  await expect(panel.getByRole('listitem').first()).toBeVisible();
  await panel.getByRole('link', { name: 'On the Logs page' }).click();
  await expect(page).toHaveURL(new RegExp(`/logs\\?trace=${id}`));
  await page.getByRole('link', { name: 'To its span in the trace' }).first().click();
  await expect(page).toHaveURL(new RegExp(`/traces/${id}\\?span=`));
  await expect(page.getByRole('treeitem')).not.toBeEmpty();
  await page.goBack();
  await expect(page).toHaveURL(new RegExp(`/logs\\?trace=${id}`));
  await page.goBack();
  await expect(page.getByRole('tree')).toBeVisible();
});

test('a trace that is not there says so', async ({ page }) => {
  await page.goto(`/traces/${'f'.repeat(32)}`);
  await expect(page.getByRole('alert')).toContainText('f'.repeat(32));
  await expect(page.getByRole('link', { name: 'All traces' })).toBeVisible();
});

test('a backend that is gone is told above a trace, all of which stays in sight', async ({
  page,
  request,
}) => {
  const summary = await someTrace(request, '{ name = "agent.turn" }');
  for (const width of [1280, 420]) {
    await page.setViewportSize({ width, height: 800 });
    await page.goto(`/traces/${summary.trace_id}`);
    await expect(page.getByRole('tree')).toBeVisible();
    await page.route('**/api/**', (route) => route.abort());
    await expect(page.getByRole('alert')).toContainText('The backend does not answer.');
    const excess = () => page.evaluate(() => document.documentElement.scrollHeight - window.innerHeight);
    await expect.poll(excess).toBe(0);
    await page.unroute('**/api/**');
  }
});

test('a late span does not stretch what is seen of a trace', async ({ page, request }) => {
  const traceId = hex(16);
  const rootId = hex(8);
  const lateId = hex(8);
  const start = BigInt(Date.now() - 60_000) * 1_000_000n;
  const span = (spanId: string, name: string, from: number, to: number) => ({
    traceId,
    spanId,
    parentSpanId: spanId === rootId ? '' : rootId,
    name,
    startTimeUnixNano: (start + BigInt(from)).toString(),
    endTimeUnixNano: (start + BigInt(to)).toString(),
  });
  const spans = [
    span(rootId, 'turn', 0, 537e6),
    span(hex(8), 'plan', 1e6, 300e6),
    span(lateId, 'channel.recv', 4460e6, 4460e6 + 2700),
  ];
  await send(request, 'traces', {
    resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [{ spans }] }],
  });
  await page.goto(`/traces/${traceId}`);
  const shown = page.getByRole('slider', { name: /^Part of the trace/ });
  await expect(shown).toHaveAttribute('aria-valuetext', '0 ns to 558 ms');
  await expect(page.getByText('4.46 s, root 537 ms')).toBeVisible();
  const all = page.getByRole('button', { name: '1 span comes later, up to 4.46 s: show all' });
  await all.click();
  await expect(shown).toHaveAttribute('aria-valuetext', '0 ns to 4.46 s');
  await expect(page).toHaveURL(/zoom=all/);
  await page.reload();
  await expect(shown).toHaveAttribute('aria-valuetext', '0 ns to 4.46 s');
  await expect(all).toHaveCount(0);
  // Who asks for the late span sees it.
  await page.goto(`/traces/${traceId}?span=${lateId}`);
  await expect(shown).toHaveAttribute('aria-valuetext', '0 ns to 4.46 s');
});
