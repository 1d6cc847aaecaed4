import { describe, expect, it } from 'vitest';

import type { Operation, Operations } from './api/types';
import { counted, extent, filterOf, leastOf, measured, sumOf, totalOf } from './operations';
import { duration } from './format';
import { filled, linePath, lineText, lonePlaces } from './sparkline';

const nanos = (second: number) => `${second}000000000`;

function operation(part: Partial<Operation> = {}): Operation {
  return {
    service: 'shop',
    name: 'GET /',
    kind: 'server',
    count: 30,
    rate: 1,
    error_count: 3,
    root_count: 30,
    total_nano: 60,
    p50_nano: 1,
    p95_nano: 2,
    p99_nano: 3,
    longest_nano: 4,
    steps: [
      { time_unix_nano: nanos(110), count: 10, error_count: 3, p95_nano: 5 },
      { time_unix_nano: nanos(130), count: 20, error_count: 0, p95_nano: 7 },
    ],
    examples: { typical: null, longest: null, failed: null },
    attributes: [{ key: 'alloc.bytes', count: 10, sum: 600, max: 100 }],
    ...part,
  };
}

function answer(to: number, ...operations: Operation[]): Operations {
  return {
    from_unix_nano: nanos(100),
    to_unix_nano: nanos(to),
    step_nano: 10e9,
    operations,
    operations_left_out: 0,
    spans_left_out: 0,
    inner_error_count: 0,
    attribute_spans_left_out: 0,
  };
}

describe('operations over time', () => {
  it('are drawn without the step that is not over', () => {
    expect(extent(answer(138))).toEqual({ from: 100, to: 130, step: 10 });
    expect(extent(answer(103))).toEqual({ from: 100, to: 110, step: 10 });
    const one = operation();
    expect(measured(one, answer(138, one), (step) => step.p95_nano)).toEqual([{ x: 110, y: 5 }]);
  });

  it('have none where none is known', () => {
    const one = operation();
    expect(counted(one, answer(140, one), (step) => step.count)).toEqual([
      { x: 100, y: 0 },
      { x: 110, y: 10 },
      { x: 120, y: 0 },
      { x: 130, y: 20 },
    ]);
  });

  it('are summed up', () => {
    const two = [operation(), operation({ service: 'bank', error_count: 0, rate: 0.5 })];
    expect(sumOf(two)).toEqual({ count: 60, rate: 1.5, failed: 3, services: 2 });
    expect(totalOf(operation(), 'alloc.bytes')).toEqual({ sum: 600, each: 20 });
    expect(totalOf(operation(), 'alloc.count')).toEqual({ sum: 0, each: 0 });
  });

  it('are found by service, name and kind', () => {
    expect(filterOf(operation({ name: 'say "hi"' }))).toBe(
      '{ resource.service.name = "shop" && name = "say \\"hi\\"" && kind = server }',
    );
  });

  it.each([
    [0, '0ns'],
    [31, '31ns'],
    [999, '999ns'],
    [12_345, '12.3us'],
    [8_799_999, '8.79ms'],
    [889_192_448, '889ms'],
    [1_050_000_000, '1.05s'],
    [7_214_000_000_000, '7210s'],
  ])('are searched for from %d ns on as %s', (nanos, literal) => {
    expect(filterOf(operation(), nanos)).toBe(
      `{ resource.service.name = "shop" && name = "GET /" && kind = server && duration >= ${literal} }`,
    );
  });

  it.each([
    // The middle of a bucket and its lowest number.
    [20, 20],
    [65, 64],
    [897_581_056, 889_192_448],
    [545_259_520, 536_870_912],
  ])('whose quantile is %d took %d at least, and little less is asked for', (middle, lowest) => {
    expect(leastOf(middle)).toBeLessThanOrEqual(lowest);
    expect(leastOf(middle)).toBeGreaterThan(lowest * 0.98);
  });
});

describe('lines', () => {
  const box = { from: 0, to: 10, most: 4, width: 100, height: 20 };

  it('go from left to right, upwards with the value', () => {
    const points = [
      { x: 0, y: 0 },
      { x: 5, y: 4 },
      { x: 10, y: 2 },
    ];
    expect(linePath(points, box)).toBe('M0.0 20.0L50.0 0.0L100.0 10.0');
  });

  it('have gaps, and dots where a value stands alone', () => {
    const points = [
      { x: 0, y: 4 },
      { x: 8, y: 4 },
      { x: 9, y: 4 },
    ];
    expect(linePath(points, box, 2)).toBe('M0.0 0.0M80.0 0.0L90.0 0.0');
    expect(lonePlaces(points, box, 2)).toEqual([{ right: 0, down: 0 }]);
    expect(lonePlaces([{ x: 3, y: 0 }], { ...box, most: 0 })).toEqual([{ right: 30, down: 20 }]);
    expect(lonePlaces(points, box)).toEqual([]);
    expect([linePath([], box), lonePlaces([], box)]).toEqual(['', []]);
  });

  it('are filled up to an end', () => {
    expect(filled(new Map([[1, 5]]), 0, 2.5, 1)).toEqual([
      { x: 0, y: 0 },
      { x: 1, y: 5 },
      { x: 2, y: 0 },
    ]);
  });
});

describe('lines in words', () => {
  const points = (...values: number[]) => values.map((y, x) => ({ x, y }));

  it.each([
    [[3, 12, 5], '3 to 12 spans in each 10 s'],
    [[4, 4], '4 spans in each 10 s'],
    [[0], '0 spans in each 10 s'],
    [[], ''],
  ])('%j is %s', (values, text) => {
    expect(lineText(points(...values), String, 'spans in each 10 s')).toBe(text);
  });

  it('have units', () => {
    expect(lineText(points(2e6, 3.5e9), duration, 'in each 10 s')).toBe('2 ms to 3.5 s in each 10 s');
  });
});
