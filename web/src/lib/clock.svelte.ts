import { untrack } from 'svelte';

import { pauseAfter } from './pause';

/** One clock for every "12 s ago" on the page. */
class Clock {
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 1000);
    document.addEventListener('visibilitychange', () => (this.now = Date.now()));
  }
}

export const clock = new Clock();

/**
 * Calls `task` now and again after each end of it, while the page is visible; never twice at once. The pause is
 * `pauseMs` at least, and no longer after a round that failed, or what a function makes of how long the round took.
 * Returns the function that stops it and aborts the request under way.
 */
export function poll(
  task: (signal: AbortSignal) => Promise<void>,
  pauseMs: number | ((tookMs: number) => number),
): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function round(): Promise<void> {
    timer = undefined;
    if (signal.aborted) return;
    const start = performance.now();
    let hasFailed = false;
    if (!document.hidden) await task(signal).catch(() => (hasFailed = true));
    const tookMs = performance.now() - start;
    const atLeast = (leastMs: number) => (hasFailed ? leastMs : pauseAfter(tookMs, leastMs));
    const pause = typeof pauseMs === 'number' ? atLeast(pauseMs) : pauseMs(tookMs);
    if (!signal.aborted) timer = setTimeout(() => void round(), pause);
  }

  function wake(): void {
    if (document.hidden || timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    void round();
  }

  document.addEventListener('visibilitychange', wake);
  // A caller's effect must not come to depend on what the task reads.
  untrack(() => void round());
  return () => {
    controller.abort();
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', wake);
  };
}
