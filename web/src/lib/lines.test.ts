import { expect, test } from 'vitest';

import type { Attribute } from './api/types';
import { lineLooks } from './lines';
import { lineColor, registerServices, serviceColor } from './palette.svelte';

/** What the API asks for at most in a chart. */
const SERIES_MAX = 20;

const label = (key: string, value: string): Attribute => ({ key, type: 'string', value });
const line = (...labels: Attribute[]) => ({ labels });

test('a line of a service has the colour the service has on every page, in whatever order lines come', () => {
  registerServices(['agent', 'streaming', 'model']);
  const names = ['streaming', 'model', 'agent'];
  for (const key of ['resource.service.name', 'service.name']) {
    const looks = lineLooks(
      names.map((name) => line(label(key, name))),
      '',
      'dark',
    );
    expect(looks).toEqual(names.map((name) => ({ color: serviceColor(name, 'dark'), dash: [] })));
  }
  expect(lineLooks([line()], 'agent', 'light')).toEqual([
    { color: serviceColor('agent', 'light'), dash: [] },
  ]);
});

test('several lines of a service look different, and none like one of another service', () => {
  const services = ['agent', 'streaming', 'model', 'shop'];
  registerServices(services);
  for (const shade of ['dark', 'light'] as const) {
    const lines = services.flatMap((name) =>
      Array.from({ length: SERIES_MAX }, (_, channel) =>
        line(label('resource.service.name', name), label('point.channel.name', String(channel))),
      ),
    );
    const looks = lineLooks(lines, '', shade).map(({ color, dash }) => `${color} ${dash.join()}`);
    expect(new Set(looks).size).toBe(looks.length);
    const workers = Array.from({ length: SERIES_MAX }, (_, worker) =>
      line(label('point.worker', String(worker))),
    );
    const [first, second] = lineLooks(workers, 'agent', shade);
    expect(first).toEqual({ color: serviceColor('agent', shade), dash: [] });
    expect(services.map((name) => serviceColor(name, shade))).not.toContain(second?.color);
  }
});

test('lines of no one service have the colours of the palette', () => {
  const lines = ['user', 'system'].map((mode) => line(label('point.cpu.mode', mode)));
  expect(lineLooks(lines, '', 'dark').map(({ color }) => color)).toEqual(
    [0, 1].map((at) => lineColor(at, 'dark')),
  );
  // An attribute of a point says nothing about who sent it.
  const named = lineLooks([line(label('point.service.name', 'agent'))], '', 'dark');
  expect(named[0]?.color).toBe(lineColor(0, 'dark'));
});
