import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import type { ClientLedger } from './api/types';
import { layout, logShare } from './durations';
import { rootGroups, titleOf } from './groups';
import {
  accountedFor,
  agreement,
  againstWill,
  ledgerLines,
  signalBalance,
  silenceOf,
  unsettled,
} from './ledger';
import { mergeNewest } from './merge';
import { messageOf } from './message';
import { bounds, chartBounds, rangeFrom, rangeParams } from './range';
import { explain } from './refusals';
import { parseLocation } from './router.svelte';
import { programOf } from './service';
import { severityOf } from './severity';
import { valueLine, valueText, visible } from './values';

describe('live refresh', () => {
  const key = (row: string, occurrence: number) => `${row[0]}#${occurrence}`;
  const merge = (old: string, fresh: string) =>
    mergeNewest(old.split(' ').filter(Boolean), fresh.split(' ').filter(Boolean), key);

  test.each([
    ['c b a', 'd c b', 'd c b a', 1, false],
    ['c b a', 'c2 b a', 'c2 b a', 0, false],
    ['', 'b a', 'b a', 2, false],
    ['c b a', '', 'c b a', 0, false],
    ['c b a', 'z y x', 'z y x', 3, true],
    ['a a', 'a a a', 'a a a', 1, false],
  ])('%j and then %j', (old, fresh, rows, added, gap) => {
    expect(merge(old, fresh)).toEqual({ rows: rows.split(' '), added, gap });
  });
});

describe('addresses', () => {
  test.each([
    ['/', 'overview', ''],
    ['/runtime', 'runtime', ''],
    ['/traces', 'traces', ''],
    ['/traces/', 'traces', ''],
    ['/traces/4BF92F', 'trace', '4bf92f'],
    ['/logs', 'logs', ''],
    ['/health', 'health', ''],
    ['/nowhere', 'missing', ''],
    ['/traces/a/b', 'missing', ''],
    ['/logs/x', 'missing', ''],
  ])('%s', (path, page, id) => expect(parseLocation(path, '')).toMatchObject({ page, id }));

  test('ranges survive the address', () => {
    for (const text of ['last=1h', 'from=1000&to=2000', 'to=5', '']) {
      const params = new URLSearchParams(text);
      const back = Object.entries(rangeParams(rangeFrom(params))).filter(([, value]) => value !== null);
      expect(new URLSearchParams(back as [string, string][]).toString()).toBe(text);
    }
    expect(rangeFrom(new URLSearchParams('last=bogus&from=-1'))).toEqual({
      last: '',
      fromMillis: null,
      toMillis: null,
    });
    const hour = rangeFrom(new URLSearchParams('last=1h'));
    expect(bounds(hour, 4_000_000, '399')).toEqual({ from: '400000000000', to: null });
    expect(bounds(hour, 4_000_000, '400000000001')).toEqual({ from: '400000000001', to: null });
    expect(bounds(rangeFrom(new URLSearchParams('')), 0, '7')).toEqual({ from: '7', to: null });
    expect(bounds(rangeFrom(new URLSearchParams('last=5m')), 1_000_000)).toEqual({
      from: '700000000000',
      to: null,
    });
  });

  test('charts begin with what is stored, and are never shorter than a minute', () => {
    const last = rangeFrom(new URLSearchParams('last=5m'));
    const from = (oldest: string | null) => chartBounds(last, 1_000_000, oldest).from;
    expect(from(null)).toBe('700000000000');
    expect(from('600000000000')).toBe('700000000000');
    expect(from('800000000000')).toBe('800000000000');
    expect(from('999000000000')).toBe('940000000000');
    const fixed = rangeFrom(new URLSearchParams('from=1000&to=2000'));
    expect(chartBounds(fixed, 1_000_000, '999000000000')).toEqual({ from: '1000000000', to: '2000000000' });
  });
});

