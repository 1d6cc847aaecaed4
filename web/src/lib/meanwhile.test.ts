import { expect, test } from 'vitest';

import type { MetricData } from './api/types';
import { nearTime } from './meanwhile';

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
      { x: 100, y: 1024 },
      { x: 160, y: 2048 },
      { x: 220, y: 3072 },
    ],
    gap: 64,
    text: '2 KiB',
  });
  expect(nearTime(data([100, 1024]), 300)).toBeNull();
  expect(nearTime(data(), 300)).toBeNull();
  expect(nearTime({ ...data(), series: [] }, 300)).toBeNull();
});
