import { expect, test } from '@playwright/test';

import type { MetricOverview } from '../src/lib/api/types';
import { watch } from './support';

test('a metric is found, drawn, divided and leads to a trace', async ({ page, request }) => {
  const complaints = watch(page);
  // Metrics are sent every five seconds, and a line takes two of them.
  await expect(async () => {
    const answer = await request.get('/api/v1/metrics/streaming.chunks');
    expect(answer.ok()).toBe(true);
    const { series } = (await answer.json()) as { series: { points: unknown[] }[] };
    expect(series[0]?.points.length).toBeGreaterThan(1);
  }).toPass({ timeout: 60_000 });
  await page.goto('/metrics');
  await page.getByRole('searchbox', { name: 'Find a metric or service' }).fill('chunk size');
  const list = page.getByRole('navigation', { name: 'Metrics' });
  await expect(list.getByRole('link')).toHaveCount(1);
  await list.getByRole('link', { name: /streaming\.chunk\.size/ }).click();
  await expect(page).toHaveURL(/name=streaming\.chunk\.size/);
  await expect(page.getByRole('heading', { level: 2, name: 'streaming.chunk.size' })).toBeVisible();
  const chart = page.getByRole('img', { name: /^streaming\.chunk\.size over time, 1 series/ });
  await expect(chart.locator('canvas')).toBeVisible();

  await page.getByRole('combobox', { name: 'Aggregation' }).selectOption('p99');
  await expect(page).toHaveURL(/agg=p99/);
  await expect(page.getByRole('row', { name: /all series together/ })).toContainText(/B/);

  const example = page.getByRole('main').getByRole('listitem').filter({ hasText: '◆' }).first();
  await example.getByRole('link').click();
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=[0-9a-f]{16}/);
  await expect(page.getByRole('tree')).toBeVisible();
  expect(complaints).toEqual([]);
});

test('a line for each value of an attribute, named in the table', async ({ page, request }) => {
  await expect(async () => {
    const { metrics } = (await (await request.get('/api/v1/metrics')).json()) as {
      metrics: MetricOverview[];
    };
    const cpu = metrics.find(({ metric }) => metric.name === 'process.cpu.time');
    expect(cpu?.services).toEqual(expect.arrayContaining(['agent', 'streaming']));
  }).toPass({ timeout: 60_000 });
  await page.goto('/metrics?name=process.cpu.time&by=point.cpu.mode');
  for (const mode of ['user', 'system']) {
    await expect(page.getByRole('row', { name: new RegExp(`cpu\\.mode = ${mode}`) })).toBeVisible();
  }
  await page.getByRole('combobox', { name: 'A line for each' }).selectOption('by service');
  await expect(page.getByRole('row', { name: /service\.name = agent/ })).toBeVisible();
  await page.getByRole('combobox', { name: 'Service' }).selectOption('streaming');
  await expect(page.getByRole('row', { name: /service\.name = agent/ })).toHaveCount(0);
});

test('what cannot be asked for is told in the words of the backend', async ({ page }) => {
  await page.goto('/metrics?name=process.cpu.time&agg=p99');
  await expect(page.getByRole('alert')).toContainText('agg');
  await page.goto('/metrics?name=no.such.metric');
  await expect(page.getByRole('status')).toContainText('Nothing is stored of no.such.metric');
});