describe('ledgers', () => {
  const cells = {
    submitted: 8,
    recovered: 2,
    exported: 6,
    exported_recovered: 0,
    rejected: 1,
    dropped: { full: 2 },
    in_flight: 1,
    spooled: 0,
    balanced: true,
  };

  test('what tail sampling and rules leave out is not lost', () => {
    expect(againstWill({ ring_full: 2, tail_sampled: 40, filtered: 7 })).toBe(2);
  });

  test('everything submitted, or found on disk, is somewhere', () => {
    expect(accountedFor(cells)).toBe(10);
  });

  test.each([
    [6, false, 'agree', 'agree'],
    [8, false, 'pending', 'pending'],
    [8, true, 'differ', 'differ'],
    [5, false, 'differ', 'earlier'],
    [undefined, true, 'differ', 'earlier'],
  ] as const)('exported 6, stored %s, final %s: %s, of an older client %s', (stored, final, state, older) => {
    const line = { client: { ...client, final }, signal: 'traces', cells, stored } as const;
    expect(agreement(line, '400000000')).toBe(state);
    expect(agreement(line, '600000000')).toBe(older);
  });

  test('what an earlier process made is stored under its name', () => {
    const of = (stored: number) => {
      const line = { client, signal: 'traces', cells: { ...cells, exported_recovered: 2 }, stored } as const;
      return agreement(line, '400000000');
    };
    expect(of(4)).toBe('agree');
    expect(of(3)).toBe('differ');
    expect(of(6)).toBe('pending');
  });

  test.each([
    [156, 0, 0, 156, 0],
    [156, 0, 2, 150, 4],
    [156, 100, 50, 6, 0],
    [3, 0, 2, 2, -1],
  ])(
    'accepted %d, stored %d, not stored %d, ledger points %d: off by %d',
    (accepted, stored, not, points, off) => {
      const signal = {
        requests: 1,
        accepted,
        stored,
        duplicates: 0,
        not_stored: not,
        ledger_points: points,
        open_spans: 0,
        rejected: {},
        bytes_received: 1,
        negative_durations: 0,
        repaired_texts: 0,
      };
      expect(signalBalance(signal)).toBe(off);
      expect(signalBalance({ ...signal, accepted: accepted + 7, duplicates: 7 })).toBe(off);
    },
  );

  const client: ClientLedger = {
    service: 'shop',
    instance: 'i',
    started_unix_nano: '500000000',
    last_report_unix_nano: '1000000000',
    final: false,
    signals: { traces: cells, logs: { ...cells, submitted: 0, recovered: 0 } },
    negative_durations: 0,
    unmatched_exits: 0,
    stored: { traces: 6 },
    threads: [],
    ring_bytes: 0,
    cost: null,
    delivery: null,
  };

  test('a client that did not say goodbye is silent after a while', () => {
    expect(silenceOf(client, 3_000)).toBeNull();
    expect(silenceOf(client, 60_000)).toBe('silent');
    expect(silenceOf({ ...client, final: true }, 60_000)).toBeNull();
  });

  test('a client with nothing in flight has no reason to report', () => {
    const settled = { ...cells, exported: 7, in_flight: 0 };
    const idle = { ...client, signals: { traces: settled, logs: settled } };
    expect(silenceOf(idle, 3_000)).toBeNull();
    expect(silenceOf(idle, 60_000)).toBe('quiet');
    expect(silenceOf({ ...idle, signals: { traces: settled, logs: cells } }, 60_000)).toBe('silent');
  });

  test('what a silent client had in flight is unsettled unless it arrived', () => {
    const lines = (stored: number) => ledgerLines([{ ...client, stored: { traces: stored } }]);
    expect(unsettled(lines(6), 60_000)).toBe(1);
    expect(unsettled(lines(7), 60_000)).toBe(0);
    expect(unsettled(lines(6), 3_000)).toBe(0);
  });

  test('signals without records have no line', () => {
    expect(ledgerLines([client]).map((line) => line.signal)).toEqual(['traces']);
  });
});

test('refusals are explained, unknown ones shown as they are', () => {
  expect(explain('content_type').hint).toContain('application/x-protobuf');
  const listen = { otlp_grpc: '127.0.0.1:1', otlp_http: '[::1]:2', ui: '' };
  expect(explain('wrong_protocol', listen).hint).toMatch(/port 1,.*port 2\./);
  expect(explain('brand_new_reason')).toEqual({ title: 'brand new reason', hint: '' });
});

