import { ApiError } from './api/client';
import type { ErrorBody } from './api/types';
import { pauseAfter, SETTLED_MS } from './pause';

/** What the backend answered last to a question that is asked again and again. */
export class Answer<T> {
  data: T | null = $state.raw(null);
  /** What is wrong with the question, in the server's words. */
  problem: ErrorBody | null = $state.raw(null);
  /** Why the last attempt failed, if the next one may succeed. What is on the screen is still true. */
  trouble: ErrorBody | null = $state.raw(null);
  /** Attempts that failed in passing since the last one that did not. */
  #failures = 0;

  /** Asks once more. What is on the screen stays while the backend is away. */
  async ask(fetch: () => Promise<T>, signal: AbortSignal): Promise<void> {
    try {
      const found = await fetch();
      if (signal.aborted) return;
      this.clear();
      this.data = found;
    } catch (error) {
      if (signal.aborted) return;
      const failures = this.#failures + 1;
      if (!(error instanceof ApiError)) {
        this.#failures = failures;
      } else if (error.unreachable || error.status === 503) {
        // Too busy for once is not worth a word.
        this.trouble = error.unreachable || failures > 1 ? error.body : null;
        this.#failures = failures;
      } else {
        this.clear();
        this.problem = error.body;
        this.#failures = error.passing ? failures : 0;
      }
    }
  }

  /**
   * The pause of `poll` before the next attempt: long where nothing new can come, once there is an answer. An attempt
   * that failed late says nothing about what an answer costs.
   */
  pause(everyMs: number, isOpenEnded: boolean): (tookMs: number) => number {
    return (tookMs) => {
      if (this.#failures > 0) return everyMs;
      return pauseAfter(tookMs, isOpenEnded ? everyMs : SETTLED_MS);
    };
  }

  clear(): void {
    this.data = null;
    this.problem = null;
    this.trouble = null;
    this.#failures = 0;
  }
}
