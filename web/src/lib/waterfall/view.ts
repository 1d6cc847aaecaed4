/** The part of the trace's time that is on display, in nanoseconds since its start. */
export interface View {
  from: number;
  to: number;
}

/** Below this many nanoseconds there is nothing left to see. */
const SHORTEST = 10;

export function fullView(duration: number): View {
  return { from: 0, to: Math.max(duration, 1) };
}

export function isFull(view: View, duration: number): boolean {
  return view.from <= 0 && view.to >= Math.max(duration, 1);
}

export function clampView(view: View, duration: number): View {
  const whole = Math.max(duration, 1);
  const width = Math.min(whole, Math.max(view.to - view.from, Math.min(SHORTEST, whole)));
  const from = Math.min(Math.max(view.from, 0), whole - width);
  return { from, to: from + width };
}

/** Zooms by `factor` (below 1: closer) around the time at `share` of the width. */
export function zoom(view: View, factor: number, share: number, duration: number): View {
  const width = view.to - view.from;
  const centre = view.from + width * share;
  const next = width * factor;
  return clampView({ from: centre - next * share, to: centre + next * (1 - share) }, duration);
}

export function pan(view: View, nanos: number, duration: number): View {
  return clampView({ from: view.from + nanos, to: view.to + nanos }, duration);
}

/** A span with some room around it. */
export function viewOfSpan(start: number, end: number, duration: number): View {
  const room = Math.max((end - start) * 0.08, SHORTEST);
  return clampView({ from: start - room, to: end + room }, duration);
}

/** Round times for grid lines, about `count` of them. */
export function ticks(view: View, count: number): number[] {
  const width = view.to - view.from;
  if (!(width > 0) || count < 1) return [];
  const raw = width / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10) * power;
  const result: number[] = [];
  for (let index = Math.ceil(view.from / step); index * step <= view.to; index += 1)
    result.push(index * step);
  return result;
}

/** The whole trace in an address, of one that opens with a part of it. */
const ALL = 'all';

/** `12-80` in nanoseconds, for the address; empty for what is shown at `first`, `all` for the whole trace if that is a part. */
export function viewToText(view: View, duration: number, first = fullView(duration)): string {
  if (Math.round(view.from) === first.from && Math.round(view.to) === first.to) return '';
  if (isFull(view, duration)) return isFull(first, duration) ? '' : ALL;
  return `${Math.round(view.from)}-${Math.round(view.to)}`;
}

/** The part of a trace that an address says, or what is shown at `first`. */
export function viewFromText(text: string | null, duration: number, first = fullView(duration)): View {
  if (text === ALL) return fullView(duration);
  const match = /^(\d+)-(\d+)$/.exec(text ?? '');
  if (!match) return first;
  const view = { from: Number(match[1]), to: Number(match[2]) };
  return view.to > view.from ? clampView(view, duration) : first;
}
