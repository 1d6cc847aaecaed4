import type { LogRecord, Span, SpanState, Trace } from '../api/types';
import { nanosOf } from '../time';

/**
 * A trace as flat arrays in display order: parents before their children, children by start. A span is named by its
 * position in that order ("row"), and a subtree is the range `row .. row + size`, so that a hundred thousand spans
 * collapse, search and scroll without walking a tree.
 *
 * Bad input keeps its place: a span whose parent is not here is a root, spans that are each other's ancestors become
 * roots at the first one met, and of two spans with the same id the first is the parent of the children.
 */
export interface TraceTree {
  trace: Trace;
  count: number;
  /** Index into `trace.spans` of each row. */
  span: Int32Array;
  /** Row of the parent, -1 for a root. */
  parent: Int32Array;
  depth: Int32Array;
  /** Rows in the subtree, the row itself included. */
  size: Int32Array;
  /** Direct children. */
  children: Int32Array;
  /** Nanoseconds since the start of the trace. */
  start: Float64Array;
  end: Float64Array;
  error: Uint8Array;
  /** The span has not ended, as far as is known: in progress, or lost. */
  open: Uint8Array;
  /** Failed spans in the subtree, the row itself not included. */
  errorsBelow: Int32Array;
  /** A parent was named that is not part of the trace. */
  orphan: Uint8Array;
  resource: Int32Array;
  /** Nanoseconds from the first start to the last end. */
  duration: number;
  startUnixNano: bigint;
  maxDepth: number;
  errors: number;
  rowOfSpan: Map<string, number>;
}

export function spanAt(tree: TraceTree, row: number): Span {
  return tree.trace.spans[tree.span[row]!]!;
}

export function serviceAt(tree: TraceTree, row: number): string {
  return tree.trace.resources[tree.resource[row]!]?.service || 'unknown service';
}

export function isError(span: Span): boolean {
  return span.status.code.toLowerCase().endsWith('error');
}

export function buildTree(trace: Trace): TraceTree {
  const { spans } = trace;
  const count = spans.length;
  const starts = relativeStarts(spans);
  const links = link(spans, starts.relative);
  const tree = emptyTree(trace, count, starts.first);
  fill(tree, starts.relative, links);
  summarize(tree);
  return tree;
}

function emptyTree(trace: Trace, count: number, startUnixNano: bigint): TraceTree {
  return {
    trace,
    count,
    span: new Int32Array(count),
    parent: new Int32Array(count).fill(-1),
    depth: new Int32Array(count),
    size: new Int32Array(count).fill(1),
    children: new Int32Array(count),
    start: new Float64Array(count),
    end: new Float64Array(count),
    error: new Uint8Array(count),
    open: new Uint8Array(count),
    errorsBelow: new Int32Array(count),
    orphan: new Uint8Array(count),
    resource: new Int32Array(count),
    duration: 0,
    startUnixNano,
    maxDepth: 0,
    errors: 0,
    rowOfSpan: new Map(),
  };
}

function relativeStarts(spans: Span[]): { first: bigint; relative: Float64Array } {
  const absolute = spans.map((span) => nanosOf(span.start_unix_nano));
  let first = absolute[0] ?? 0n;
  for (const start of absolute) if (start < first) first = start;
  const relative = new Float64Array(spans.length);
  absolute.forEach((start, index) => (relative[index] = Number(start - first)));
  return { first, relative };
}

interface Links {
  roots: number[];
  childrenOf: Map<number, number[]>;
  orphan: Uint8Array;
}

function link(spans: Span[], start: Float64Array): Links {
  const byId = new Map<string, number>();
  spans.forEach((span, index) => {
    if (!byId.has(span.span_id)) byId.set(span.span_id, index);
  });
  const parentOf = new Int32Array(spans.length).fill(-1);
  const orphan = new Uint8Array(spans.length);
  spans.forEach((span, index) => {
    if (span.parent_span_id === '') return;
    const parent = byId.get(span.parent_span_id);
    if (parent === undefined) orphan[index] = 1;
    else if (parent !== index) parentOf[index] = parent;
  });
  cutCycles(parentOf);
  const roots: number[] = [];
  const childrenOf = new Map<number, number[]>();
  for (let index = 0; index < spans.length; index += 1) {
    const parent = parentOf[index]!;
    if (parent < 0) {
      roots.push(index);
      continue;
    }
    const siblings = childrenOf.get(parent);
    if (siblings) siblings.push(index);
    else childrenOf.set(parent, [index]);
  }
  const byStart = (a: number, b: number) => start[a]! - start[b]! || a - b;
  roots.sort(byStart);
  for (const siblings of childrenOf.values()) siblings.sort(byStart);
  return { roots, childrenOf, orphan };
}

