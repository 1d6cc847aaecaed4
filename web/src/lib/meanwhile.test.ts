import { expect, test } from 'vitest';

import type { Metric, MetricData, MetricOverview } from './api/types';
import { instanceOf, lanesOf, LANES_MAX, nearTime, offersOf, ofProcess } from './meanwhile';

function data(...points: [number, number][]): MetricData {
  return {
    metric: {
      name: 'process.memory.usage',
      kind: 'gauge',
      temporality: null,
      is_monotonic: false,
      unit: 'By',
      description: '',
      aggregations: ['avg'],
    },
    aggregation: 'avg',
    from_unix_nano: '0',
    to_unix_nano: '500000000000',
    step_nano: 4e9,
    series: [
      {
        labels: [],
        points: points.map(([second, value]) => ({ time_unix_nano: `${second}000000000`, value })),
        exemplars: [],
      },
    ],
    series_left_out: 0,
  };
}

test('the value nearest to a time is read, unless it is far away', () => {
  expect(nearTime(data([100, 1024], [160, 2048], [220, 3072]), 150)).toEqual({
    points: [
      { x: 102, y: 1024 },
      { x: 162, y: 2048 },
      { x: 222, y: 3072 },
    ],
    gap: 64,
    text: '2 KiB',
    label: '',
  });
  expect(nearTime(data([100, 1024]), 300)).toBeNull();
  expect(nearTime(data(), 300)).toBeNull();
  expect(nearTime({ ...data(), series: [] }, 300)).toBeNull();
});

test('of several lines the highest at the time is read, and says whose it is', () => {
  const read = (lines: Record<string, [number, number][]>) => {
    const series = Object.entries(lines).map(([name, points]) => ({
      ...data(...points).series[0]!,
      labels: [{ key: 'point.channel.name', type: 'string' as const, value: name }],
    }));
    const reading = nearTime({ ...data(), series }, 150);
    return reading && [reading.label, reading.text, reading.points.map(({ y }) => y)];
  };
  const full: [number, number][] = [
    [100, 0],
    [150, 64],
  ];
  expect(read({ idle: [[150, 0]], jobs: full, spare: [[150, 8]] })).toEqual(['jobs', '64 B', [0, 64]]);
  expect(read({ idle: [[150, 0]], jobs: full, mail: [[150, 64]] })).toEqual([
    'jobs and 1 more',
    '64 B',
    [0, 64],
  ]);
  // What was full at another time, or is not measured any more, is not full now.
  const before: [number, number][] = [
    [100, 9],
    [150, 0],
  ];
  expect(read({ idle: [[150, 0]], before })).toEqual(['before', '0 B', [9, 0]]);
  expect(read({ gone: [[10, 9]], spare: [[150, 8]] })).toEqual(['spare', '8 B', [8]]);
});

test('of channels the one with the longest queue is asked for, by name, and of other metrics all together', () => {
  const overview = (name: string): MetricOverview => ({
    metric: { ...data().metric, name },
    series_count: 1,
    services: ['shop'],
    scopes: ['ringlight.channel'],
    attribute_keys: [],
    last_unix_nano: '1',
  });
  const offers = offersOf(['channel.queue_depth', 'channel.sent'].map(overview), 'shop');
  expect(offers.map(({ title, agg, by }) => [title, agg, by])).toEqual([
    ['Longest queue', 'max', 'point.channel.name'],
    ['Sent', '', ''],
  ]);
  // The one place of a watch is always filled.
  expect(ofProcess('shop', '', offers[0]!.only)).toBe(
    '{ resource.service.name = "shop" && !(point.channel.type = "watch") }',
  );
});

test('of a service there is what is known of its process and a few of its own metrics, or what was chosen', () => {
  const overview = (name: string, part: Partial<Metric> = {}, services = ['shop']): MetricOverview => ({
    metric: { ...data().metric, name, ...part },
    series_count: 1,
    services,
    scopes: name.startsWith('traces.') ? ['ringlight.spans'] : [],
    attribute_keys: [],
    last_unix_nano: '1',
  });
  const counter = { kind: 'sum', is_monotonic: true } as const;
  const all = [
    overview('cart.added', counter),
    overview('cart.duration', { kind: 'histogram', aggregations: ['rate', 'p95'] }),
    overview('cart.removed', counter),
    overview('cart.size'),
    overview('jobs.open', { kind: 'sum' }),
    overview('process.memory.usage'),
    overview('process.thread.count'),
    overview('traces.span.calls'),
    overview('till.open', {}, ['till']),
    overview('tokio.alive_tasks'),
  ];
  const shown = (service: string, choice: Record<string, boolean> = {}) =>
    lanesOf(offersOf(all, service), choice);
  const names = (...asked: Parameters<typeof shown>) => shown(...asked).map(({ metric }) => metric.name);
  expect(names('shop')).toEqual([
    'process.memory.usage',
    'tokio.alive_tasks',
    'cart.size',
    'jobs.open',
    'cart.added',
  ]);
  expect(names('till')).toEqual(['till.open']);

  const offers = offersOf(all, 'shop');
  expect(offers.map(({ metric, group }) => `${group}: ${metric.name}`)).toEqual([
    'Process: process.memory.usage',
    'Process: process.thread.count',
    'Runtime: tokio.alive_tasks',
    'Its own: cart.size',
    'Its own: jobs.open',
    'Its own: cart.added',
    'Its own: cart.removed',
    'Its own: cart.duration',
  ]);
  const key = (name: string) => offers.find(({ metric }) => metric.name === name)!.key;
  const choice = {
    [key('cart.duration')]: true,
    [key('process.memory.usage')]: false,
    [key('jobs.open')]: false,
  };
  expect(names('shop', choice)).toEqual(['tokio.alive_tasks', 'cart.size', 'cart.added', 'cart.duration']);
  expect(shown('shop', choice).at(-1)).toMatchObject({ title: 'cart.duration, p95', agg: 'p95' });

  const many = Array.from({ length: 40 }, (_, number) => overview(`level.${number}`));
  const everything = Object.fromEntries(offersOf(many, 'shop').map((offer) => [offer.key, true]));
  expect(lanesOf(offersOf(many, 'shop'), everything)).toHaveLength(LANES_MAX);
});

test('a process is told from others of its service where the trace says one', () => {
  const resource = (service: string, instance?: string) => ({
    service,
    attributes: instance ? [{ key: 'service.instance.id', type: 'string' as const, value: instance }] : [],
    dropped_attributes_count: 0,
  });
  const resources = [
    resource('shop', 'a'),
    resource('shop', 'a'),
    resource('till', 'b'),
    resource('till', 'c'),
  ];
  const of = (service: string) => instanceOf({ resources: [...resources, resource('old')] }, service);
  expect(['shop', 'till', 'old', 'none'].map(of)).toEqual(['a', '', '', '']);
  expect(ofProcess('shop', 'a')).toBe(
    '{ resource.service.instance.id = "a" && resource.service.name = "shop" }',
  );
  expect(ofProcess('shop', '')).toBe('{ resource.service.name = "shop" }');
});
