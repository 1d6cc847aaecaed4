import { ApiError } from './api/client';
import type { ErrorBody } from './api/types';
import { pauseAfter, SETTLED_MS } from './pause';

/** What the backend answered last to a question that is asked again and again. */
export class Answer<T> {
  data: T | null = $state.raw(null);
  /** What is wrong with the question, in the server's words. */
  problem: ErrorBody | null = $state.raw(null);
  /** Whether the last attempt failed, and the next one may succeed. */
  #failed = false;

  /** Asks once more. What is on the screen stays while the backend is away. */
  async ask(fetch: () => Promise<T>, signal: AbortSignal): Promise<void> {
    try {
      const found = await fetch();
      if (signal.aborted) return;
      this.data = found;
      this.problem = null;
      this.#failed = false;
    } catch (error) {
      if (signal.aborted) return;
      this.#failed = !(error instanceof ApiError) || error.passing;
      if (!(error instanceof ApiError) || error.unreachable || error.status === 503) return;
      this.problem = error.body;
      this.data = null;
    }
  }

  /** The pause of `poll` before the next attempt: long where nothing new can come, once there is an answer. */
  pause(everyMs: number, isOpenEnded: boolean): (tookMs: number) => number {
    return (tookMs) => pauseAfter(tookMs, isOpenEnded || this.#failed ? everyMs : SETTLED_MS);
  }

  clear(): void {
    this.data = null;
    this.problem = null;
  }
}
