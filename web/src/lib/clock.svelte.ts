import { untrack } from 'svelte';

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
 * Calls `task` now and then `pauseMs` after each end of it, while the page is visible; never twice at once.
 * Returns the function that stops it and aborts the request under way.
 */
export function poll(task: (signal: AbortSignal) => Promise<void>, pauseMs: number): () => void {
  const controller = new AbortController();
  const { signal } = controller;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function round(): Promise<void> {
    timer = undefined;
    if (signal.aborted) return;
    const start = performance.now();
    if (!document.hidden) await task(signal).catch(() => undefined);
    // At most a quarter of the backend's time is spent on asking it again.
    const pause = Math.max(pauseMs, 3 * (performance.now() - start));
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
