import { expect, test } from '@playwright/test';

import { someTrace, wholeTrace } from './support';

const SECONDS = 60;

/** Not a test: it prints how long after its first span closed a trace is on the screen, in milliseconds. */
test('from the close of a span to the screen', async ({ page, request }) => {
  test.setTimeout((SECONDS + 120) * 1000);
  const q = '{ resource.service.name = "agent" }';
  await someTrace(request, q);
  await page.goto(`/traces?q=${encodeURIComponent(q)}`);
  await expect(page.locator('[data-row]').first()).toBeVisible();
  const seen = await page.evaluate(async (seconds) => {
    const seen: Record<string, number> = {};
    const links = () => document.querySelectorAll<HTMLAnchorElement>('a[data-row]');
    const before = new Set([...links()].map((link) => link.pathname));
    const observer = new MutationObserver(() => {
      const fresh = [...links()].map((link) => link.pathname).filter((path) => !before.has(path));
      fresh.forEach((path) => before.add(path));
      // The frame that shows it is drawn after this, and is done when the next one begins.
      requestAnimationFrame(() =>
        requestAnimationFrame(() => fresh.forEach((path) => (seen[path] = Date.now()))),
      );
    });
    observer.observe(document.body, { childList: true, subtree: true, attributes: true });
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    observer.disconnect();
    return seen;
  }, SECONDS);
  const took: number[] = [];
  for (const [path, time] of Object.entries(seen)) {
    const { spans, resources } = await wholeTrace(request, path.replace('/traces/', ''));
    const ends = spans
      .filter((span) => resources[span.resource]!.service === 'agent')
      .map((span) => Number(BigInt(span.start_unix_nano) + BigInt(span.duration_nano)) / 1e6);
    took.push(time - Math.min(...ends));
  }
  took.sort((a, b) => a - b);
  const at = (share: number) => Math.round(took[Math.floor((took.length - 1) * share)]!);
  process.stdout.write(
    `${took.length} traces: median ${at(0.5)} ms, p95 ${at(0.95)} ms, worst ${at(1)} ms\n`,
  );
});
