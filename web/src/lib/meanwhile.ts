import type { MetricData } from './api/types';
import { metricValue, wholePoints } from './metrics';
import { secondsOf } from './operations';
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
