import { api, ApiError } from './api/client';
import type { ErrorBody, LogRecord } from './api/types';
import { compareNanos, millisOf } from './time';
import { buildTree, countOf, type TraceTree } from './waterfall/tree';

const LOGS_MAX = 1000;
/** A trace that ended longer ago is taken to be complete. */
const YOUNG_MS = 30_000;
/** Asking again for more than this would cost more than it tells. */
const REFRESH_SPANS_MAX = 5000;

/** One trace with its log records, kept fresh while it may still grow. */
export class TraceState {
  tree: TraceTree | null = $state.raw(null);
  logs: LogRecord[] = $state.raw([]);
  moreLogs = $state(false);
  problem: ErrorBody | null = $state.raw(null);
  /** Why the last attempt failed, if the next one may succeed and what is on the screen is still true. */
  trouble: ErrorBody | null = $state.raw(null);
  loading = $state(true);
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  /** True while the trace may still grow. */
  get growing(): boolean {
    if (this.problem) return this.#mayCome;
    if (!this.tree || this.tree.count > REFRESH_SPANS_MAX) return false;
    if (countOf(this.tree, 'in_progress') > 0) return true;
    const end = Number(this.tree.startUnixNano / 1_000_000n) + this.tree.duration / 1e6;
    return Date.now() - end < YOUNG_MS;
  }

  /** Whether what was not answered may be answered later: it is missing so far, or the fault is not in the question. */
  #mayCome = false;

  async load(signal: AbortSignal): Promise<void> {
    try {
      const [trace, page] = await Promise.all([
        api.trace(this.#id, signal),
        api.logs({ trace_id: this.#id, limit: LOGS_MAX }, signal).catch(() => null),
      ]);
      const logs = page
        ? [...page.logs].sort((a, b) => compareNanos(a.time_unix_nano, b.time_unix_nano))
        : [];
      if (page && (logs.length !== this.logs.length || !this.tree)) this.logs = logs;
      this.moreLogs = page?.next !== null && page?.next !== undefined;
      // The same spans again would only cost time, unless one of them goes on.
      const isOpen = this.tree?.open.includes(1) ?? false;
      if (isOpen || trace.spans.length !== this.tree?.count) this.tree = buildTree(trace);
      this.problem = null;
      this.trouble = null;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError) {
        this.#mayCome = error.status === 404 || error.passing;
        if (!error.passing || !this.tree) this.problem = error.body;
        else this.trouble = error.body;
      } else {
        this.#mayCome = false;
        this.problem = { code: 'client', message: error instanceof Error ? error.message : String(error) };
      }
    }
    this.loading = false;
  }
}

export function startMillis(tree: TraceTree): number {
  return millisOf(tree.startUnixNano.toString());
}
