import { expect, test } from '@playwright/test';

import type { Status } from '../src/lib/api/types';
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
  await expect(metrics).toContainText('of client ledgers');
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
