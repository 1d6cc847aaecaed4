import { expect, test } from 'vitest';

import {
  clockTime,
  compareNanos,
  fromLocalInput,
  millisOf,
  nanosBetween,
  nanosFromMillis,
  toLocalInput,
} from './time';

test('differences of times beyond 2^53 are exact', () => {
  expect(nanosBetween('1795166107348123457', '1795166107348123456')).toBe(1);
  expect(nanosBetween('9223372036854775807', '9223372036854775000')).toBe(807);
});

test('a time that is no number does not throw', () => {
  expect(nanosBetween('garbage', '0')).toBe(0);
  expect(millisOf('')).toBe(0);
});

test('strings compare as the numbers they hold', () => {
  const times = ['20', '3', '100', '3'];
  expect([...times].sort(compareNanos)).toEqual(['3', '3', '20', '100']);
});

test('the fraction comes from the nanoseconds', () => {
  expect(clockTime('1795166107348123457', 9)).toMatch(/:07\.348123457$/);
  expect(clockTime('1795166107008123457')).toMatch(/:07\.008$/);
});

test('milliseconds and the date field go there and back', () => {
  const millis = new Date(2026, 10, 20, 9, 5, 7).getTime();
  expect(toLocalInput(millis)).toBe('2026-11-20T09:05:07');
  expect(fromLocalInput(toLocalInput(millis))).toBe(millis);
  expect(fromLocalInput('')).toBeNull();
  expect(nanosFromMillis(1.6)).toBe('2000000');
});
