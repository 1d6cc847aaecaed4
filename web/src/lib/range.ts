import { compareNanos, nanosFromMillis } from './time';

/** A time range as the address holds it: a span back from now, or two fixed ends in Unix milliseconds. */
export interface Range {
  /** Key of a preset; empty when the ends are fixed, or for any time. */
  last: string;
  fromMillis: number | null;
  toMillis: number | null;
}

export const PRESETS: readonly { key: string; label: string; seconds: number }[] = [
  { key: '5m', label: 'Last 5 minutes', seconds: 300 },
  { key: '15m', label: 'Last 15 minutes', seconds: 900 },
  { key: '1h', label: 'Last hour', seconds: 3600 },
  { key: '6h', label: 'Last 6 hours', seconds: 21_600 },
  { key: '24h', label: 'Last 24 hours', seconds: 86_400 },
  { key: '7d', label: 'Last 7 days', seconds: 604_800 },
];

export function rangeFrom(params: URLSearchParams): Range {
  const preset = PRESETS.find(({ key }) => key === params.get('last'));
  if (preset) return { last: preset.key, fromMillis: null, toMillis: null };
  return { last: '', fromMillis: millis(params.get('from')), toMillis: millis(params.get('to')) };
}

/** The range of a page that cannot show any time: without one in the address, a preset. */
export function rangeOr(params: URLSearchParams, preset: string): Range {
  const given = rangeFrom(params);
  const isGiven = given.last !== '' || given.fromMillis !== null || given.toMillis !== null;
  return isGiven ? given : { last: preset, fromMillis: null, toMillis: null };
}

function millis(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

interface Bounds {
  from: string | null;
  to: string | null;
}

/** The ends to ask the API for, at the moment of asking; nothing before `since`, where that is given. */
export function bounds(range: Range, nowMillis: number, since: string | null = null): Bounds {
  const preset = PRESETS.find(({ key }) => key === range.last);
  const fromMillis = preset ? nowMillis - preset.seconds * 1000 : range.fromMillis;
  const from = fromMillis === null ? null : nanosFromMillis(fromMillis);
  return {
    from: from === null || (since !== null && compareNanos(since, from) > 0) ? since : from,
    to: preset || range.toMillis === null ? null : nanosFromMillis(range.toMillis),
  };
}

/** A chart of less than a minute would change its scale with every look at it. */
const CHART_MIN_MS = 60_000;

/**
 * The ends of charts and rates: where a span back from now is longer than anything has been stored, it begins with the
 * `oldest`, so that the first minutes of a backend are not a corner of a quarter of an hour.
 */
export function chartBounds(range: Range, nowMillis: number, oldest: string | null): Bounds {
  if (range.last === '' || oldest === null) return bounds(range, nowMillis);
  const latest = nanosFromMillis(nowMillis - CHART_MIN_MS);
  return bounds(range, nowMillis, compareNanos(oldest, latest) > 0 ? latest : oldest);
}

export function rangeParams(range: Range): Record<string, string | null> {
  return {
    last: range.last || null,
    from: range.last || range.fromMillis === null ? null : String(range.fromMillis),
    to: range.last || range.toMillis === null ? null : String(range.toMillis),
  };
}

/** Whether new records can still fall into it. */
export function isOpenEnded(range: Range): boolean {
  return range.last !== '' || range.toMillis === null;
}
