import { fileURLToPath } from 'node:url';

import { expect, test } from '@playwright/test';

import { someTrace, wholeTrace } from './support';

/** Not a test: it makes the pictures that the documentation shows, from a demo that has run for a few seconds. */
const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));

for (const colorScheme of ['dark', 'light'] as const) {
  test(`pictures in ${colorScheme}`, async ({ browser, request, baseURL }) => {
    const page = await browser.newPage({
      colorScheme,
      viewport: { width: 1280, height: 800 },
      baseURL: baseURL!,
    });
    const picture = (name: string) => page.screenshot({ path: `${FOLDER}${name}-${colorScheme}.png` });
    const summary = await someTrace(request, '{ name = "agent.turn" && traceDuration > 50ms }');
    const trace = await wholeTrace(request, summary.trace_id);
    const chat = trace.spans.find(({ name }) => name === 'llm.chat') ?? trace.spans[0]!;

    await page.goto('/traces?live=0');
    await expect(page.locator('[data-row]').nth(8)).toBeVisible();
    await picture('traces');
    await page.goto(`/traces/${trace.trace_id}?span=${chat.span_id}`);
    await expect(page.getByRole('treeitem')).toContainText('llm.chat');
    await picture('trace');
    await page.goto(`/logs?live=0&q=${encodeURIComponent('{ severity >= info }')}`);
    await page.locator('[data-row]').nth(2).click();
    await expect(page.locator('.detail')).toBeVisible();
    await picture('logs');
    await page.goto('/health');
    await expect(page.locator('#clients').getByText('balanced').first()).toBeVisible();
    await picture('health');
    await page.close();
  });
}
