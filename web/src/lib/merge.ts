import type { LogRecord, TraceSummary } from './api/types';

/**
 * A list that is newest first, a first page that was asked for again, and how the two become one. What was loaded by
 * "load more" stays; rows that are known are updated in place; `gap` says that the fresh page no longer reaches the
 * old rows, so that everything between is unknown and the list must start again.
 */
export interface Merged<T> {
  rows: T[];
  added: number;
  gap: boolean;
}

export function mergeNewest<T>(
  old: readonly T[],
  fresh: readonly T[],
  keyOf: (row: T, occurrence: number) => string,
): Merged<T> {
  if (old.length === 0) return { rows: [...fresh], added: fresh.length, gap: false };
  const freshKeys = keysOf(fresh, keyOf);
  const oldKeys = keysOf(old, keyOf);
  const oldSet = new Set(oldKeys);
  const known = freshKeys.filter((key) => oldSet.has(key)).length;
  const added = fresh.length - known;
  if (fresh.length > 0 && known === 0) return { rows: [...fresh], added, gap: true };
  const freshSet = new Set(freshKeys);
  const kept = old.filter((_, index) => !freshSet.has(oldKeys[index]!));
  return { rows: [...fresh, ...kept], added, gap: false };
}

/** The keys of rows; `keyOf` tells equal ones apart by how often they occurred. */
export function keysOf<T>(rows: readonly T[], keyOf: (row: T, occurrence: number) => string): string[] {
  const seen = new Map<string, number>();
  return rows.map((row) => {
    const base = keyOf(row, 0);
    const occurrence = seen.get(base) ?? 0;
    seen.set(base, occurrence + 1);
    return keyOf(row, occurrence);
  });
}

export function traceKey(trace: TraceSummary): string {
  return trace.trace_id;
}

/** Log records have no id; equal ones are told apart by how often they occurred. */
export function logKey(log: LogRecord, occurrence: number): string {
  const parts = [
    log.time_unix_nano,
    log.observed_unix_nano,
    log.trace_id,
    log.span_id,
    log.severity_number,
    log.service,
    log.event_name,
    JSON.stringify(log.body),
  ];
  return `${parts.join('|')}#${occurrence}`;
}
