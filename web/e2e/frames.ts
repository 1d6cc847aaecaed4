import { expect, test, type Page } from '@playwright/test';

import { sendLargeTrace } from './support';

/** Not a test: it prints how long the frames of the waterfall take, in milliseconds. */
interface Frames {
  median: number;
  p95: number;
  worst: number;
}

/** Does something every frame for `count` frames, on the page. */
async function frames(
  page: Page,
  count: number,
  act: 'scroll' | 'jump' | 'zoom' | 'select',
): Promise<Frames> {
  return page.getByRole('tree').evaluate(
    async (element, { count, act }) => {
      const canvas = element.querySelector('canvas')!;
      const box = canvas.getBoundingClientRect();
      const times: number[] = [];
      let last = performance.now();
      for (let index = 0; index < count; index += 1) {
        if (act === 'scroll') element.scrollTop += 97;
        if (act === 'jump') element.scrollTop = (index * 190_056) % element.scrollHeight;
        if (act === 'select')
          document.dispatchEvent(new KeyboardEvent('keydown', { key: 'j', bubbles: true }));
        if (act === 'zoom') {
          const deltaY = index < count / 2 ? -30 : 30;
          const [clientX, clientY] = [box.left + box.width * 0.7, box.top + 200];
          canvas.dispatchEvent(
            new WheelEvent('wheel', {
              deltaY,
              clientX,
              clientY,
              ctrlKey: true,
              bubbles: true,
              cancelable: true,
            }),
          );
        }
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const now = performance.now();
        times.push(now - last);
        last = now;
      }
      times.sort((a, b) => a - b);
      const at = (share: number) => Number(times[Math.floor((times.length - 1) * share)]!.toFixed(1));
      return { median: at(0.5), p95: at(0.95), worst: at(1) };
    },
    { count, act },
  );
}

for (const count of [20_000, 100_000]) {
  test(`frames of a trace with ${count} spans`, async ({ page, request }) => {
    test.setTimeout(240_000);
    const id = await sendLargeTrace(request, count);
    await page.goto(`/traces/${id}`);
    await expect(page.getByRole('tree')).toBeVisible({ timeout: 120_000 });
    await page.keyboard.press('f');
    await expect(page.getByRole('tree')).toHaveAttribute(
      'aria-label',
      new RegExp(`${count.toLocaleString('en-US')} rows`),
    );
    for (const act of ['scroll', 'jump', 'zoom', 'select'] as const) {
      const { median, p95, worst } = await frames(page, 120, act);
      process.stdout.write(`${count} spans, ${act}: median ${median} ms, p95 ${p95} ms, worst ${worst} ms\n`);
    }
  });
}