test('every refusal the documentation lists is explained', () => {
  const page = readFileSync(new URL('../../../docs/otlp.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('## Refused requests'), page.indexOf('## JSON'));
  const reasons = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap((row) => row[1]!.match(/\w+/g)!);
  expect(reasons.length).toBeGreaterThan(12);
  for (const reason of reasons) expect(explain(reason).hint, reason).not.toBe('');
});

test('a service without a name goes by its program', () => {
  expect(programOf('unknown_service:shop')).toBe('shop');
  expect(programOf('unknown_service')).toBeNull();
  expect(programOf('unknown_service:')).toBeNull();
  expect(programOf('shop')).toBeNull();
});

test('severity numbers come in fours', () => {
  expect([0, 1, 4, 5, 9, 13, 17, 21, 24, 25].map(severityOf)).toEqual([
    'unset',
    'trace',
    'trace',
    'debug',
    'info',
    'warn',
    'error',
    'fatal',
    'fatal',
    'unset',
  ]);
});

test('control characters and direction marks are seen, not obeyed', () => {
  expect(visible('\u001b[31mred\u0007')).toBe('␛[31mred␇');
  expect(visible('a\u202eb\u2066c')).toBe('a<U+202E>b<U+2066>c');
  expect(visible('tab\tline\nend é 😀')).toBe('tab\tline\nend é 😀');
});

test('values are text, whatever they hold', () => {
  expect(valueText({ type: 'int', value: '9223372036854775807' })).toBe('9223372036854775807');
  expect(valueLine({ type: 'string', value: '<b>\n  x' })).toBe('<b> ⏎ x');
  expect(
    valueLine({
      type: 'array',
      value: [
        { type: 'int', value: '9007199254740993' },
        { type: 'bool', value: true },
      ],
    }),
  ).toBe('["9007199254740993",true]');
  expect(
    valueLine({
      type: 'map',
      value: [
        { key: '__proto__', type: 'string', value: 'x' },
        { key: 'n', type: 'double', value: 1.5 },
      ],
    }),
  ).toContain('"n":1.5');
  expect(valueText({ type: 'empty', value: null })).toBe('');
});

test('roots are grouped, the most frequent first, the missing left out', () => {
  const trace = (root_name: string, error_count = 0) => ({
    trace_id: '',
    root_service: 's',
    root_name,
    first_service: 'f',
    first_name: 'first',
    start_unix_nano: '0',
    duration_nano: 1,
    span_count: 1,
    in_progress_count: 0,
    lost_count: 0,
    error_count,
    services: [],
  });
  expect(
    rootGroups([
      { ...trace('b\nc'), root_service: 'a' },
      { ...trace('c'), root_service: 'a\nb' },
    ]),
  ).toHaveLength(2);
  expect(rootGroups([trace('a'), trace('b', 2), trace('b'), trace('')])).toEqual([
    { service: 's', name: 'b', traces: 2, failed: 1 },
    { service: 's', name: 'a', traces: 1, failed: 0 },
  ]);
  expect(titleOf(trace('a'))).toEqual({ service: 's', name: 'a', rooted: true });
  expect(titleOf({ ...trace(''), root_service: '' })).toEqual({
    service: 'f',
    name: 'first',
    rooted: false,
  });
});

test('bars tell microseconds from seconds and stay visible', () => {
  expect(logShare(1e9, 1e3, 1e9)).toBe(1);
  expect(logShare(1e3, 1e3, 1e9)).toBeGreaterThan(0.03);
  expect(logShare(1e6, 1e3, 1e9)).toBeGreaterThan(logShare(1e5, 1e3, 1e9));
  expect(logShare(0, 0, 0)).toBeGreaterThan(0);
});

describe('the message of a record', () => {
  const attribute = (key: string, value: string) => ({ key, type: 'string' as const, value });
  const empty = { type: 'empty' as const, value: null };
  const rows = attribute('rows', '3');
  const error = attribute('error', 'no room\nleft');

  test('is its body, then the name of its event', () => {
    const body = { type: 'string' as const, value: 'done' };
    expect(messageOf({ body, event_name: 'e', attributes: [rows] })).toEqual({ text: 'done', rest: [rows] });
    expect(messageOf({ body: empty, event_name: 'cart.full', attributes: [rows] }).text).toBe('cart.full');
  });

  test('is else the attribute that tells most, which is not told twice', () => {
    const log = { body: empty, event_name: '', attributes: [rows, error] };
    expect(messageOf(log)).toEqual({ text: 'error=no room ⏎ left', rest: [rows] });
    expect(messageOf({ ...log, attributes: [rows] })).toEqual({ text: 'rows=3', rest: [] });
    expect(messageOf({ ...log, attributes: [] })).toEqual({ text: '', rest: [] });
  });
});

test('no two time marks of the chart read the same', () => {
  const trace = (start_unix_nano: string) => ({
    trace_id: '',
    root_service: 's',
    root_name: 'r',
    first_service: 's',
    first_name: 'r',
    start_unix_nano,
    duration_nano: 1_000_000,
    span_count: 1,
    in_progress_count: 0,
    lost_count: 0,
    error_count: 0,
    services: [],
  });
  const labels = (...starts: string[]) => layout(starts.map(trace), 1400, 96).times.map(({ label }) => label);
  expect(labels('1790000000000000000')).toHaveLength(1);
  expect(labels('1790000000000000000', '1790000000002000000')).toHaveLength(3);
  expect(labels('1790000000000000000', '1790000100000000000').length).toBeGreaterThan(6);
});
