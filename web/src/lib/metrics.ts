import type { Aggregation, Attribute, Metric, MetricData, MetricOverview, MetricSeries } from './api/types';
import { count as grouped, duration, signedBytes } from './format';
import { setCondition, setService } from './query/edit';
import { fieldName, literal } from './query/lexer';
import { nanosOf } from './time';
import { isComparable, keyOf, visible } from './values';

const AGGREGATIONS: Record<Aggregation, string> = {
  rate: 'a second',
  sum: 'sum',
  avg: 'mean',
  min: 'lowest',
  max: 'highest',
  count: 'number',
  p50: 'p50 (median)',
  p90: 'p90',
  p95: 'p95',
  p99: 'p99',
};

/** An aggregation in words; one that is not known, which an address may name, as it stands there. */
export function aggregationLabel(aggregation: string, kind?: Metric['kind']): string {
  // Of what is reported as a number these are the points, whatever was counted by them.
  if (aggregation === 'count' && (kind === 'sum' || kind === 'gauge')) return 'reports';
  return Object.hasOwn(AGGREGATIONS, aggregation)
    ? AGGREGATIONS[aggregation as Aggregation]
    : visible(aggregation);
}

/** What the menu of aggregations offers: without the number of reports of a counter, which reads like what it counted. */
export function offeredAggregations({ aggregations, kind, is_monotonic: grows }: Metric): Aggregation[] {
  return aggregations.filter((aggregation) => !(aggregation === 'count' && kind === 'sum' && grows));
}

/** What a menu offers, and what the address asks for where that is none of it: a menu shows what is asked. */
export function withAsked(offered: readonly string[], asked: string): string[] {
  return asked === '' || offered.includes(asked) ? [...offered] : [...offered, asked];
}

/** The choices of the menu that divides a metric, as values of `by` with words, and which of them the address means. */
export interface Divisions {
  choices: { value: string; label: string }[];
  chosen: string;
}

/**
 * What a metric with these attributes can be divided by. An address may name a key without `point.` or `resource.`,
 * which the API looks for on points first, several keys, or one that is not listed; that is a choice, too.
 */
export function divisionsOf(keys: readonly string[], by: string): Divisions {
  const choices = [
    { value: '', label: 'all series together' },
    { value: 'resource.service.name', label: 'by service' },
    { value: 'resource.service.instance.id', label: 'by process' },
    ...keys.map((key) => ({ value: `point.${key}`, label: `by ${visible(key)}` })),
  ];
  const isOffered = (value: string) => choices.some((choice) => choice.value === value);
  const chosen = [by, `point.${by}`, `resource.${by}`].find(isOffered);
  if (chosen !== undefined) return { choices, chosen };
  const named = by.split(',').map((key) => visible(withoutScope(key.trim())));
  return { choices: [...choices, { value: by, label: `by ${named.join(', ')}` }], chosen: by };
}

/** The key of an attribute as it is stored, of one that may say where to look for it. */
function withoutScope(key: string): string {
  return key.replace(/^(point|resource)\./, '');
}

/** Tells a metric from the others: the same name with another kind or unit is another one. */
export function metricKey({ name, kind, unit, is_monotonic: grows }: Metric): string {
  return keyOf(name, kind, unit, grows);
}

/** What names a metric in an address. */
export function metricParams(metric: Metric): Record<'name' | 'kind' | 'unit' | 'monotonic', string> {
  return { name: metric.name, ...chosenBy(metric) };
}

/** What tells the API which of several metrics of a name is meant. */
export function chosenBy(metric: Metric): Record<'kind' | 'unit' | 'monotonic', string> {
  const { kind, unit, is_monotonic: grows } = metric;
  return { kind, unit, monotonic: kind === 'sum' ? String(grows) : '' };
}

/** The metric that an address names: of several of the name the one that agrees with most of what else it says. */
export function findMetric(all: readonly MetricOverview[], params: URLSearchParams): MetricOverview | null {
  const named = all.filter(({ metric }) => metric.name === params.get('name'));
  // An address that says more has no `unit` where that is empty.
  if (!params.has('kind')) return named[0] ?? null;
  // The kind says more than the unit, and that more than the rest.
  const agreement = ({ metric }: MetricOverview) =>
    Object.entries(chosenBy(metric)).reduce(
      (sum, [key, value]) => 2 * sum + Number((params.get(key) ?? '') === value),
      0,
    );
  return [...named].sort((a, b) => agreement(b) - agreement(a))[0] ?? null;
}

