import { describe, expect, it, vi } from 'vitest';

import type { Aggregation, Metric, MetricData, MetricOverview, MetricSeries } from './api/types';
import {
  aggregationLabel,
  axisMarks,
  columns,
  compact,
  divisionsOf,
  exemplarValue,
  findMetric,
  hasOwnUnit,
  lonePoints,
  metricKey,
  metricParams,
  metricValue,
  offeredAggregations,
  ofService,
  seriesLabel,
  onlyLine,
  tickTime,
  totalOf,
  totalText,
  unitLabel,
  withAsked,
  withPoints,
} from './metrics';

function metric(kind: Metric['kind'], unit: string): Metric {
  return {
    name: 'm',
    kind,
    unit,
    temporality: kind === 'gauge' ? null : 'cumulative',
    is_monotonic: kind === 'sum',
    description: '',
    aggregations: ['rate'],
  };
}

describe('values of metrics', () => {
  it.each<[Metric['kind'], string, Aggregation, number, string]>([
    ['histogram', 's', 'p99', 0.0123, '12.3 ms'],
    ['histogram', 'ms', 'p50', 1500, '1.5 s'],
    ['histogram', 's', 'rate', 12.5, '12.5/s'],
    ['histogram', 's', 'count', 12, '12'],
    ['sum', '{request}', 'rate', 12_345, '12.3 k/s'],
    ['sum', 's', 'rate', 0.25, '25 %'],
    ['sum', 'By', 'rate', 2048, '2 KiB/s'],
    ['gauge', 'By', 'avg', 1_572_864, '1.5 MiB'],
    ['gauge', '1', 'avg', 0.123, '0.123'],
    ['gauge', 'Cel', 'max', 36.6, '36.6 Cel'],
    ['gauge', '', 'max', NaN, '?'],
  ])('%s in %s as %s: %d is %s', (kind, unit, aggregation, value, expected) => {
    expect(metricValue(metric(kind, unit), aggregation, value)).toBe(expected);
  });

  it('are a part of a whole where their name says so', () => {
    const shown = (name: string, value: number) =>
      metricValue({ ...metric('gauge', '1'), name }, 'avg', value);
    expect(shown('process.cpu.utilization', 0.123)).toBe('12.3 %');
    expect(shown('cache_hit_ratio', 1)).toBe('100 %');
    expect(['jobs.waiting', 'iteration', 'leader'].map((name) => shown(name, 1))).toEqual(['1', '1', '1']);
  });

  it('have exemplars in their own unit, whatever is made of them', () => {
    const latency = metric('histogram', 's');
    expect(exemplarValue(latency, 0.25)).toBe('250 ms');
    expect(exemplarValue(metric('sum', 'By'), 2048)).toBe('2 KiB');
    const own = (kind: Metric['kind'], ...aggregations: Aggregation[]) =>
      aggregations.map((aggregation) => hasOwnUnit(metric(kind, 's'), aggregation));
    expect(own('histogram', 'p99', 'avg', 'sum', 'rate', 'count')).toEqual([true, true, true, false, false]);
    expect(own('sum', 'sum', 'rate', 'count')).toEqual([true, false, false]);
  });

  it('has units as words', () => {
    expect(['{message}', 's', '1', '', 'By', 'By/s'].map(unitLabel)).toEqual([
      'message',
      's',
      '',
      '',
      'bytes',
      'By/s',
    ]);
  });

  it.each<[Metric['kind'], string, Aggregation, number[], string[]]>([
    ['histogram', 's', 'p99', [0, 0.0005, 0.001], ['0', '500 µs', '1 ms']],
    ['gauge', 's', 'max', [-0, 60], ['0', '1 m 00 s']],
    ['gauge', 'By', 'avg', [0, 1_048_576], ['0', '1 MiB']],
    ['sum', 's', 'rate', [0, 0.5], ['0', '50 %']],
    ['sum', '{request}', 'rate', [0, 20], ['0', '20/s']],
  ])('on the scale of a %s in %s as %s: zero has no unit', (kind, unit, aggregation, marks, texts) => {
    expect(axisMarks(metric(kind, unit), aggregation, marks)).toEqual(texts);
  });

  it('shortens large numbers', () => {
    expect([0, 7, 9999, 10_000, 1_234_567, -2.5e9].map((value) => compact(value))).toEqual([
      '0',
      '7',
      '9999',
      '10 k',
      '1.23 M',
      '-2.5 G',
    ]);
  });
});

