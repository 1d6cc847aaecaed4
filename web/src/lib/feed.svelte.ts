import { ApiError } from './api/client';
import type { ErrorBody, ScanStats } from './api/types';
import { mergeNewest } from './merge';
import { nanosFromMillis, nanosOf } from './time';

export interface FeedPage<T> {
  rows: T[];
  next: string | null;
  stats: ScanStats | undefined;
}

/** A list that grew beyond this by itself starts again from its newest page. */
const ROWS_MAX = 2000;
const FULL_EVERY = 5;
/** How far behind the newest row a refresh looks: traces that still run and records that overtook each other. */
const OVERLAP_NANOS = 30_000_000_000n;

interface Kept {
  rows: unknown[];
  next: string | null;
  stats: ScanStats | undefined;
}

/** Lists that were left, by what they showed, for the back button. */
const kept = new Map<string, Kept>();
const KEPT_MAX = 8;

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
  /** Whether still more arrived than `waiting` says: more at once than a page has. */
  waitingMore = $state(false);

  readonly #keyOf: (row: T, occurrence: number) => string;
  readonly #timeOf: (row: T) => string;
  #round = 0;
  #gapped = false;
  /** What is shown when it is asked for; `isApart` when rows are missing between it and those on the screen. */
  #held: { rows: T[]; next: string | null; isApart: boolean } | null = null;
  /** Of what was asked for the rows on the screen; aborted when others take their place. */
  #asked = new AbortController();

  constructor(keyOf: (row: T, occurrence: number) => string, timeOf: (row: T) => string) {
    this.#keyOf = keyOf;
    this.#timeOf = timeOf;
  }

  /** Another search: the old rows stay on the screen until the answer is there. */
  async load(fetch: (signal: AbortSignal) => Promise<FeedPage<T>>): Promise<void> {
    const signal = this.#anew();
    this.loading = true;
    try {
      const page = await fetch(signal);
      if (signal.aborted) return;
      this.rows = page.rows;
      this.next = page.next;
      this.stats = page.stats;
      this.problem = null;
    } catch (error) {
      if (signal.aborted || !this.#fail(error)) return;
      if (!(error instanceof ApiError && error.unreachable)) {
        this.rows = [];
        this.next = null;
      }
    }
    this.loading = false;
  }

  /**
   * The same search again. With `hold`, new rows wait, so that the list does not move under the reader. Most rounds
   * ask only for what is not older than the newest row (and a little), which costs the backend next to nothing; every
   * fifth asks for the whole page, for rows that came late or changed.
   */
  async refresh(fetch: (since: string | null) => Promise<FeedPage<T>>, hold: boolean): Promise<void> {
    try {
      this.#round += 1;
      const since = this.#gapped || this.#round % FULL_EVERY === 0 ? null : this.#since();
      let page = await fetch(since);
      const base = this.#held ?? { rows: this.rows, next: this.next, isApart: false };
      let merged = mergeNewest(base.rows, page.rows, this.#keyOf);
      const isGap = merged.gap;
      this.#gapped = isGap || merged.rows.length > ROWS_MAX;
      if (this.#gapped) {
        if (since !== null) page = await fetch(null);
        merged = { rows: page.rows, added: merged.added, gap: true };
      }
      this.problem = null;
      this.loading = false;
      if (since === null) this.stats = page.stats;
      const next = merged.gap || base.rows.length === 0 ? page.next : base.next;
      if (hold && this.waiting + merged.added > 0) {
        this.#held = { rows: merged.rows, next, isApart: base.isApart || merged.gap };
        this.waiting += merged.added;
        this.waitingMore ||= isGap;
      } else {
        this.rows = merged.rows;
        this.next = next;
        this.#forget();
      }
    } catch (error) {
      // Too busy for once is no reason to stop; the next round tells.
      if (!(error instanceof ApiError && error.status === 503)) this.#fail(error);
    }
  }

  #since(): string | null {
    const newest = (this.#held ?? this).rows[0];
    if (newest === undefined) return null;
    // A record dated in the future must not hide those of the present.
    const now = nanosOf(nanosFromMillis(Date.now()));
    const time = nanosOf(this.#timeOf(newest));
    const since = (time < now ? time : now) - OVERLAP_NANOS;
    return since > 0n ? since.toString() : null;
  }

  /** Other rows are to take the place of these: nothing that was asked for these may come to them any more. */
  #anew(): AbortSignal {
    this.#asked.abort();
    this.#asked = new AbortController();
    this.loadingMore = false;
    this.#forget();
    return this.#asked.signal;
  }

  /** Gives up what is under way and remembers the list under `key`, for a later `restore`. */
  leave(key: string): void {
    this.#anew();
    // While it loads, the rows on the screen are still those of the list before.
    if (this.loading || this.rows.length === 0) return;
    kept.delete(key);
    kept.set(key, { rows: this.rows, next: this.next, stats: this.stats });
    for (const oldest of [...kept.keys()].slice(0, -KEPT_MAX)) kept.delete(oldest);
  }

  /** Shows a list as it was left; false when there is none. */
  restore(key: string): boolean {
    const found = kept.get(key);
    if (!found) return false;
    this.#anew();
    this.rows = found.rows as T[];
    this.next = found.next;
    this.stats = found.stats;
    this.problem = null;
    this.loading = false;
    return true;
  }

  release(): void {
    if (this.#held) {
      this.rows = this.#held.rows;
      this.next = this.#held.next;
    }
    this.#forget();
  }

  #forget(): void {
    this.#held = null;
    this.waiting = 0;
    this.waitingMore = false;
  }

  async more(fetch: (cursor: string, signal: AbortSignal) => Promise<FeedPage<T>>): Promise<void> {
    if (this.next === null || this.loadingMore) return;
    const { signal } = this.#asked;
    this.loadingMore = true;
    try {
      const page = await fetch(this.next, signal);
      if (signal.aborted) return;
      this.rows = [...this.rows, ...page.rows];
      this.next = page.next;
      if (this.#held && !this.#held.isApart) {
        this.#held = { ...this.#held, rows: [...this.#held.rows, ...page.rows], next: page.next };
      }
    } catch (error) {
      if (signal.aborted) return;
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
