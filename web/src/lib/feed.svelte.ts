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
/** The longest pause between two attempts while they fail. */
const RETRY_MAX_MS = 5000;

const NOTHING = { rows: [], next: null, isApart: false };

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
  /** What is wrong with the request, in the server's words; asked again, it would be refused again. */
  problem: ErrorBody | null = $state.raw(null);
  /** Why the last attempt failed, if the next one may succeed. The rows on the screen are still true. */
  trouble: ErrorBody | null = $state.raw(null);
  loading = $state(true);
  /** Whether the last search has failed in passing and still has no answer; the rows may be those of the one before. */
  unanswered = $state(false);
  loadingMore = $state(false);
  /** Why "load more" failed. */
  moreProblem: ErrorBody | null = $state.raw(null);
  /** Arrived while the reader was further down; shown when asked for. */
  waiting = $state(0);
  /** Whether still more arrived than `waiting` says: more at once than a page has. */
  waitingMore = $state(false);

  readonly #keyOf: (row: T, occurrence: number) => string;
  readonly #timeOf: (row: T) => string;
  #round = 0;
  #gapped = false;
  /** Attempts that failed since the last one that did not. */
  #failures = 0;
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
    this.unanswered = false;
    this.#failures = 0;
    try {
      const page = await fetch(signal);
      if (signal.aborted) return;
      this.rows = page.rows;
      this.next = page.next;
      this.stats = page.stats;
      this.#succeed();
    } catch (error) {
      if (signal.aborted || isGivenUp(error)) return;
      this.#fail(error);
      this.unanswered = this.problem === null;
      if (this.problem) {
        this.rows = [];
        this.next = null;
      }
    }
    this.loading = false;
  }

  /**
   * The same search again. With `hold`, new rows wait, so that the list does not move under the reader. Most rounds
   * ask only for what is not older than the newest row (and a little), which costs the backend next to nothing; every
   * fifth asks for the whole page, for rows that came late or changed. Rounds that failed are made up for by the next one
   * that does not: it begins with the newest row, too.
   */
  async refresh(fetch: (since: string | null) => Promise<FeedPage<T>>, hold: boolean): Promise<void> {
    try {
      this.#round += 1;
      const isAnother = this.unanswered;
      const isWhole = isAnother || this.#gapped || this.#round % FULL_EVERY === 0;
      const since = isWhole ? null : this.#since();
      let page = await fetch(since);
      const shown = isAnother ? NOTHING : { rows: this.rows, next: this.next, isApart: false };
      const base = this.#held ?? shown;
      let merged = mergeNewest(base.rows, page.rows, this.#keyOf);
      const isGap = merged.gap;
      this.#gapped = isGap || merged.rows.length > ROWS_MAX;
      if (this.#gapped) {
        if (since !== null) page = await fetch(null);
        merged = { rows: page.rows, added: merged.added, gap: true };
      }
      this.#succeed();
      if (since === null) this.stats = page.stats;
      const next = merged.gap || base.rows.length === 0 ? page.next : base.next;
      if (hold && !isAnother && this.waiting + merged.added > 0) {
        this.#held = { rows: merged.rows, next, isApart: base.isApart || merged.gap };
        this.waiting += merged.added;
        this.waitingMore ||= isGap;
      } else {
        this.rows = merged.rows;
        this.next = next;
        this.#forget();
      }
    } catch (error) {
      if (!isGivenUp(error)) this.#fail(error);
    }
  }

  /** How long to wait for the next refresh: longer after every one that failed. */
  pauseMs(usualMs: number): number {
    return Math.max(usualMs, Math.min(RETRY_MAX_MS, usualMs * 2 ** this.#failures));
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
    this.moreProblem = null;
    this.#forget();
    return this.#asked.signal;
  }

  /** Gives up what is under way and remembers the list under `key`, for a later `restore`. */
  leave(key: string): void {
    this.#anew();
    // While it has no answer, the rows on the screen are still those of the list before.
    if (this.loading || this.unanswered || this.rows.length === 0) return;
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
    this.#succeed();
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
    if (this.next === null || this.loadingMore || this.unanswered) return;
    const { signal } = this.#asked;
    this.loadingMore = true;
    this.moreProblem = null;
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
      this.moreProblem = bodyOf(error);
    }
    this.loadingMore = false;
  }

  #succeed(): void {
    this.problem = null;
    this.trouble = null;
    this.loading = false;
    this.unanswered = false;
    this.#failures = 0;
  }

  #fail(error: unknown): void {
    const body = bodyOf(error);
    const isPassing = !(error instanceof ApiError) || error.passing;
    this.problem = isPassing ? null : body;
    // Too busy for once is not worth a word.
    const isBusyOnce = error instanceof ApiError && error.status === 503 && this.#failures === 0;
    this.trouble = isPassing && !isBusyOnce ? body : null;
    this.#failures += 1;
  }
}

/** Whether a request ended since nobody wants its answer any more. */
function isGivenUp(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

function bodyOf(error: unknown): ErrorBody {
  if (error instanceof ApiError) return error.body;
  return { code: 'client', message: error instanceof Error ? error.message : String(error) };
}