/** Makes the first span of each circle of ancestors a root. Each span is walked over once. */
function cutCycles(parentOf: Int32Array): void {
  const walk = new Int32Array(parentOf.length);
  for (let index = 0; index < parentOf.length; index += 1) {
    let at = index;
    while (at >= 0 && walk[at] === 0) {
      walk[at] = index + 1;
      const parent = parentOf[at]!;
      if (parent >= 0 && walk[parent] === index + 1) parentOf[parent] = -1;
      at = parent;
    }
  }
}

/** Depth-first with a stack of our own: a chain of spans may be deeper than the engine's. */
function fill(tree: TraceTree, start: Float64Array, links: Links): void {
  const { spans } = tree.trace;
  const rowOf = new Int32Array(tree.count).fill(-1);
  const stack: { index: number; parent: number }[] = [];
  for (let root = links.roots.length - 1; root >= 0; root -= 1) {
    stack.push({ index: links.roots[root]!, parent: -1 });
  }
  let row = 0;
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { index, parent } = top;
    const span = spans[index]!;
    rowOf[index] = row;
    tree.span[row] = index;
    tree.parent[row] = parent;
    tree.depth[row] = parent < 0 ? 0 : tree.depth[parent]! + 1;
    tree.start[row] = start[index]!;
    tree.end[row] = start[index]! + Math.max(0, span.duration_nano);
    tree.error[row] = isError(span) ? 1 : 0;
    tree.open[row] = span.state === 'ended' ? 0 : 1;
    tree.orphan[row] = links.orphan[index]!;
    tree.resource[row] = span.resource;
    if (!tree.rowOfSpan.has(span.span_id)) tree.rowOfSpan.set(span.span_id, row);
    const children = links.childrenOf.get(index);
    tree.children[row] = children?.length ?? 0;
    if (children) {
      for (let child = children.length - 1; child >= 0; child -= 1) {
        stack.push({ index: children[child]!, parent: row });
      }
    }
    row += 1;
  }
}

function summarize(tree: TraceTree): void {
  for (let row = tree.count - 1; row >= 0; row -= 1) {
    tree.errors += tree.error[row]!;
    tree.duration = Math.max(tree.duration, tree.end[row]!);
    tree.maxDepth = Math.max(tree.maxDepth, tree.depth[row]!);
    const parent = tree.parent[row]!;
    if (parent < 0) continue;
    tree.size[parent] = tree.size[parent]! + tree.size[row]!;
    tree.errorsBelow[parent] = tree.errorsBelow[parent]! + tree.errorsBelow[row]! + tree.error[row]!;
  }
}

/** Whether both show the same spans in the same rows, whatever else has changed. */
export function hasSameRows(one: TraceTree, other: TraceTree): boolean {
  if (one.count !== other.count) return false;
  for (let row = 0; row < one.count; row += 1) {
    if (spanAt(one, row).span_id !== spanAt(other, row).span_id) return false;
    if (one.parent[row] !== other.parent[row]) return false;
  }
  return true;
}

/** What is said of a span that has not ended; nothing of one that has. */
export function stateText(span: Span): string {
  if (span.state === 'ended') return '';
  return span.state === 'lost' ? 'lost' : 'in progress';
}

/** How many spans of a trace are in this state. */
export function countOf(tree: TraceTree, state: SpanState): number {
  return tree.trace.spans.filter((span) => span.state === state).length;
}

/** When a span was last heard of, in Unix nanoseconds. */
export function heardOf(span: Span): string {
  return (nanosOf(span.start_unix_nano) + BigInt(Math.round(span.duration_nano))).toString();
}

