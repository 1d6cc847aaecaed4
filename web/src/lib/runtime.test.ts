import { describe, expect, it } from 'vitest';

import type { Metric, MetricOverview } from './api/types';
import { PARTS, titleOf, wantedOf } from './runtime';

function overview(name: string, scope: string, services = ['shop']): MetricOverview {
  return {
    metric: {
      name,
      kind: 'gauge',
      temporality: null,
      is_monotonic: false,
      unit: '',
      description: '',
      aggregations: ['avg'],
    },
    series_count: 1,
    services,
    scopes: [scope],
    attribute_keys: [],
    last_unix_nano: '1',
  };
}

const part = (id: string) => PARTS.find((one) => one.id === id)!;

describe('charts of the runtime', () => {
  const metrics = [
    overview('process.uptime', 'ringlight.process'),
    overview('process.new_thing', 'somebody'),
    overview('process.cpu.time', 'ringlight.process', ['bank']),
    overview('odd', 'ringlight.process'),
    overview('channel.sent', 'ringlight.channel'),
    overview('orders', 'shop'),
  ];
  const names = (id: string, service: string) =>
    wantedOf(part(id), metrics, service).map(({ metric }) => metric.name);

  it('are those of a scope or a prefix, the known ones first', () => {
    expect(names('process', '')).toEqual(['process.cpu.time', 'process.uptime', 'odd', 'process.new_thing']);
    expect(names('process', 'shop')).toEqual(['process.uptime', 'odd', 'process.new_thing']);
    expect(names('channels', '')).toEqual(['channel.sent']);
    expect(names('runtime', '')).toEqual([]);
  });

  it('are divided by service, by what is within one, and by what matters always', () => {
    const by = (id: string, service: string) => wantedOf(part(id), metrics, service)[0]?.by;
    expect(by('process', '')).toBe('resource.service.name');
    expect(by('process', 'bank')).toBe('point.cpu.mode');
    expect(by('process', 'shop')).toBe('');
    expect(by('channels', '')).toBe('resource.service.name,point.channel.name');
    expect(by('channels', 'shop')).toBe('point.channel.name');
  });

  it('have a line for each worker of one service, and for each span that blocked one', () => {
    const names = [
      'tokio.worker.blocked',
      'tokio.runtime.lag',
      'tokio.worker.busy_duration',
      'tokio.alive_tasks',
    ];
    const all = names.map((name) => overview(name, 'ringlight.runtime'));
    const lines = (service: string) =>
      wantedOf(part('runtime'), all, service).map(({ title, agg, by }) => [title, agg, by]);
    expect(lines('shop')).toEqual([
      ['Workers busy, of one worker', '', 'point.tokio.worker.index'],
      ['Tasks alive', '', ''],
      ['Lag of a ready task, p99', 'p99', ''],
      ['Workers blocked, by span', 'sum', 'point.span.name'],
    ]);
    expect(lines('').map(([, , by]) => by)).toEqual([
      'resource.service.name',
      'resource.service.name',
      'resource.service.name',
      'resource.service.name,point.span.name',
    ]);
  });

  it('leave out what a watch overwrites, which is no loss', () => {
    const channels = ['channel.dropped', 'channel.queue_depth', 'channel.sent'];
    const all = channels.map((name) => overview(name, 'ringlight.channel'));
    const only = Object.fromEntries(
      wantedOf(part('channels'), all, '').map(({ metric, only }) => [metric.name, only]),
    );
    const withoutWatch = '{ !(point.channel.type = "watch") }';
    expect(only).toEqual({
      'channel.queue_depth': withoutWatch,
      'channel.sent': '',
      'channel.dropped': withoutWatch,
    });
  });

  it('are told apart where there are several of one name', () => {
    const lag = overview('process.lag', 'ringlight.process');
    const of = (part: Partial<Metric>) => ({ ...lag, metric: { ...lag.metric, ...part } });
    const all = [lag, of({ unit: 's' }), of({ kind: 'sum' }), of({ kind: 'sum', is_monotonic: true })];
    const keys = wantedOf(part('process'), all, '').map(({ key }) => key);
    expect(new Set(keys).size).toBe(4);
  });

  it('have titles, known or made of the name', () => {
    expect(wantedOf(part('process'), metrics, '').map(({ title }) => title)).toEqual([
      'CPU, of one core',
      'Up for',
      'Odd',
      'New thing',
    ]);
    expect(titleOf('tokio.worker.mean_poll_time', 'tokio.')).toBe('Worker mean poll time');
  });
});
