import type { TraceSummary } from './api/types';
import { duration } from './format';
import { titleOf } from './groups';
import { serviceColor } from './palette.svelte';
import { clockTime, nanosBetween, nanosOf } from './time';
import type { Colors } from './waterfall/colors';

/** Durations of traces over time: linear in time, logarithmic in duration. */
export interface Dot {
  x: number;
  y: number;
  trace: TraceSummary;
}

/**
 * The length of a bar, as a share: logarithmic, because one list holds microseconds and seconds. The shortest keeps a
 * bar that can be seen.
 */
export function logShare(nanos: number, shortest: number, longest: number): number {
  const low = Math.log10(Math.max(1, shortest)) - 0.3;
  const high = Math.max(low + 1, Math.log10(Math.max(1, longest)));
  return Math.min(1, Math.max(0.01, (Math.log10(Math.max(1, nanos)) - low) / (high - low)));
}

export interface DotChart {
  dots: Dot[];
  lines: { y: number; label: string }[];
  times: { x: number; label: string }[];
  longest: number;
  width: number;
  height: number;
}

const LEFT = 58;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 18;

export function layout(traces: readonly TraceSummary[], width: number, height: number): DotChart {
  const empty: DotChart = { dots: [], lines: [], times: [], longest: 0, width, height };
  const first = traces[0];
  if (!first || width < LEFT + RIGHT + 40) return empty;
  let oldest = first.start_unix_nano;
  let newest = first.start_unix_nano;
  let shortest = Infinity;
  let longest = 1;
  for (const { start_unix_nano: start, duration_nano: nanos } of traces) {
    if (nanosOf(start) < nanosOf(oldest)) oldest = start;
    if (nanosOf(start) > nanosOf(newest)) newest = start;
    shortest = Math.min(shortest, Math.max(1, nanos));
    longest = Math.max(longest, nanos);
  }
  const span = Math.max(1, nanosBetween(newest, oldest));
  const low = Math.floor(Math.log10(shortest));
  const high = Math.max(low + 1, Math.ceil(Math.log10(longest)));
  const xOf = (nanos: number) => LEFT + (nanos / span) * (width - LEFT - RIGHT);
  const yOf = (nanos: number) =>
    height - BOTTOM - ((Math.log10(Math.max(1, nanos)) - low) / (high - low)) * (height - TOP - BOTTOM);
  const dots = traces.map((trace) => ({
    x: xOf(nanosBetween(trace.start_unix_nano, oldest)),
    y: yOf(trace.duration_nano),
    trace,
  }));
  const step = Math.max(1, Math.ceil((high - low) / 4));
  const lines = [];
  for (let power = low; power <= high; power += step) {
    lines.push({ y: yOf(10 ** power), label: duration(10 ** power) });
  }
  const parts = Math.max(1, Math.floor((width - LEFT) / 160));
  const times: DotChart['times'] = [];
  for (let part = 0; part <= parts; part += 1) {
    const nanos = (span * part) / parts;
    const at = (nanosOf(oldest) + BigInt(Math.round(nanos))).toString();
    const label = clockTime(at).slice(0, span < 10e9 ? 12 : 8);
    // In too short a time one mark reads like the next.
    if (label !== times.at(-1)?.label) times.push({ x: xOf(nanos), label });
  }
  return { dots, lines, times, longest, width, height };
}

export function dotAt(chart: DotChart, x: number, y: number): Dot | null {
  let best: Dot | null = null;
  let distance = 12 ** 2;
  for (const dot of chart.dots) {
    const next = (dot.x - x) ** 2 + (dot.y - y) ** 2;
    if (next < distance) {
      distance = next;
      best = dot;
    }
  }
  return best;
}

/** A trace with errors is a cross in the error colour, the others are discs: shape tells, not only colour. */
export function drawDots(
  context: CanvasRenderingContext2D,
  chart: DotChart,
  hovered: Dot | null,
  colors: Colors,
): void {
  context.clearRect(0, 0, chart.width, chart.height);
  context.font = "11px 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif";
  context.textBaseline = 'middle';
  for (const line of chart.lines) {
    context.fillStyle = colors.grid;
    context.fillRect(LEFT, Math.round(line.y), chart.width - LEFT - RIGHT, 1);
    context.fillStyle = colors.muted;
    context.textAlign = 'right';
    context.fillText(line.label, LEFT - 8, line.y);
  }
  chart.times.forEach((time, index) => {
    context.textAlign = index === 0 ? 'left' : time.x > chart.width - RIGHT - 1 ? 'right' : 'center';
    context.fillText(time.label, time.x, chart.height - 7);
  });
  context.textAlign = 'left';
  for (const dot of chart.dots) if (dot.trace.error_count === 0) disc(context, dot, hovered, colors);
  for (const dot of chart.dots) if (dot.trace.error_count > 0) cross(context, dot, hovered, colors);
}

function disc(context: CanvasRenderingContext2D, dot: Dot, hovered: Dot | null, colors: Colors): void {
  context.globalAlpha = dot === hovered ? 1 : 0.8;
  context.fillStyle = serviceColor(titleOf(dot.trace).service || 'unknown service', colors.shade);
  context.beginPath();
  context.arc(dot.x, dot.y, dot === hovered ? 6 : 3.5, 0, Math.PI * 2);
  context.fill();
  context.globalAlpha = 1;
}

function cross(context: CanvasRenderingContext2D, dot: Dot, hovered: Dot | null, colors: Colors): void {
  const size = dot === hovered ? 6 : 4;
  context.strokeStyle = colors.error;
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(dot.x - size, dot.y - size);
  context.lineTo(dot.x + size, dot.y + size);
  context.moveTo(dot.x + size, dot.y - size);
  context.lineTo(dot.x - size, dot.y + size);
  context.stroke();
}