describe('the marks of a scale', () => {
  const HOUR = 3600;
  const DAY = 24 * HOUR;
  it.each<[Metric['kind'], string, Aggregation, number[], string[]]>([
    ['gauge', 's', 'avg', [0.001, 0.001001, 0.001002], ['1 ms', '1.001 ms', '1.002 ms']],
    ['gauge', 's', 'avg', [2, 2.002, 2.004], ['2 s', '2.002 s', '2.004 s']],
    ['gauge', 's', 'avg', [60, 60.5, 61], ['1 m 00.0 s', '1 m 00.5 s', '1 m 01.0 s']],
    ['gauge', 's', 'avg', [HOUR, HOUR + 20], ['1 h 00 m 00 s', '1 h 00 m 20 s']],
    ['gauge', 's', 'avg', [DAY, DAY + 1800], ['1 d 00 h 00 m', '1 d 00 h 30 m']],
    ['gauge', 's', 'avg', [DAY, DAY + 0.5], ['1 d 00 h 00 m 00.0 s', '1 d 00 h 00 m 00.5 s']],
    ['gauge', 'By', 'avg', [1_048_576, 1_048_592, 1_048_608], ['1 MiB', '1.000015 MiB', '1.000031 MiB']],
    ['sum', '{request}', 'rate', [12_340, 12_345, 12_350], ['12.34 k/s', '12.345 k/s', '12.35 k/s']],
    ['gauge', '{task}', 'avg', [250, 250.2, 250.4], ['250', '250.2', '250.4']],
    ['gauge', 'By', 'avg', [1, 2, 3], ['1 B', '2 B', '3 B']],
    ['gauge', '1', 'avg', [1, 1.025, 1.05], ['1', '1.025', '1.05']],
    ['gauge', '1', 'avg', [0.5, 0.50001], ['0.5', '0.50001']],
  ])('of a %s in %s as %s tell neighbours apart: %j', (kind, unit, aggregation, marks, texts) => {
    expect(axisMarks(metric(kind, unit), aggregation, marks)).toEqual(texts);
  });

  it('has no more digits than needed, and ends where doubles do', () => {
    const marks = [1, null, 1.5, 2];
    expect(axisMarks(metric('gauge', '1'), 'avg', marks)).toEqual(['1', '', '1.5', '2']);
    expect(axisMarks(metric('gauge', '1'), 'avg', [1, 1 + Number.EPSILON])).toEqual(['1', '1']);
  });
});

describe('a line alone', () => {
  const label = (key: string, type: 'string' | 'int' | 'array', value: string | number | []) =>
    ({ key, type, value }) as const;
  it.each([
    [
      '',
      'point.http.route',
      [label('point.http.route', 'string', '/a"b')],
      '{ point.http.route = "/a\\"b" }',
    ],
    ['', 'http.status', [label('http.status', 'int', 200)], '{ .http.status = 200 }'],
    ['', 'point.odd key', [label('point.odd key', 'string', 'x')], '{ point."odd key" = "x" }'],
    [
      '{ resource.service.name = "shop" }',
      'point.a, resource.b',
      [label('point.a', 'string', 'x')],
      '{ resource.b = nil && point.a = "x" && resource.service.name = "shop" }',
    ],
    ['{ point.a = "y" }', 'point.a', [label('point.a', 'string', 'x')], '{ point.a = "x" }'],
    ['{ point.a = "y" }', '', [], null],
    ['', 'point.a', [label('point.a', 'array', [])], null],
  ])('of those filtered by %j and divided by %s', (filter, by, labels, expected) => {
    expect(onlyLine(filter, by, labels)).toBe(expected);
  });
});

describe('metrics of one name', () => {
  const overview = (part: Partial<Metric>): MetricOverview => ({
    metric: { ...metric('gauge', ''), ...part },
    series_count: 1,
    services: [],
    scopes: [],
    attribute_keys: [],
    last_unix_nano: '1',
  });
  const all = [
    overview({ unit: 's' }),
    overview({}),
    overview({ kind: 'sum', is_monotonic: true }),
    overview({ kind: 'sum', is_monotonic: false }),
    overview({ name: 'other' }),
  ];

  it('are told apart and found again by their address', () => {
    expect(new Set(all.map((one) => metricKey(one.metric))).size).toBe(all.length);
    for (const one of all) {
      const given = Object.entries(metricParams(one.metric)).filter(([, value]) => value !== '');
      expect(findMetric(all, new URLSearchParams(given))).toBe(one);
    }
  });

  it('are found by less, too', () => {
    expect(findMetric(all, new URLSearchParams('name=m'))).toBe(all[0]);
    expect(findMetric(all, new URLSearchParams('name=m&kind=sum'))).toBe(all[2]);
    expect(findMetric(all, new URLSearchParams('name=none'))).toBe(null);
  });
});

