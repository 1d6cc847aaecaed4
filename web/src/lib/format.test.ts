import { describe, expect, test } from 'vitest';

import { ago, bytes, count, duration, offset, percent, plural, shown, timeMark } from './format';

describe('duration', () => {
  test.each([
    [0, '0 ns'],
    [1, '1 ns'],
    [999, '999 ns'],
    [1000, '1 µs'],
    [12_345, '12.3 µs'],
    [999_960, '1 ms'],
    [1_050_000_000, '1.05 s'],
    [59_999_999_999, '60 s'],
    [60e9, '1 m 00 s'],
    [125e9, '2 m 05 s'],
    [11_220e9, '3 h 07 m'],
    [604_800e9, '7 d 00 h'],
    [-1500, '-1.5 µs'],
    [NaN, '?'],
  ])('%d ns is %s', (nanos, text) => expect(duration(nanos)).toBe(text));
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1536, '1.5 KiB'],
  [4 * 1024 ** 3, '4 GiB'],
])('%d bytes are %s', (value, text) => expect(bytes(value)).toBe(text));

test.each([
  [0, 'now'],
  [12_000, '12 s ago'],
  [61_000, '1 min ago'],
  [7_200_000, '2 h ago'],
  [200_000_000, '2 d ago'],
  [-60_000, 'in the future'],
])('%d ms are %s', (age, text) => expect(ago(1e12 - age, 1e12)).toBe(text));

test('percent never rounds to all or nothing', () => {
  expect(percent(1, 1_000_000)).toBe('< 0.1 %');
  expect(percent(999_999, 1_000_000)).toBe('> 99.9 %');
  expect(percent(0, 10)).toBe('0 %');
  expect(percent(10, 10)).toBe('100 %');
  expect(percent(1, 0)).toBe('0 %');
});

test('numbers are grouped and counted', () => {
  expect(count(1_234_567)).toBe('1,234,567');
  expect(plural(1, 'span')).toBe('1 span');
  expect(plural(1200, 'child', 'children')).toBe('1,200 children');
});

test.each([
  [0, 10, '0'],
  [52_450_000, 50_000, '52.45 ms'],
  [50_000_000, 50_000_000, '50 ms'],
  [1_000_000_000, 200_000_000, '1.0 s'],
  [75_250_000_000, 250_000_000, '75.3 s'],
  [999, 1, '999 ns'],
  [1_000_001, 1, '1.000001 ms'],
])('at %d ns on a scale of %d ns stands %s', (nanos, step, text) => expect(timeMark(nanos, step)).toBe(text));

test('a list says how much of everything it is', () => {
  expect(shown(12, 'trace', true)).toBe('All 12 traces');
  expect(shown(1, 'trace', true)).toBe('1 trace, there is no other');
  expect(shown(100, 'trace', false)).toBe('The newest 100 traces');
  expect(shown(1, 'trace', false)).toBe('The newest trace');
});

test.each([
  [0, 'the start'],
  [1_200_000, '+1.2 ms'],
  [-3000, '-3 µs'],
])('%d ns after the start of a trace is %s', (nanos, text) => expect(offset(nanos)).toBe(text));

test.each([
  [1_000_500, 2, '1.0005 ms'],
  [61_250e6, 2, '1 m 01.25 s'],
  [3_599_999e6, 0, '1 h 00 m'],
  [90_061e9, 2, '1 d 01 h 01 m 01 s'],
])('%d ns with %d more digits is %s', (nanos, more, text) => expect(duration(nanos, more)).toBe(text));
