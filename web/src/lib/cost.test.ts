import { expect, test } from 'vitest';

import type { ClientCost, ClientLedger, ThreadRow } from './api/types';
import { costLine, costParts, deliveryLine, threadLines } from './cost';

const COST: ClientCost = {
  span_nano: 85.4,
  spans_measured: 10,
  log_nano: null,
  logs_measured: 0,
  producer_seconds: 0,
  collector_seconds: 0,
  process_seconds: 0,
  elapsed_seconds: 0,
  core_ratio: 0.004,
  process_ratio: 0.02,
  sent_bytes: 0,
  memory: { rings_bytes: 2 * 1024 * 1024, buffers_bytes: 90_000, open_spans_bytes: 10_000 },
  sampling_ratio: 1,
  budget_ratio: null,
};

test('a cost is one line', () => {
  expect(costLine(COST)).toBe('85.4 ns a span (mean of 10 measured), 0.4 % of one core, 2.1 MiB');
  expect(costLine({ ...COST, span_nano: 50_000, spans_measured: 1 })).toMatch(
    /^50 µs a span \(1 measured\),/,
  );
  const unknown =
    'at least 0.4 % of one core, 2.1 MiB; no span has been measured yet, so spans are not in it';
  expect(costLine({ ...COST, span_nano: null })).toBe(unknown);
  const logs = { log_nano: 212, logs_measured: 4000 };
  expect(costParts({ ...COST, ...logs, budget_ratio: 0.05, collector_seconds: 1.5 })).toEqual([
    '212 ns a log record (mean of 4,000 measured)',
    "2 % of the process's CPU time, budget 5 %",
    'collector 1.5 s of CPU time',
    '0 B sent',
  ]);
});

test('what an idle process takes beyond its budget is explained', () => {
  const note = 'over it while idle: only seconds with 0.1 s of CPU time or more count';
  const parts = (core_ratio: number, process_ratio: number) =>
    costParts({ ...COST, budget_ratio: 0.05, core_ratio, process_ratio });
  // A process that uses 2 % of a core, of which observing is a quarter.
  expect(parts(0.005, 0.25)).toEqual(
    expect.arrayContaining(["25 % of the process's CPU time, budget 5 %", note]),
  );
  // One that uses half a core, and one that stays below.
  expect(parts(0.125, 0.25)).not.toContain(note);
  expect(parts(0.0004, 0.02)).not.toContain(note);
  expect(costParts({ ...COST, core_ratio: 0.005, process_ratio: 0.25 })).not.toContain(note);
});

test('how a client sends is one line', () => {
  const traces = {
    requests: 2,
    records: 100,
    encoded_bytes: 20_000,
    wire_bytes: 4_120,
    latency_seconds: 0.012,
    concurrency: 4,
    batch_bytes: 262_144,
  };
  expect(deliveryLine({ traces })).toBe('41 B a span on the wire, answered in 12 ms, 4 requests at a time');
  const logs = { ...traces, records: 10, concurrency: 1 };
  expect(deliveryLine({ logs })).toBe(
    '412 B a log record on the wire, answered in 12 ms, 1 request at a time',
  );
  expect(deliveryLine({ traces: { ...traces, records: 0, latency_seconds: null } })).toBe('');
  expect(deliveryLine(null)).toBe('');
});

function thread(
  id: number,
  submitted: number,
  dropped: number,
  kind: ThreadRow['kind'] = 'thread',
): ThreadRow {
  return {
    kind,
    name: kind === 'thread' ? `worker-${id}` : '',
    id,
    ring_used_bytes: 256,
    signals: { traces: { submitted, dropped: dropped > 0 ? { ring_full: dropped } : {} } },
  };
}

test('threads that dropped, the busiest and those not told apart are shown', () => {
  const threads = [
    ...Array.from({ length: 20 }, (_, id) => thread(id + 1, 100 - id, id === 15 ? 1 : 0)),
    thread(0, 5, 0, 'ended'),
  ];
  const client = { threads, ring_bytes: 1024 } as ClientLedger;
  const { lines, hidden } = threadLines(client);
  expect(lines.map(({ thread }) => thread.id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 16, 0]);
  expect(hidden).toBe(11);
  expect(lines[0].fill).toBe(0.25);
  expect(lines.at(-1)?.fill).toBeNull();
});
