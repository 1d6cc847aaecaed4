import type { TraceTree } from './tree';
import { clampView, fullView, type View } from './view';

/** What a trace is without spans that come long after its root and all that belongs to it. */
export interface Late {
  /** Spans that begin after everything else has ended, and when the last of them ends, in nanoseconds. */
  count: number;
  to: number;
  /** When what comes before has ended. */
  from: number;
}

/** A trace has to be so many times as long as what comes before its late spans. */
const STRETCHED = 2;

/** Room after the root that shows it is over, as a part of its time. */
const ROOM = 0.04;

/** How long the root took, in nanoseconds; null of a trace whose root has not arrived or has not ended. */
export function rootDuration(tree: TraceTree): number | null {
  if (tree.count === 0 || tree.orphan[0] || tree.open[0]) return null;
  return tree.end[0]! - tree.start[0]!;
}

/**
 * The spans that stretch a trace: they begin when the root is over and so is everything that follows it without a gap,
 * and come so late that little room would be left for all that, and yet take no more time than it. Null where there
 * are none.
 */
export function lateSpans(tree: TraceTree): Late | null {
  if (rootDuration(tree) === null) return null;
  const rows = [...new Uint32Array(tree.count).keys()].sort((a, b) => tree.start[a]! - tree.start[b]!);
  let from = tree.end[0]!;
  const first = rows.findIndex((row) => {
    if (tree.start[row]! > from) return true;
    from = Math.max(from, tree.end[row]!);
    return false;
  });
  if (first < 0 || tree.duration < STRETCHED * from) return null;
  const took = rows.slice(first).reduce((sum, row) => sum + tree.end[row]! - tree.start[row]!, 0);
  return took > from ? null : { count: rows.length - first, from, to: tree.duration };
}

/** What of a trace is shown at first: all of it, but for late spans. */
export function firstView(tree: TraceTree, late: Late | null): View {
  if (late === null) return fullView(tree.duration);
  return clampView({ from: 0, to: Math.round(late.from * (1 + ROOM)) }, tree.duration);
}
