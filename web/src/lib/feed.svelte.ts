import { ApiError } from './api/client';
import type { ErrorBody, ScanStats } from './api/types';
import { mergeNewest } from './merge';

export interface FeedPage<T> {
  rows: T[];
  next: string | null;
  stats: ScanStats | undefined;
}

/** Rows beyond this are dropped at the old end while a feed grows by itself; "load more" brings them back. */
const ROWS_MAX = 2000;

/** A newest-first list with a cursor at its old end and live refresh at its new one. */
export class Feed<T> {
  rows: T[] = $state.raw([]);
  next: string | null = $state(null);
  stats: ScanStats | undefined = $state.raw();
  /** What is wrong with the request, in the server's words. */
  problem: ErrorBody | null = $state.raw(null);
  loading = $state(true);
  loadingMore = $state(false);
  /** Arrived while the reader was further down; shown when asked for. */
  waiting = $state(0);

  readonly #keyOf: (row: T, occurrence: number) => string;
  #held: T[] | null = null;

  constructor(keyOf: (row: T, occurrence: number) => string) {
    this.#keyOf = keyOf;
  }

  /** Another search: the old rows stay on the screen until the answer is there. */
  async load(fetch: () => Promise<FeedPage<T>>): Promise<void> {
    this.loading = true;
    this.waiting = 0;
    this.#held = null;
    try {
      const page = await fetch();
      this.rows = page.rows;
      this.next = page.next;
      this.stats = page.stats;
      this.problem = null;
    } catch (error) {
      if (!this.#fail(error)) return;
      if (!(error instanceof ApiError && error.unreachable)) {
        this.rows = [];
        this.next = null;
      }
    }
    this.loading = false;
  }

  /** The same search again. With `hold`, new rows wait, so that the list does not move under the reader. */
  async refresh(fetch: () => Promise<FeedPage<T>>, hold: boolean): Promise<void> {
    try {
      const page = await fetch();
      const merged = mergeNewest(this.rows, page.rows, this.#keyOf);
      this.problem = null;
      this.stats = page.stats;
      this.loading = false;
      if (merged.gap) this.next = page.next;
      if (this.rows.length === 0) this.next = page.next;
      const rows = merged.rows.length > ROWS_MAX && !hold ? merged.rows.slice(0, ROWS_MAX) : merged.rows;
      if (hold && merged.added > 0) {
        this.#held = rows;
        this.waiting = merged.added;
      } else {
        this.#held = null;
        this.waiting = 0;
        this.rows = rows;
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  release(): void {
    if (this.#held) this.rows = this.#held;
    this.#held = null;
    this.waiting = 0;
  }

  async more(fetch: (cursor: string) => Promise<FeedPage<T>>): Promise<void> {
    if (this.next === null || this.loadingMore) return;
    this.loadingMore = true;
    try {
      const page = await fetch(this.next);
      this.rows = [...this.rows, ...page.rows];
      this.next = page.next;
    } catch (error) {
      this.#fail(error);
    }
    this.loadingMore = false;
  }

  /** False when the request was given up on purpose. */
  #fail(error: unknown): boolean {
    if (error instanceof DOMException && error.name === 'AbortError') return false;
    if (error instanceof ApiError) {
      // An outage is shown once for the whole window; the rows on the screen are still true.
      if (!error.unreachable) this.problem = error.body;
      return true;
    }
    this.problem = { code: 'client', message: error instanceof Error ? error.message : String(error) };
    return true;
  }
}