/** The rows on display, in order, when the subtrees of `collapsed` rows are folded away. */
export function visibleRows(tree: TraceTree, collapsed: ReadonlySet<number>): Int32Array {
  const rows = new Int32Array(tree.count);
  let length = 0;
  for (let row = 0; row < tree.count;) {
    rows[length] = row;
    length += 1;
    row += collapsed.has(row) ? tree.size[row]! : 1;
  }
  return rows.subarray(0, length);
}

/** Position of `row` on display, or of the folded ancestor that stands for it. */
export function displayIndex(rows: Int32Array, row: number): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (rows[middle]! <= row) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** `collapsed` without the ancestors of `row`, so that it is on display; the same set when it already is. */
export function reveal(tree: TraceTree, collapsed: ReadonlySet<number>, row: number): ReadonlySet<number> {
  const hiding: number[] = [];
  for (let at = tree.parent[row]!; at >= 0; at = tree.parent[at]!) if (collapsed.has(at)) hiding.push(at);
  if (hiding.length === 0) return collapsed;
  const next = new Set(collapsed);
  for (const at of hiding) next.delete(at);
  return next;
}

/** Every row with children at or below `depth`. */
export function collapsedBelow(tree: TraceTree, depth: number): Set<number> {
  const rows = new Set<number>();
  for (let row = 0; row < tree.count; row += 1) {
    if (tree.children[row]! > 0 && tree.depth[row]! >= depth) rows.add(row);
  }
  return rows;
}

/** Time of a span in which none of its children ran. */
export function selfTime(tree: TraceTree, row: number): number {
  const from = tree.start[row]!;
  const to = tree.end[row]!;
  let covered = 0;
  let reached = from;
  const last = row + tree.size[row]!;
  for (let child = row + 1; child < last; child += tree.size[child]!) {
    const start = Math.max(tree.start[child]!, reached);
    const end = Math.min(tree.end[child]!, to);
    if (end > start) {
      covered += end - start;
      reached = end;
    }
  }
  return to - from - covered;
}

export interface ServiceShare {
  name: string;
  spans: number;
  errors: number;
}

export function servicesOf(tree: TraceTree): ServiceShare[] {
  const shares = new Map<string, ServiceShare>();
  for (let row = 0; row < tree.count; row += 1) {
    const name = serviceAt(tree, row);
    const share = shares.get(name) ?? { name, spans: 0, errors: 0 };
    share.spans += 1;
    share.errors += tree.error[row]!;
    shares.set(name, share);
  }
  return [...shares.values()];
}

/** Rows whose name, service, id, status or an attribute contains `text`, in order. */
export function findRows(tree: TraceTree, text: string): Int32Array {
  const needle = text.trim().toLowerCase();
  if (needle === '') return new Int32Array(0);
  const found: number[] = [];
  for (let row = 0; row < tree.count; row += 1) {
    if (matches(spanAt(tree, row), serviceAt(tree, row), needle)) found.push(row);
  }
  return Int32Array.from(found);
}

function matches(span: Span, service: string, needle: string): boolean {
  if (span.name.toLowerCase().includes(needle)) return true;
  if (service.toLowerCase().includes(needle) || span.span_id === needle) return true;
  if (span.status.message.toLowerCase().includes(needle)) return true;
  if (needle === 'error' && isError(span)) return true;
  if (needle === stateText(span)) return true;
  for (const { key, value } of span.attributes) {
    if (key.toLowerCase().includes(needle)) return true;
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    if (text.toLowerCase().includes(needle)) return true;
  }
  return span.events.some((event) => event.name.toLowerCase().includes(needle));
}

/** Times of log records by row, in nanoseconds since the start of the trace. */
export function logMarks(tree: TraceTree, logs: readonly LogRecord[]): Map<number, LogMark[]> {
  const marks = new Map<number, LogMark[]>();
  for (const log of logs) {
    const row = tree.rowOfSpan.get(log.span_id);
    if (row === undefined) continue;
    const at = Number(nanosOf(log.time_unix_nano) - tree.startUnixNano);
    const list = marks.get(row) ?? [];
    list.push({ at, severity: log.severity_number });
    marks.set(row, list);
  }
  return marks;
}

export interface LogMark {
  at: number;
  severity: number;
}
