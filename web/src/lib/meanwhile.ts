import type { Metric, MetricData, MetricOverview, Trace } from './api/types';
import { metricKey, metricValue, ofService, wholePoints } from './metrics';
import { secondsOf } from './operations';
import { setCondition } from './query/edit';
import { quote } from './query/lexer';
import { PARTS, wantedOf, type Wanted } from './runtime';
import type { Point } from './sparkline';

/** What a metric was like around a time. */
export interface Reading {
  points: readonly Point[];
  /** Points further apart, in seconds, are not joined. */
  gap: number;
  /** The value at that time. */
  text: string;
}

/** How far from a time a value may be and still be one of that time, in steps. */
const STEPS_MAX = 16;

/** A metric that is one line, read at a time (in seconds); null where nothing was measured near it. */
export function nearTime(data: MetricData, second: number): Reading | null {
  const [series] = data.series;
  if (!series) return null;
  const points = wholePoints(series, data).map((point) => ({
    x: secondsOf(point.time_unix_nano),
    y: point.value,
  }));
  const step = data.step_nano / 1e9;
  const distance = ({ x }: Point) => Math.abs(x + step / 2 - second);
  const nearest = points.reduce<Point | null>(
    (best, point) => (best === null || distance(point) < distance(best) ? point : best),
    null,
  );
  if (nearest === null || distance(nearest) > STEPS_MAX * step) return null;
  return { points, gap: STEPS_MAX * step, text: metricValue(data.metric, data.aggregation, nearest.y) };
}

/** Metrics of a process and its runtime that are shown of a service while a trace went on, unless others are chosen. */
const KNOWN: readonly string[] = [
  'process.cpu.time',
  'process.memory.usage',
  'tokio.runtime.lag',
  'tokio.alive_tasks',
  'channel.queue_depth',
];

/** So many of an application's own gauges and counters are shown beside them, unless others are chosen. */
const OWN_MAX = 3;

/** Lanes at a time, each of which is a question to the backend. */
export const LANES_MAX = 12;

/** A metric of a service that can be shown while a trace went on. */
export interface Offer extends Wanted {
  /** What it is about, as a heading. */
  group: string;
  /** Whether it is shown where nobody has chosen. */
  isUsual: boolean;
}

export const OWN_GROUP = 'Its own';

/** What can be shown of a service: what is known of its process, then what it measures itself. */
export function offersOf(metrics: readonly MetricOverview[], service: string): Offer[] {
  const known = PARTS.flatMap((part) =>
    wantedOf(part, metrics, service).map((wanted): Offer => {
      return { ...wanted, group: part.title, isUsual: KNOWN.includes(wanted.metric.name) };
    }),
  );
  const names = new Set(known.map(({ metric }) => metric.name));
  const own = metrics
    .filter(({ metric, scopes, services }) => {
      // What the client library measures of itself or makes of spans has a scope of its own.
      const isOwn = !names.has(metric.name) && !scopes.some((scope) => scope.startsWith('ringlight.'));
      return isOwn && services.includes(service);
    })
    .map(({ metric }) => metric)
    .sort((a, b) => rankOf(a) - rankOf(b) || (a.name < b.name ? -1 : 1))
    .map((metric, place): Offer => {
      // Of a distribution how long or how large says more than how many, which is the API's default.
      const agg = metric.aggregations.includes('p95') ? 'p95' : '';
      const title = agg === '' ? metric.name : `${metric.name}, ${agg}`;
      const isUsual = place < OWN_MAX && rankOf(metric) < 2;
      return { key: metricKey(metric), metric, title, agg, by: '', group: OWN_GROUP, isUsual };
    });
  return [...known, ...own];
}

/** A level says more about a moment than a count, and that more than a distribution, of which few values are near one. */
function rankOf({ kind, is_monotonic: grows }: Metric): number {
  if (kind === 'gauge' || kind === 'sum') return Number(grows);
  return 2;
}

/** What is shown of what is offered: the usual, but for what was chosen or left out, by key. */
export function lanesOf(offers: readonly Offer[], choice: Readonly<Record<string, boolean>>): Offer[] {
  return offers.filter(({ key, isUsual }) => choice[key] ?? isUsual).slice(0, LANES_MAX);
}

const INSTANCE = 'service.instance.id';

/** The process that made the spans of a service in a trace; empty where it is not said, or there were several. */
export function instanceOf({ resources }: Pick<Trace, 'resources'>, service: string): string {
  const instances = new Set(
    resources
      .filter((resource) => resource.service === service)
      .map(({ attributes }) => String(attributes.find(({ key }) => key === INSTANCE)?.value ?? '')),
  );
  const [only = ''] = instances;
  return instances.size === 1 ? only : '';
}

/** A condition of the filter language that a service made it, in one process if that is not empty. */
export function ofProcess(service: string, instance: string): string {
  const condition = ofService(service);
  return instance === '' ? condition : setCondition(condition, `resource.${INSTANCE}`, '=', quote(instance));
}
