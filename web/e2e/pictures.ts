import { fileURLToPath } from 'node:url';

import { expect, test } from '@playwright/test';

import { someTrace, traces, wholeTrace } from './support';

/** Not a test: it makes the pictures that the documentation shows, from a demo that has run for a few minutes. */
const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));

/** Long enough to tell something, with a failure to look at. */
const QUERY =
  '{ rootName = "agent.turn" && traceDuration > 300ms && name = "tool.execute" && status = error }';

/** For charts that show something. */
const DEMO_MILLIS = 180_000;

test.beforeAll(async () => {
  test.setTimeout(2 * DEMO_MILLIS);
  await new Promise((resolve) => setTimeout(resolve, DEMO_MILLIS));
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`pictures in ${colorScheme}`, async ({ browser, request, baseURL }) => {
    const page = await browser.newPage({
      colorScheme,
      viewport: { width: 1280, height: 800 },
      baseURL: baseURL!,
    });
    const picture = (name: string) => page.screenshot({ path: `${FOLDER}${name}-${colorScheme}.png` });
    const newest = await someTrace(request, QUERY);
    // The shortest fits the picture best: no span of it comes late.
    const [shortest] = (await traces(request, QUERY)).sort((a, b) => a.duration_nano - b.duration_nano);
    const trace = await wholeTrace(request, (shortest ?? newest).trace_id);
    const span = trace.spans.find(({ name, status }) => status.code === 'error' && name === 'tool.execute')!;

    await page.goto('/overview?last=5m');
    await expect(page.locator('[data-row]').nth(8)).toBeVisible();
    await picture('overview');
    await page.goto('/runtime?last=5m');
    await expect(page.getByRole('article', { name: 'Up for' }).getByRole('listitem').first()).toBeVisible();
    await picture('runtime');
    await page.goto(`/traces?live=0&q=${encodeURIComponent('{ status = error || traceDuration > 400ms }')}`);
    await expect(page.locator('[data-row]').nth(8)).toBeVisible();
    await picture('traces');
    await page.goto(`/traces/${trace.trace_id}?span=${span.span_id}`);
    await expect(page.getByRole('treeitem')).toContainText(span.name);
    await expect(page.getByRole('button', { name: /^Logs/ }).first()).toBeVisible();
    await expect(page.getByRole('region', { name: 'Meanwhile' }).locator('.value').last()).toHaveText(/\S/);
    await picture('trace');
    await page.goto(`/logs?live=0&q=${encodeURIComponent('{ severity >= info }')}`);
    await page.locator('[data-row]').filter({ hasText: 'question answered' }).nth(1).click();
    await expect(page.locator('.detail')).toBeVisible();
    await picture('logs');
    await page.goto('/metrics?name=streaming.chunk.size&agg=p95&last=5m');
    await expect(page.getByRole('row', { name: /all series together/ })).toBeVisible();
    await picture('metrics');
    await page.goto('/health');
    await expect(page.locator('#clients').getByText('balanced').first()).toBeVisible();
    await picture('health');
    await page.close();
  });
}
