import { expect, test } from 'vitest';

import {
  lineColor,
  lineDash,
  registerServices,
  serviceColor,
  serviceLineColor,
  serviceLineDash,
} from './palette.svelte';

const NAMES = ['agent', 'model', 'streaming', 'shop', 'checkout', 'frontend', 'db', 'api', 'mail', 'search'];

test('services have colours of their own, whenever and in whatever order they become known', () => {
  registerServices(['model', 'agent']);
  const [agent, model] = [serviceColor('agent', 'dark'), serviceColor('model', 'dark')];
  registerServices(NAMES);
  expect(serviceColor('agent', 'dark')).toBe(agent);
  expect(serviceColor('model', 'dark')).toBe(model);
  expect(new Set(NAMES.map((name) => serviceColor(name, 'dark'))).size).toBe(NAMES.length);
  expect(new Set(NAMES.map((name) => serviceColor(name, 'light'))).size).toBe(NAMES.length);
});

test('beyond the colours there are, a service has the one its name stands for, as before it was known', () => {
  const before = serviceColor('billing', 'light');
  registerServices([...NAMES, 'billing']);
  expect(serviceColor('billing', 'light')).toBe(before);
});

test('lines of a chart look different, also where there are more of them than colours', () => {
  const looks = Array.from(
    { length: 40 },
    (_, index) => `${lineColor(index, 'dark')} ${lineDash(index).join()}`,
  );
  expect(new Set(looks).size).toBe(looks.length);
  expect(lineDash(9)).toEqual([]);
});

/** The contrast of two colours, as WCAG defines it. */
function contrast(...colors: [string, string]): number {
  const [least, most] = colors
    .map((color) => {
      const parts = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255);
      const [red, green, blue] = parts.map((part) =>
        part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
    })
    .sort((a, b) => a - b);
  return (most! + 0.05) / (least! + 0.05);
}

test.each([
  ['dark', '#14181e'],
  ['light', '#ffffff'],
] as const)('tones of a service are told apart, and from the %s ground', (shade, ground) => {
  registerServices(NAMES);
  for (const name of NAMES) {
    const solid = [0, 1, 2, 3].filter((index) => serviceLineDash(index, shade).length === 0);
    const tones = solid.map((index) => serviceLineColor(name, index, shade));
    expect(tones).toHaveLength(3);
    expect(Math.min(...tones.map((tone) => contrast(tone, ground)))).toBeGreaterThan(3);
    const between = tones.flatMap((one, at) => tones.slice(at + 1).map((other) => contrast(one, other)));
    expect(Math.min(...between)).toBeGreaterThan(1.35);
  }
});
