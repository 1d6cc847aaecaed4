/** The pause where nothing new can come. */
export const SETTLED_MS = 3_600_000;

/** How long to wait after a round that took so long: at most a quarter of the backend's time is spent on asking it again. */
export function pauseAfter(tookMs: number, leastMs: number): number {
  return Math.max(leastMs, 3 * tookMs);
}
