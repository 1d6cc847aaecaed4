import { expect, test } from 'vitest';

import { valueRange, valuesAt } from './chart';

test('a scale begins at zero unless all is far from it', () => {
  expect(valueRange(20, 100)[0]).toBe(0);
  expect(valueRange(0, 7)).toEqual([0, expect.closeTo(7.56)]);
  expect(valueRange(-40, -3)[1]).toBe(0);
  const [from, to] = valueRange(80, 100);
  expect(from).toBeCloseTo(78.4);
  expect(to).toBeCloseTo(101.6);
  const [below, above] = valueRange(-5, 10);
  expect(below).toBeLessThan(-5);
  expect(above).toBeGreaterThan(10);
});

test('what hardly differs looks so', () => {
  const [from, to] = valueRange(521.6, 522.1);
  expect(to - from).toBeGreaterThan(52);
  expect(from).toBeLessThan(500);
  expect(to).toBeGreaterThan(540);
  const [least, most] = valueRange(8, 8);
  expect(least).toBeLessThan(8);
  expect(least).toBeGreaterThan(7);
  expect(most).toBeGreaterThan(8);
});

test('a chart without a value, or of nothing but zeros, has a scale', () => {
  expect(valueRange(null, null)).toEqual([0, 1]);
  expect(valueRange(0, 0)).toEqual([0, 1]);
});

test('the values at a time are those of the lines that are drawn there', () => {
  const times = [0, 10, 20, 30, 40];
  const whole = [1, 2, 3, 4, 5];
  const seldom = [1, undefined, undefined, 4, undefined];
  const broken = [1, null, undefined, 4, 5];
  const at = (index: number) => valuesAt([times, whole, seldom, broken], index);
  expect(at(0)).toEqual([1, 1, 1]);
  expect(at(1)).toEqual([2, 1, null]);
  expect(at(2)).toEqual([3, 4, null]);
  expect(at(3)).toEqual([4, 4, 4]);
  // It has ended before.
  expect(at(4)).toEqual([5, null, 5]);
  expect(valuesAt([[]], 0)).toEqual([]);
});
