import { ApiError } from './api/client';
import type { ErrorBody } from './api/types';

/** What the backend answered last to a question that is asked again and again. */
export class Answer<T> {
  data: T | null = $state.raw(null);
  /** What is wrong with the question, in the server's words. */
  problem: ErrorBody | null = $state.raw(null);

  /** Asks once more. What is on the screen stays while the backend is away. */
  async ask(fetch: () => Promise<T>, signal: AbortSignal): Promise<void> {
    try {
      const found = await fetch();
      if (signal.aborted) return;
      this.data = found;
      this.problem = null;
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError) || error.unreachable || error.status === 503) return;
      this.problem = error.body;
      this.data = null;
    }
  }

  clear(): void {
    this.data = null;
    this.problem = null;
  }
}
