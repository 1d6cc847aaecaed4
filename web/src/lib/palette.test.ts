import { expect, test } from 'vitest';

import { lineColor, lineDash, registerServices, serviceColor } from './palette.svelte';

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
