import type { Metric, MetricData, MetricOverview, Trace } from './api/types';
import { metricKey, metricValue, middlesOf, ofService, shortLabel, wholePoints } from './metrics';
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
  /** What the line is of, and how many more have the same value; empty where nothing tells it from others. */
  label: string;
}

/** How far from a time a value may be and still be one of that time, in steps. */
const STEPS_MAX = 16;

/**
 * A metric read at a time (in seconds): of several lines the one that is highest then, of those the one that was highest
 * around it. Null where nothing was measured near it.
 */
export function nearTime(data: MetricData, second: number): Reading | null {
  const gap = (STEPS_MAX * data.step_nano) / 1e9;
  const middle = middlesOf(data);
  const lines = data.series.flatMap((series) => {
    const points = wholePoints(series, data).map(({ time_unix_nano: time, value }) => {
      return { x: middle(secondsOf(time)), y: value };
    });
    const value = valueNear(points, second, gap);
    return value === null ? [] : [{ series, points, value, peak: Math.max(...points.map(({ y }) => y)) }];
  });
  const [highest] = lines.sort((a, b) => b.value - a.value || b.peak - a.peak);
  if (highest === undefined) return null;
  const { series, points, value } = highest;
  const equals = lines.filter((line) => line.value === value).length - 1;
  const label = shortLabel(series.labels);
  return {
    points,
    gap,
    text: metricValue(data.metric, data.aggregation, value),
    // That others are at nothing, too, is not worth a word.
    label: label !== '' && equals > 0 && value !== 0 ? `${label} and ${equals} more` : label,
  };
}

/** The value nearest to a time; null where all are further away. */
function valueNear(points: readonly Point[], second: number, distanceMax: number): number | null {
  const distance = ({ x }: Point) => Math.abs(x - second);
  const [nearest] = [...points].sort((a, b) => distance(a) - distance(b));
  return nearest === undefined || distance(nearest) > distanceMax ? null : nearest.y;
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
      const { highest, title, by, metric } = wanted;
      return {
        ...wanted,
        title: highest || title,
        by: highest === '' ? '' : by,
        group: part.title,
        isUsual: KNOWN.includes(metric.name),
      };
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
      const all = { by: '', only: '', highest: '' };
      return { key: metricKey(metric), metric, title, agg, ...all, group: OWN_GROUP, isUsual };
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

/** A filter that a service made it, in one process if that is not empty, beside another filter. */
export function ofProcess(service: string, instance: string, only = ''): string {
  const condition = ofService(service, only);
  return instance === '' ? condition : setCondition(condition, `resource.${INSTANCE}`, '=', quote(instance));
}
