import type { ClientCost, ClientDelivery, ClientLedger, SignalName, ThreadRow } from './api/types';
import { bytes, count, duration, percent } from './format';
import { FOLDED_MIN, latestFirst, sum } from './ledger';

export function memoryBytes({ memory }: ClientCost): number {
  return memory.rings_bytes + memory.buffers_bytes + memory.open_spans_bytes;
}

/**
 * `85 ns a span (mean of 900 measured), 0.4 % of one core, 2.1 MiB`; a share that spans are not part of yet is told as
 * the least it may be.
 */
export function costLine(cost: ClientCost): string {
  const { span_nano: nanos } = cost;
  const rest = `${percent(cost.core_ratio, 1)} of one core, ${bytes(memoryBytes(cost))}`;
  if (nanos === null) return `at least ${rest}; no span has been measured yet, so spans are not in it`;
  return `${meanCost(nanos, 'span', cost.spans_measured)}, ${rest}`;
}

/** A mean of few is not to be relied on: of how many it is stands beside it. */
function meanCost(nanos: number, what: string, measured: number): string {
  return `${duration(nanos)} a ${what} (${measured === 1 ? '1' : `mean of ${count(measured)}`} measured)`;
}

/** What else there is to say about it, each a few words. */
export function costParts(cost: ClientCost): string[] {
  const budget = cost.budget_ratio === null ? '' : `, budget ${percent(cost.budget_ratio, 1)}`;
  return [
    ...(cost.log_nano === null ? [] : [meanCost(cost.log_nano, 'log record', cost.logs_measured)]),
    `${percent(cost.process_ratio, 1)} of the process's CPU time${budget}`,
    ...(isIdlyOver(cost) ? ['over it while idle: only seconds with 0.1 s of CPU time or more count'] : []),
    `collector ${duration(cost.collector_seconds * 1e9)} of CPU time`,
    `${bytes(cost.sent_bytes)} sent`,
  ];
}

/** Seconds in which a process uses less CPU time than this do not count for its budget: as `BUSY_SECONDS` of the facade's `budget.rs` has it. */
const BUSY_SECONDS = 0.1;

/** Whether a process takes more than its budget, but so little in all that the budget does not look at it. */
function isIdlyOver({ budget_ratio: budget, process_ratio: share, core_ratio: core }: ClientCost): boolean {
  // Both shares are of the same time, so that their quotient is what the process used of a core.
  return budget !== null && share > budget && core / share < BUSY_SECONDS;
}

/** `41 B a span on the wire, answered in 12 ms, 4 requests at a time`; empty before the first answer. */
export function deliveryLine(delivery: ClientLedger['delivery']): string {
  const traces = delivery?.traces;
  const logs = delivery?.logs;
  const busiest = (traces?.records ?? 0) > 0 ? traces : logs;
  const parts = [
    ...each(traces, 'a span'),
    ...each(logs, 'a log record'),
    ...(busiest && busiest.latency_seconds !== null
      ? [
          `answered in ${duration(busiest.latency_seconds * 1e9)}`,
          `${busiest.concurrency} ${busiest.concurrency === 1 ? 'request' : 'requests'} at a time`,
        ]
      : []),
  ];
  return parts.join(', ');
}

function each(delivery: ClientDelivery | undefined, of: string): string[] {
  const isKnown = delivery && delivery.records > 0 && delivery.wire_bytes > 0;
  return isKnown ? [`${bytes(Math.round(delivery.wire_bytes / delivery.records))} ${of} on the wire`] : [];
}

/** Clients that say what observing costs them, or have rows by thread; by name, the latest first among equals. */
export function observed(clients: readonly ClientLedger[]): ClientLedger[] {
  return clients.filter(({ cost, threads }) => cost !== null || threads.length > 0).sort(latestFirst);
}

/** Those that may still spend something, and those that have said their last, if there are enough of them to fold. */
export function foldEnded(clients: readonly ClientLedger[]): {
  running: ClientLedger[];
  ended: ClientLedger[];
} {
  const ended = clients.filter(({ final }) => final);
  if (ended.length < FOLDED_MIN) return { running: [...clients], ended: [] };
  return { running: clients.filter(({ final }) => !final), ended };
}

/** What several clients spent together: `collectors 3.2 s of CPU time, 1.2 MiB sent`. */
export function costSum(clients: readonly ClientLedger[]): string {
  const add = (of: (cost: ClientCost) => number) =>
    clients.reduce((total, { cost }) => total + (cost ? of(cost) : 0), 0);
  const seconds = add((cost) => cost.collector_seconds);
  return `collectors ${duration(seconds * 1e9)} of CPU time, ${bytes(add((cost) => cost.sent_bytes))} sent`;
}

/** Threads that are shown though they dropped nothing: the busiest. */
const BUSIEST = 8;

export interface ThreadLine {
  thread: ThreadRow;
  signal: SignalName;
  submitted: number;
  dropped: Record<string, number>;
  /** How full the ring is, from 0 to 1; null where there is none, and on all but a row's first line. */
  fill: number | null;
}

function droppedBy({ signals }: ThreadRow): number {
  return Object.values(signals).reduce((total, { dropped }) => total + sum(dropped), 0);
}

/** The lines of the threads that dropped something, of the busiest, and of those that are not told apart. */
export function threadLines({ threads, ring_bytes }: ClientLedger): { lines: ThreadLine[]; hidden: number } {
  const shown = threads.filter(
    (thread, place) => thread.kind !== 'thread' || place < BUSIEST || droppedBy(thread) > 0,
  );
  const lines = shown.flatMap((thread) => {
    const told = (['traces', 'logs'] as const).flatMap((signal) => {
      const counts = thread.signals[signal];
      return counts && counts.submitted + sum(counts.dropped) > 0 ? [{ signal, ...counts }] : [];
    });
    const hasRing = (thread.kind === 'thread' || thread.kind === 'shared') && ring_bytes > 0;
    return told.map((counts, place) => ({
      thread,
      ...counts,
      fill: hasRing && place === 0 ? Math.min(1, thread.ring_used_bytes / ring_bytes) : null,
    }));
  });
  return { lines, hidden: threads.length - shown.length };
}