/** Seconds in a unit of time as UCUM writes it. */
const SECONDS: Record<string, number> = { s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9, min: 60, h: 3600, d: 86_400 };

/** Whether an aggregation counts instead of measuring, so that the unit is not that of the metric. */
export function counts(metric: Metric, aggregation: Aggregation): boolean {
  if (aggregation === 'count') return true;
  return aggregation === 'rate' && metric.kind !== 'sum';
}

/** A value of a metric for people: with its unit, and a second where it is a rate; three digits and `more`. */
export function metricValue(metric: Metric, aggregation: Aggregation, value: number, more = 0): string {
  if (!Number.isFinite(value)) return '?';
  const each = aggregation === 'rate' ? '/s' : '';
  if (counts(metric, aggregation)) return `${compact(value, more)}${each}`;
  const { unit } = metric;
  const seconds = SECONDS[unit];
  if (seconds !== undefined) {
    // Time that is spent a second is a part of one core, worker or thread.
    if (aggregation === 'rate') return `${compact(value * seconds * 100, more)} %`;
    return duration(value * seconds * 1e9, more);
  }
  if (unit === 'By' || unit === 'KiBy' || unit === 'MiBy') {
    const factor = unit === 'By' ? 1 : unit === 'KiBy' ? 1024 : 1024 * 1024;
    return `${signedBytes(value * factor, more)}${each}`;
  }
  if (unit === '1' && isPart(metric.name)) return `${compact(value * 100, more)} %`;
  const plain = unit === '1' ? '' : /^\{.*\}$/.test(unit) ? '' : ` ${unit}`;
  return `${compact(value, more)}${plain}${each}`;
}

/** Digits beyond three that are tried for the marks of a scale: doubles have no more. */
const MORE_MAX = 12;

/**
 * The marks of a chart's scale of values, with as many digits as show how far each is from the next. Zero is without a
 * unit: it would have the smallest, whatever the others have.
 */
export function axisMarks(
  metric: Metric,
  aggregation: Aggregation,
  marks: readonly (number | null)[],
): string[] {
  const text = (mark: number, more: number) =>
    mark === 0 ? '0' : metricValue(metric, aggregation, mark, more);
  const pairs = marks.slice(1).flatMap((mark, place) => {
    const before = marks[place] ?? null;
    return mark === null || before === null || mark === before ? [] : [[before, mark] as const];
  });
  /** Whether a mark can be told from a value that is this part of the way to the next one away. */
  const tells = (part: number) => (more: number) =>
    pairs.every(([a, b]) =>
      [a, b].every((mark) => text(mark, more) !== text(mark + (b - a) * part * (mark === a ? 1 : -1), more)),
    );
  const tried = Array.from({ length: MORE_MAX + 1 }, (_, more) => more);
  // A quarter, so that a rounded mark is near its place; what is counted in whole bytes may have no quarter.
  const more = tried.find(tells(1 / 4)) ?? tried.find(tells(1)) ?? 0;
  return marks.map((mark) => (mark === null ? '' : text(mark, more)));
}

/** Whether a metric without a dimension is a part of a whole, by its name; others are mostly counts of things. */
function isPart(name: string): boolean {
  return /(^|[._])(utilization|ratio|fraction)$/i.test(name);
}

/** Whether the values of an aggregation are measured in the unit of the metric, as its exemplars are. */
export function hasOwnUnit(metric: Metric, aggregation: Aggregation): boolean {
  return aggregation !== 'rate' && !counts(metric, aggregation);
}

/** The value of an exemplar for people: one that was measured, whatever is made of all of them. */
export function exemplarValue(metric: Metric, value: number): string {
  return metricValue(metric, 'max', value);
}

/** A unit of UCUM for people: what stands in braces is a word, and `1` is no unit. */
export function unitLabel(unit: string): string {
  if (unit === '1') return '';
  return unit === 'By' ? 'bytes' : unit.replace(/^\{(.*)\}$/, '$1');
}

