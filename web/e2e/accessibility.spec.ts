import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { expect, test } from '@playwright/test';
import type { AxeResults } from 'axe-core';

import { someTrace, wholeTrace } from './support';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

for (const colorScheme of ['dark', 'light'] as const) {
  test(`no page breaks a rule of WCAG 2.1 A or AA, in ${colorScheme}`, async ({
    browser,
    request,
    baseURL,
  }) => {
    // Ten pages, and some seconds of rules for each.
    test.slow();
    const summary = await someTrace(request, '{ name = "agent.turn" }');
    const trace = await wholeTrace(request, summary.trace_id);
    const span = trace.spans[0]!.span_id;
    // The rules are brought in as a script, which the policy of the pages rightly forbids.
    const context = await browser.newContext({ colorScheme, baseURL: baseURL!, bypassCSP: true });
    const page = await context.newPage();
    for (const [path, act] of [
      ['/overview?all=1', null],
      ['/runtime', null],
      ['/traces?live=0', null],
      [`/traces?q=${encodeURIComponent('{ duration >> 1ms }')}`, null],
      [`/traces/${trace.trace_id}?span=${span}`, null],
      [`/traces/${trace.trace_id}?span=${span}&tab=logs`, null],
      ['/logs?live=0', () => page.locator('[data-row]').first().click()],
      ['/metrics?name=process.cpu.time&by=point.cpu.mode', null],
      ['/health', null],
      ['/health', () => page.keyboard.press('?')],
    ] as const) {
      await page.goto(path);
      await expect(page.locator('main')).not.toContainText('Loading');
      await act?.();
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const { axe } = window as unknown as { axe: { run(node: Document): Promise<AxeResults> } };
        const results = await axe.run(document);
        return results.violations.map(
          ({ id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`,
        );
      });
      expect(found, path).toEqual([]);
    }
    await context.close();
  });
}
