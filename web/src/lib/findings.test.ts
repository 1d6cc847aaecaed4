import { describe, expect, test } from 'vitest';

import type { ClientLedger, LedgerCells, SignalStatus, Status } from './api/types';
import { costSum, foldEnded as foldCosts } from './cost';
import { findingsOf } from './findings';
import { foldEnded, ledgerLines } from './ledger';

const BACKEND_START = '5000000000';

function cells(part: Partial<LedgerCells> = {}): LedgerCells {
  return {
    submitted: 10,
    recovered: 0,
    exported: 10,
    exported_recovered: 0,
    rejected: 0,
    dropped: {},
    in_flight: 0,
    spooled: 0,
    balanced: true,
    ...part,
  };
}

function client(instance: string, part: Partial<ClientLedger> = {}): ClientLedger {
  return {
    service: 'shop',
    instance,
    started_unix_nano: '6000000000',
    last_report_unix_nano: '9000000000',
    final: true,
    signals: { traces: cells() },
    negative_durations: 0,
    unmatched_exits: 0,
    stored: { traces: 10 },
    threads: [],
    ring_bytes: 0,
    cost: null,
    delivery: null,
    ...part,
  };
}

function signal(part: Partial<SignalStatus> = {}): SignalStatus {
  return {
    requests: 1,
    accepted: 0,
    stored: 0,
    duplicates: 0,
    not_stored: 0,
    ledger_points: 0,
    open_spans: 0,
    rejected: {},
    bytes_received: 0,
    negative_durations: 0,
    repaired_texts: 0,
    ...part,
  };
}

function status(clients: ClientLedger[], part: Partial<Status> = {}): Status {
  return {
    version: '0.1.0',
    started_unix_nano: BACKEND_START,
    uptime_seconds: 1,
    pid: 1,
    run_id: 1,
    data_dir: '/',
    listen: { otlp_grpc: '', otlp_http: '', ui: '' },
    signals: { traces: signal(), logs: signal(), metrics: signal(), profiles: signal() },
    refused_requests: {},
    recent_refusals: [],
    store: {
      bytes: 0,
      size_limit_bytes: 0,
      retention_seconds: 0,
      slices: 0,
      blocks: 0,
      corrupt: 0,
      head_records: 0,
      span_count: 0,
      log_count: 0,
      series: 0,
      series_max: 0,
      series_forgotten: 0,
      open_reports_refused: 0,
      disk_full: false,
      oldest_unix_nano: null,
      newest_unix_nano: null,
    },
    clients,
    forward: null,
    ...part,
  };
}

const texts = (of: Status) => findingsOf(of, 9_000).map(({ text }) => text);

describe('findings', () => {
  test('there are none where all is well', () => {
    expect(findingsOf(status([client('a')]), 9_000)).toEqual([]);
  });

  test('a row that disagrees with the backend is named, with both numbers', () => {
    const logs = cells({ submitted: 1300, exported: 1300, exported_recovered: 66 });
    const wrong = client('7f3a91c2-0000', {
      service: 'unknown_service:till',
      signals: { traces: cells(), logs },
      stored: { traces: 10, logs: 1230 },
    });
    expect(findingsOf(status([client('a'), wrong]), 9_000)).toEqual([
      {
        level: 'error',
        text: 'till 7f3a91c2, logs: the client says that it exported 1,234, and 1,230 are stored here.',
        target: '#clients',
      },
    ]);
  });

  test('a ledger that does not balance is named, with both sums', () => {
    const traces = cells({ submitted: 12, recovered: 1, balanced: false });
    expect(texts(status([client('a', { signals: { traces } })]))).toEqual([
      "shop a, traces: the client's ledger does not balance, with 13 submitted or found on disk and 10 accounted for.",
    ]);
  });

  test('of many rows that are wrong only the first are named', () => {
    const wrong = (number: number) => client(`process-${number}`, { stored: { traces: number } });
    const named = texts(status([1, 2, 3, 4, 5, 6, 7].map(wrong)));
    expect(named).toHaveLength(6);
    expect(named.at(-1)).toBe('2 more rows of the ledgers are wrong.');
    expect(texts(status([1, 2, 3, 4, 5, 6].map(wrong))).at(-1)).toBe('1 more row of the ledgers is wrong.');
  });

  test('a count of the backend that does not add up is told with both numbers', () => {
    const signals = { ...status([]).signals, traces: signal({ accepted: 5, stored: 3 }) };
    expect(texts(status([], { signals }))).toEqual([
      'The count of traces does not add up: 5 accepted, 3 accounted for.',
    ]);
  });

  test('problems come before notices', () => {
    const signals = { ...status([]).signals, logs: signal({ rejected: { too_old: 2 } }) };
    const found = findingsOf(status([client('a', { stored: { traces: 9 } })], { signals }), 9_000);
    expect(found.map(({ level }) => level)).toEqual(['error', 'warn']);
  });
});