describe('what an address asks for', () => {
  const keys = ['cpu.mode', 'service.kind'];

  it.each([
    ['', '', 'all series together'],
    ['resource.service.name', 'resource.service.name', 'by service'],
    ['service.name', 'resource.service.name', 'by service'],
    ['service.instance.id', 'resource.service.instance.id', 'by process'],
    ['point.cpu.mode', 'point.cpu.mode', 'by cpu.mode'],
    ['cpu.mode', 'point.cpu.mode', 'by cpu.mode'],
    ['host.name', 'host.name', 'by host.name'],
    ['resource.host.name', 'resource.host.name', 'by host.name'],
    ['point.cpu.mode,service.name', 'point.cpu.mode,service.name', 'by cpu.mode, service.name'],
    ['a\u202eb', 'a\u202eb', 'by a<U+202E>b'],
  ])('%j is the choice %j, %s', (by, chosen, label) => {
    const found = divisionsOf(keys, by);
    expect(found.chosen).toBe(chosen);
    const values = found.choices.map(({ value }) => value);
    expect(new Set(values).size).toBe(values.length);
    expect(found.choices.find(({ value }) => value === chosen)?.label).toBe(label);
  });

  it('is looked for on points first', () => {
    expect(divisionsOf(['service.name'], 'service.name').chosen).toBe('point.service.name');
  });

  it('is in the menu', () => {
    expect(withAsked(['a', 'b'], 'b')).toEqual(['a', 'b']);
    expect(withAsked(['a', 'b'], 'c')).toEqual(['a', 'b', 'c']);
    expect(withAsked(['a', 'b'], '')).toEqual(['a', 'b']);
    const labels = ['p50', 'p42', 'toString'].map((name) => aggregationLabel(name));
    expect(labels).toEqual(['p50 (median)', 'p42', 'toString']);
  });

  it('offers no number of reports where it reads like what was counted', () => {
    const aggregations: Aggregation[] = ['rate', 'sum', 'count'];
    const offered = (kind: Metric['kind'], grows: boolean) =>
      offeredAggregations({ ...metric(kind, ''), is_monotonic: grows, aggregations });
    expect(offered('sum', true)).toEqual(['rate', 'sum']);
    expect(offered('sum', false)).toEqual(aggregations);
    expect(offered('histogram', false)).toEqual(aggregations);
    const kinds = ['sum', 'gauge', 'histogram'] as const;
    expect(kinds.map((kind) => aggregationLabel('count', kind))).toEqual(['reports', 'reports', 'number']);
  });
});