/** Three significant digits and `more`, thousands as `k`, millions as `M`. */
export function compact(value: number, more = 0): string {
  const size = Math.abs(value);
  for (const [factor, suffix] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e4, 'k'],
  ] as const) {
    if (size >= factor) return `${digits(value / (suffix === 'k' ? 1e3 : factor), more)} ${suffix}`;
  }
  return digits(value, more);
}

function digits(value: number, more: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Number(value.toFixed(more)));
  return String(Number(value.toPrecision(3 + more)));
}

/** What tells one series from the others, if there are any. */
export function seriesLabel(labels: readonly Attribute[], hasOthers = false): string {
  if (labels.length === 0) return hasOthers ? 'without the attribute' : 'all series together';
  return labels.map(({ key, value }) => `${withoutScope(key)} = ${visible(String(value))}`).join(', ');
}

/** The same for a place where the keys are known: the values alone. */
export function shortLabel(labels: readonly Attribute[]): string {
  return labels.map(({ value }) => visible(String(value))).join(' · ');
}

/** Exemplars of a line that an answer has at most: the newest, one for each step. */
export const EXEMPLARS_MAX = 100;

/** What is added up over a step says too little while that is not over. */
const OF_WHOLE_STEPS: readonly Aggregation[] = ['rate', 'sum', 'count'];

/** What clients measured may come so much later: the interval of export that they have by default, and the way. */
const REPORTED_AFTER_MS = 6000;

/** The points of a series without those of steps that are not over, or not reported yet, where these would mislead. */
export function wholePoints(series: MetricSeries, data: MetricData): MetricSeries['points'] {
  const isAdded = OF_WHOLE_STEPS.includes(data.aggregation) && data.metric.kind !== 'gauge';
  if (!isAdded) return series.points;
  const reported = BigInt(Date.now() - REPORTED_AFTER_MS) * 1_000_000n;
  const to = nanosOf(data.to_unix_nano);
  const end = (to < reported ? to : reported) - BigInt(data.step_nano);
  return series.points.filter(({ time_unix_nano: time }) => nanosOf(time) <= end);
}

/** An answer without the series that have nothing in the time asked for, and how many these are. */
export function withPoints(data: MetricData): { shown: MetricData; empty: number } {
  const series = data.series.filter(({ points, exemplars }) => points.length + exemplars.length > 0);
  return { shown: { ...data, series }, empty: data.series.length - series.length };
}

/** Whether the steps are parts of what came, which together are all of it. */
function addsUp({ aggregation, metric }: MetricData): boolean {
  const adds =
    metric.kind === 'sum' ? metric.is_monotonic && aggregation !== 'count' : metric.kind !== 'gauge';
  return adds && OF_WHOLE_STEPS.includes(aggregation);
}

/**
 * What came in all the time asked for: of a counter what was added to it, of a distribution how many values, or their
 * sum. Null where what is shown does not add up.
 */
export function totalOf(series: MetricSeries, data: MetricData): number | null {
  const { aggregation, metric } = data;
  const adds =
    metric.kind === 'sum' ? metric.is_monotonic && aggregation !== 'count' : metric.kind !== 'gauge';
  if (!adds || !OF_WHOLE_STEPS.includes(aggregation)) return null;
  const each = aggregation === 'rate' ? data.step_nano / 1e9 : 1;
  return series.points.reduce((sum, { value }) => sum + value * each, 0);
}

/** A total for people: what is counted in whole, and not as a rate. */
export function totalText(metric: Metric, aggregation: Aggregation, total: number): string {
  const counted = aggregation !== 'sum' && metric.kind !== 'sum';
  const isScaled = metric.unit in SECONDS || /^([KM]i)?By$/.test(metric.unit);
  if (!counted && isScaled) return metricValue(metric, 'sum', total);
  // Parts come of points whose time is only partly in what was asked for.
  return grouped(Number(total.toFixed(Math.abs(total) >= 100 ? 0 : 2)));
}