describe('processes that have ended', () => {
  const fold = (...clients: ClientLedger[]) => foldEnded(ledgerLines(clients), BACKEND_START);
  const instances = (lines: { client: ClientLedger }[]) => lines.map((line) => line.client.instance);

  test('are folded into a sum for each signal', () => {
    const logs = cells({ submitted: 7, exported: 3, dropped: { ring_full: 4 } });
    const { shown, ended, processes, sums } = fold(
      client('alive', { final: false }),
      client('a', {
        signals: { traces: cells({ submitted: 12, dropped: { ring_full: 2 } }), logs },
        stored: { traces: 10, logs: 3 },
        last_report_unix_nano: '10000000000',
      }),
      client('b', {
        started_unix_nano: '1000000000',
        signals: { traces: cells({ submitted: 11, dropped: { timeout: 1 } }) },
        stored: { traces: 8 },
      }),
    );
    expect(instances(shown)).toEqual(['alive']);
    expect(instances(ended)).toEqual(['a', 'a', 'b']);
    expect(processes).toBe(2);
    expect(sums).toEqual([
      {
        signal: 'traces',
        cells: cells({ submitted: 23, exported: 20, dropped: { ring_full: 2, timeout: 1 } }),
        stored: 18,
        processes: 2,
        earlier: 1,
        last_report_unix_nano: '10000000000',
      },
      {
        signal: 'logs',
        cells: logs,
        stored: 3,
        processes: 1,
        earlier: 0,
        last_report_unix_nano: '10000000000',
      },
    ]);
  });

  test('stay in sight where something is wrong, with all their rows', () => {
    const { shown, processes } = fold(
      client('a'),
      client('b'),
      client('differs', {
        signals: { traces: cells(), logs: cells() },
        stored: { traces: 10, logs: 9 },
      }),
      client('unbalanced', { signals: { traces: cells({ balanced: false }) } }),
    );
    expect(instances(shown)).toEqual(['differs', 'differs', 'unbalanced']);
    expect(processes).toBe(2);
  });

  test('come by name, the latest first', () => {
    const at = (instance: string, last: string) => client(instance, { last_report_unix_nano: last });
    const { ended } = fold(at('early', '9000000000'), at('late', '10000000000'), at('last', '10000000000'));
    expect(instances(ended)).toEqual(['late', 'last', 'early']);
  });

  test('one by itself is not folded, nor one that has not said so', () => {
    const { shown, sums } = fold(client('a'), client('b', { final: false }), client('c', { final: false }));
    expect(instances(shown)).toEqual(['a', 'b', 'c']);
    expect(sums).toEqual([]);
  });

  test('have spent what they have together', () => {
    const cost = {
      span_nano: 85,
      spans_measured: 1,
      log_nano: null,
      logs_measured: 0,
      producer_seconds: 0,
      collector_seconds: 0.75,
      process_seconds: 0,
      elapsed_seconds: 0,
      core_ratio: 0,
      process_ratio: 0,
      sent_bytes: 1024,
      memory: { rings_bytes: 0, buffers_bytes: 0, open_spans_bytes: 0 },
      sampling_ratio: 1,
      budget_ratio: null,
    };
    const [a, b, c] = [client('a', { cost }), client('b', { cost }), client('c', { final: false, cost })];
    expect(foldCosts([a, b, c])).toEqual({ running: [c], ended: [a, b] });
    expect(foldCosts([a, c])).toEqual({ running: [a, c], ended: [] });
    expect(costSum([a, b])).toBe('collectors 1.5 s of CPU time, 2 KiB sent');
  });
});
