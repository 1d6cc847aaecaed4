import type { Operation, OperationStep, Operations } from './api/types';
import { quote } from './query/lexer';
import { filled, type Point } from './sparkline';
import { nanosOf } from './time';

/** Seconds, precise enough to tell steps apart. */
export const secondsOf = (nanos: string): number => Number(nanosOf(nanos) / 1_000_000n) / 1000;

/** The time an answer is about, in seconds; without a last step that has only begun. */
export function extent(data: Operations): { from: number; to: number; step: number } {
  const step = data.step_nano / 1e9;
  const from = secondsOf(data.from_unix_nano);
  const steps = Math.floor((secondsOf(data.to_unix_nano) - from) / step);
  return { from, to: from + Math.max(1, steps) * step, step };
}

/** What was counted in every step, as points of a line. */
export function counted(
  operation: Operation,
  data: Operations,
  of: (step: OperationStep) => number,
): Point[] {
  const { from, to, step } = extent(data);
  const known = new Map(operation.steps.map((one) => [secondsOf(one.time_unix_nano), of(one)]));
  return filled(known, from, to, step);
}

/** What was measured in the steps that have any, as points of a line. */
export function measured(
  operation: Operation,
  data: Operations,
  of: (step: OperationStep) => number,
): Point[] {
  const { to } = extent(data);
  const points = operation.steps.map((step) => ({ x: secondsOf(step.time_unix_nano), y: of(step) }));
  return points.filter(({ x }) => x < to);
}

/** What operations come to together. */
export function sumOf(operations: readonly Operation[]): {
  count: number;
  rate: number;
  failed: number;
  services: number;
} {
  const services = new Set(operations.map(({ service }) => service));
  const add = (of: (operation: Operation) => number) =>
    operations.reduce((sum, operation) => sum + of(operation), 0);
  return {
    count: add(({ count }) => count),
    rate: add(({ rate }) => rate),
    failed: add(({ error_count: errors }) => errors),
    services: services.size,
  };
}

/** A filter that finds the spans of an operation; those alone that took so long or longer, where that is given. */
export function filterOf({ service, name, kind }: Operation, leastNanos?: number): string {
  const slow = leastNanos === undefined ? '' : ` && duration >= ${literalOf(leastNanos)}`;
  return `{ resource.service.name = ${quote(service)} && name = ${quote(name)} && kind = ${kind}${slow} }`;
}

/** A filter that finds the traces that begin with an operation and have a failed span, whichever that is. */
export function failedWithin({ service, name }: Operation): string {
  return `{ rootServiceName = ${quote(service)} && rootName = ${quote(name)} && status = error }`;
}

/**
 * What the spans took at least that a quantile is the duration of. It is the middle of a bucket, a sixty-fourth above
 * the lowest number of it at most; the spans in it may all be shorter than the quantile.
 */
export function leastOf(quantileNanos: number): number {
  return Math.ceil(quantileNanos - quantileNanos / 64);
}

const UNITS = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'us'],
] as const;

/** A duration as the filter language writes it, rounded down to three digits. */
function literalOf(nanos: number): string {
  const digit = 10 ** Math.max(0, String(nanos).length - 3);
  const least = Math.floor(nanos / digit) * digit;
  const [size, unit] = UNITS.find(([size]) => least >= size) ?? [1, 'ns'];
  return `${least / size}${unit}`;
}

/** The sum of an attribute, and how much it is for each span of the operation. */
export function totalOf(operation: Operation, key: string): { sum: number; each: number } {
  const found = operation.attributes.find((attribute) => attribute.key === key);
  if (!found) return { sum: 0, each: 0 };
  // Where nothing happened a span has no such attribute; it counts as none.
  return { sum: found.sum, each: operation.count > 0 ? found.sum / operation.count : 0 };
}