/** A mark of the time axis, as precise as the marks are apart (in seconds). */
export function tickTime(second: number, apart: number): string {
  const date = new Date(Math.round(second * 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (apart >= 86_400) return day;
  if (apart >= 3600 && date.getHours() === 0) return day;
  if (apart >= 60) return time;
  // A double of seconds has no exact thousandths.
  const millis = Math.round(second * 1000) % 1000;
  const part = apart >= 1 ? '' : `.${String(millis).padStart(3, '0')}`;
  return `${time}:${two(date.getSeconds())}${part}`;
}

/**
 * Gives where a value of a step is drawn that begins at a time in seconds: in the middle of what of the step is within the
 * time shown. At its begin it would stand before what it was made of, and a line would come from outside of the chart.
 */
export function middlesOf(data: MetricData): (second: number) => number {
  const from = Number(nanosOf(data.from_unix_nano)) / 1e9;
  const to = Number(nanosOf(data.to_unix_nano)) / 1e9;
  const step = data.step_nano / 1e9;
  return (second) => (Math.max(second, from) + Math.min(second + step, to)) / 2;
}

/**
 * Lines over the same times, as a chart wants them: seconds, then a column for each series. `null` is a gap;
 * `undefined` is a time that only other series have, over which a line goes on.
 */
export function columns(data: MetricData): (number | null | undefined)[][] {
  const times = new Set<number>();
  const lines = data.series.map((one) => {
    const points = wholePoints(one, data).map(({ time_unix_nano: time, value }) => ({
      second: Number(nanosOf(time)) / 1e9,
      value,
    }));
    // A time without any point is a gap, not a line from one side to the other; but what is measured less often than
    // there are steps has none. What adds up has been spread over the steps it came in: in the others there was nothing.
    const step = data.step_nano / 1e9;
    const usual = addsUp(data) ? step : Math.max(step, usualDistance(points.map(({ second }) => second)));
    const line = new Map<number, number | null>();
    const gaps: [number, number][] = [];
    points.forEach(({ second, value }, index) => {
      const before = points[index - 1]?.second ?? second;
      // What is measured a little less often than there are steps is in some of them and not in the next.
      if (second - before > Math.max(1.5 * usual, 2 * step)) {
        line.set(before + usual, null);
        gaps.push([before, second]);
      }
      line.set(second, value);
    });
    for (const time of line.keys()) times.add(time);
    return { line, gaps };
  });
  const all = [...times].sort((a, b) => a - b);
  // The times of others within a gap are gaps, too: a line would go on over them.
  const isGap = (gaps: [number, number][], time: number) =>
    gaps.some(([from, to]) => from < time && time < to);
  const column = ({ line, gaps }: (typeof lines)[number]) =>
    all.map((time) => line.get(time) ?? (isGap(gaps, time) ? null : undefined));
  return [all.map(middlesOf(data)), ...lines.map(column)];
}

/** Places of a column that no line leads to or from: a point of its own has to show them. */
export function lonePoints(column: readonly (number | null | undefined)[]): number[] {
  const known = column.flatMap((value, place) => (value === undefined ? [] : [{ value, place }]));
  const isGap = (at: number) => (known[at]?.value ?? null) === null;
  return known.flatMap(({ place }, at) => (!isGap(at) && isGap(at - 1) && isGap(at + 1) ? [place] : []));
}

/** The median distance between times; 0 of fewer than three, which tell of no habit. */
function usualDistance(times: readonly number[]): number {
  if (times.length < 3) return 0;
  const distances = times.slice(1).map((time, index) => time - times[index]!);
  return distances.sort((a, b) => a - b)[Math.floor(distances.length / 2)] ?? 0;
}

/**
 * A filter that also leaves the other lines of a metric out, of one that is divided by the attributes `by` as the API
 * takes them; null where the language cannot compare with what tells them apart.
 */
export function onlyLine(filter: string, by: string, labels: readonly Attribute[]): string | null {
  if (by.trim() === '' || !labels.every(isComparable)) return null;
  return by
    .split(',')
    .map((key) => key.trim())
    .reduce((text, key) => {
      const label = labels.find((one) => one.key === key);
      const [, scope = '', bare = key] = /^(point|resource)\.(.*)$/.exec(key) ?? [];
      return setCondition(
        text,
        fieldName(scope, bare),
        '=',
        label ? literal(label.type, label.value) : 'nil',
      );
    }, filter);
}

/** A filter that a service made it, beside another filter; an empty service is any. */
export function ofService(service: string, only = ''): string {
  return setService(only, service || null);
}