describe('series', () => {
  const point = (second: number, value: number) => ({ time_unix_nano: `${second}000000000`, value });
  const series = (...points: [number, number][]): MetricSeries => ({
    labels: [],
    points: points.map(([second, value]) => point(second, value)),
    exemplars: [],
  });

  const answer = (aggregation: Aggregation, to: number, ...all: MetricSeries[]): MetricData => ({
    metric: metric(aggregation === 'avg' ? 'gauge' : 'sum', ''),
    aggregation,
    from_unix_nano: '0',
    to_unix_nano: `${to}000000000`,
    step_nano: 10e9,
    series: all,
    series_left_out: 0,
  });

  it('share their times and have gaps where nothing is known', () => {
    const two = answer('avg', 40, series([10, 1], [20, 2]), series([20, 3], [30, 4]));
    expect(columns(two)).toEqual([
      [15, 25, 35],
      [1, 2, undefined],
      [undefined, 3, 4],
    ]);
    expect(columns(answer('avg', 60, series([10, 1], [50, 2])))).toEqual([
      [15, 25, 55],
      [1, null, 2],
    ]);
    // Nor where others have points in the gap.
    const others = series([10, 5], [20, 5], [30, 5], [40, 5], [50, 5]);
    expect(columns(answer('avg', 60, series([10, 1], [50, 2]), others))[1]).toEqual([1, null, null, null, 2]);
    // What is measured once a minute is no gap in steps of ten seconds.
    const sparse = series([10, 1], [70, 2], [130, 3], [250, 4]);
    expect(columns(answer('avg', 300, sparse))[0]).toEqual([15, 75, 135, 195, 255]);
    expect(columns(answer('avg', 60))).toEqual([[]]);
    // Every twelve seconds in steps of ten.
    const uneven = series([0, 1], [10, 1], [20, 1], [30, 1], [40, 1], [60, 1], [70, 1]);
    expect(columns(answer('avg', 80, uneven))[0]).toEqual([5, 15, 25, 35, 45, 65, 75]);
  });

  it('begin and end within the time shown, where steps reach beyond it', () => {
    const data = answer('avg', 38, series([0, 1], [10, 2], [30, 3]));
    expect(columns({ ...data, from_unix_nano: '4000000000' })[0]).toEqual([7, 15, 34]);
  });

  it('join nothing over steps in which nothing came, where steps are added up', () => {
    const orders = series([10, 65], [70, 20], [130, 36]);
    expect(columns(answer('sum', 300, orders))[1]).toEqual([65, null, 20, null, 36]);
  });

  it('have points that no line leads to or from', () => {
    expect(lonePoints([1, null, 2, 3, null, 4, undefined, 5, null, undefined, 6])).toEqual([0, 10]);
    expect(lonePoints([undefined, 0, undefined])).toEqual([1]);
    expect(lonePoints([1, 2])).toEqual([]);
    expect(lonePoints([null, undefined])).toEqual([]);
  });

  it('come to a total where their steps are parts of it', () => {
    const line = series([10, 1.5], [20, 2]);
    const total = (aggregation: Aggregation, part: Partial<Metric> = {}) => {
      const data = answer(aggregation, 25, line);
      return totalOf(line, { ...data, metric: { ...data.metric, ...part } });
    };
    expect(total('sum')).toBe(3.5);
    expect(total('rate')).toBe(35);
    expect(total('rate', { kind: 'histogram' })).toBe(35);
    expect(total('count', { kind: 'histogram' })).toBe(3.5);
    // Reports of a counter, values of what may shrink, and means are no parts of anything.
    expect([total('count'), total('sum', { is_monotonic: false }), total('avg')]).toEqual([null, null, null]);
  });

  it.each<[Metric['kind'], string, Aggregation, number, string]>([
    ['sum', '{order}', 'rate', 12_465.8, '12,466'],
    ['sum', '', 'sum', 0.337, '0.34'],
    ['sum', 'By', 'rate', 2048, '2 KiB'],
    ['sum', 's', 'sum', 1.5, '1.5 s'],
    ['histogram', 's', 'rate', 12_345, '12,345'],
    ['histogram', 's', 'sum', 0.25, '250 ms'],
  ])('of a %s in %s as %s with a total of %d say %s', (kind, unit, aggregation, total, text) => {
    expect(totalText(metric(kind, unit), aggregation, total)).toBe(text);
  });

  it('that have nothing in the time asked for are counted, not shown', () => {
    const exemplar = { time_unix_nano: '1', value: 1, trace_id: 'a', span_id: 'b', attributes: [] };
    const full = series([10, 1]);
    const example = { ...series(), exemplars: [exemplar] };
    const { shown, empty } = withPoints(answer('avg', 40, series(), full, series(), example));
    expect(shown.series).toEqual([full, example]);
    expect(empty).toBe(2);
  });

  it('end with the last step that is over, where steps are added up', () => {
    const line = series([10, 1], [20, 2]);
    expect(columns(answer('rate', 25, line))).toEqual([[15], [1]]);
    expect(columns(answer('rate', 30, line))).toEqual([
      [15, 25],
      [1, 2],
    ]);
    expect(columns(answer('avg', 25, line))[1]).toEqual([1, 2]);
  });

  it('leave out the last step while clients may not have reported it yet', () => {
    const line = series([10, 1], [20, 2]);
    const at = (second: number) => {
      vi.useFakeTimers({ now: second * 1000 });
      const [times] = columns(answer('rate', Math.min(second, 30), line));
      vi.useRealTimers();
      return times;
    };
    expect(at(30)).toEqual([15]);
    expect(at(35)).toEqual([15]);
    expect(at(36)).toEqual([15, 25]);
  });

  it('have marks as precise as these are apart', () => {
    const noon = new Date(2026, 10, 29, 12, 5, 7).getTime() / 1000;
    expect([1, 60, 86_400].map((apart) => tickTime(noon, apart))).toEqual(['12:05:07', '12:05', '11-29']);
    expect([noon, noon + 0.25].map((second) => tickTime(second, 0.25))).toEqual([
      '12:05:07.000',
      '12:05:07.250',
    ]);
    const midnight = new Date(2026, 10, 29).getTime() / 1000;
    expect(tickTime(midnight, 3600)).toBe('11-29');
  });

  it('are named by what tells them apart', () => {
    expect(seriesLabel([])).toBe('all series together');
    expect(seriesLabel([], true)).toBe('without the attribute');
    const labels = [
      { key: 'resource.a', type: 'string', value: 'b' },
      { key: 'c', type: 'int', value: 3 },
    ] as const;
    expect(seriesLabel(labels)).toBe('a = b, c = 3');
  });

  it('are chosen by their service', () => {
    expect(ofService('')).toBe('');
    expect(ofService('a "b"')).toBe('{ resource.service.name = "a \\"b\\"" }');
  });
});
