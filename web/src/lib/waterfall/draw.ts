import { duration as formatDuration, timeMark } from '../format';
import { serviceColor } from '../palette.svelte';
import { nanosOf } from '../time';
import { visible } from '../values';
import type { Colors } from './colors';
import { ellipsize } from './text';
import { serviceAt, spanAt, stateText, type LogMark, type TraceTree } from './tree';
import { ticks, type View } from './view';

export const ROW_HEIGHT = 24;
export const RULER_HEIGHT = 26;
const INDENT = 13;
const CARET_WIDTH = 14;
const BAR_HEIGHT = 12;
const LABEL_GUTTER = 64;
/** Beyond the end of a bar that has none: strokes that fade away. */
const FADE_STROKES = 6;
const FADE_STEP = 5;
const FONT = "12px 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif";

export interface Scene {
  tree: TraceTree;
  rows: Int32Array;
  collapsed: ReadonlySet<number>;
  view: View;
  width: number;
  height: number;
  nameWidth: number;
  scrollTop: number;
  selected: number;
  hovered: number;
  /** Rows that match the search, ascending; null when there is no search. */
  matches: ReadonlySet<number> | null;
  logs: ReadonlyMap<number, LogMark[]>;
  /** A range being dragged, in pixels from the left edge of the bars. */
  drag: { from: number; to: number } | null;
  /** Where the pointer is, in pixels from the left; null when it is elsewhere. */
  pointerX: number | null;
  colors: Colors;
}

/** Horizontal room for bars, and the left edge of it. */
export function barArea(scene: Pick<Scene, 'width' | 'nameWidth'>): { left: number; width: number } {
  const left = scene.nameWidth + 8;
  // The gutter on the right holds the duration of a bar that ends with the trace.
  return { left, width: Math.max(20, scene.width - left - LABEL_GUTTER) };
}

export function indentOf(depth: number, nameWidth: number): number {
  return Math.min(depth * INDENT, Math.max(0, nameWidth - 110));
}

export function drawWaterfall(context: CanvasRenderingContext2D, scene: Scene): void {
  const { width, height, colors } = scene;
  context.fillStyle = colors.background;
  context.fillRect(0, 0, width, height);
  context.font = FONT;
  context.textBaseline = 'middle';
  const lines = ticks(scene.view, Math.max(2, Math.floor(barArea(scene).width / 110)));
  drawGrid(context, scene, lines);
  const first = Math.max(0, Math.floor(scene.scrollTop / ROW_HEIGHT));
  const last = Math.min(
    scene.rows.length - 1,
    Math.floor((scene.scrollTop + height - RULER_HEIGHT) / ROW_HEIGHT),
  );
  for (let index = first; index <= last; index += 1) {
    const top = RULER_HEIGHT + index * ROW_HEIGHT - scene.scrollTop;
    drawRow(context, scene, scene.rows[index]!, top);
  }
  context.fillStyle = colors.line;
  context.fillRect(scene.nameWidth, 0, 1, height);
  drawRuler(context, scene, lines);
  drawPointer(context, scene);
  drawDrag(context, scene);
}

function drawGrid(context: CanvasRenderingContext2D, scene: Scene, lines: number[]): void {
  context.fillStyle = scene.colors.grid;
  for (const time of lines) {
    context.fillRect(Math.round(xOf(scene, time)), RULER_HEIGHT, 1, scene.height);
  }
}

function xOf(scene: Scene, time: number): number {
  const area = barArea(scene);
  return area.left + ((time - scene.view.from) / (scene.view.to - scene.view.from)) * area.width;
}

function drawRuler(context: CanvasRenderingContext2D, scene: Scene, lines: number[]): void {
  const { colors, width } = scene;
  context.fillStyle = colors.ruler;
  context.fillRect(0, 0, width, RULER_HEIGHT);
  context.fillStyle = colors.line;
  context.fillRect(0, RULER_HEIGHT - 1, width, 1);
  context.fillRect(scene.nameWidth, 0, 1, RULER_HEIGHT);
  context.fillStyle = colors.muted;
  context.fillText('Service and operation', 10, RULER_HEIGHT / 2);
  const step = lines.length > 1 ? lines[1]! - lines[0]! : scene.view.to - scene.view.from;
  for (const time of lines) {
    const x = Math.round(xOf(scene, time));
    context.fillStyle = colors.line;
    context.fillRect(x, RULER_HEIGHT - 7, 1, 6);
    const label = timeMark(time, step);
    const labelWidth = context.measureText(label).width;
    if (x + 4 + labelWidth > width) continue;
    context.fillStyle = colors.muted;
    context.fillText(label, x + 4, RULER_HEIGHT / 2);
  }
}

/** A line under the pointer, and its time in the ruler. */
function drawPointer(context: CanvasRenderingContext2D, scene: Scene): void {
  const { left, width: areaWidth } = barArea(scene);
  const x = scene.pointerX;
  if (x === null || x < left || x > left + areaWidth) return;
  const time = scene.view.from + ((x - left) / areaWidth) * (scene.view.to - scene.view.from);
  // Ten pixels are about as exact as a hand is.
  const label = timeMark(time, ((scene.view.to - scene.view.from) / areaWidth) * 10);
  const labelWidth = context.measureText(label).width + 10;
  const labelLeft = Math.min(Math.max(x - labelWidth / 2, left - 6), scene.width - labelWidth - 2);
  context.fillStyle = scene.colors.accent;
  context.globalAlpha = 0.55;
  context.fillRect(Math.round(x), RULER_HEIGHT, 1, scene.height);
  context.globalAlpha = 1;
  context.fillRect(labelLeft, 3, labelWidth, RULER_HEIGHT - 7);
  context.fillStyle = scene.colors.onAccent;
  context.fillText(label, labelLeft + 5, RULER_HEIGHT / 2);
}

function drawDrag(context: CanvasRenderingContext2D, scene: Scene): void {
  if (!scene.drag) return;
  const { left } = barArea(scene);
  const from = left + Math.min(scene.drag.from, scene.drag.to);
  const width = Math.abs(scene.drag.to - scene.drag.from);
  context.globalAlpha = 0.18;
  context.fillStyle = scene.colors.accent;
  context.fillRect(from, 0, width, scene.height);
  context.globalAlpha = 1;
  context.fillRect(from, 0, 1, scene.height);
  context.fillRect(from + width, 0, 1, scene.height);
}

function drawRow(context: CanvasRenderingContext2D, scene: Scene, row: number, top: number): void {
  const { colors, width } = scene;
  if (row === scene.selected || row === scene.hovered) {
    context.fillStyle = row === scene.selected ? colors.selected : colors.hover;
    context.fillRect(0, top, width, ROW_HEIGHT);
  }
  if (row === scene.selected) {
    context.fillStyle = colors.accent;
    context.fillRect(0, top, 3, ROW_HEIGHT);
  }
  const dim = scene.matches !== null && !scene.matches.has(row);
  context.globalAlpha = dim ? 0.38 : 1;
  drawName(context, scene, row, top);
  context.save();
  context.beginPath();
  context.rect(scene.nameWidth + 1, top, width - scene.nameWidth - 1, ROW_HEIGHT);
  context.clip();
  drawBar(context, scene, row, top);
  context.restore();
  context.globalAlpha = 1;
}

function drawName(context: CanvasRenderingContext2D, scene: Scene, row: number, top: number): void {
  const { tree, colors, nameWidth } = scene;
  const middle = top + ROW_HEIGHT / 2;
  const depth = tree.depth[row]!;
  const indent = indentOf(depth, nameWidth);
  context.fillStyle = colors.grid;
  for (let level = 1; level <= depth && level * INDENT <= indent; level += 1) {
    context.fillRect(8 + level * INDENT - 7, top, 1, ROW_HEIGHT);
  }
  let x = 8 + indent;
  if (tree.children[row]! > 0) drawCaret(context, colors, x, middle, scene.collapsed.has(row));
  x += CARET_WIDTH;
  const service = serviceAt(tree, row);
  context.fillStyle = serviceColor(service, colors.shade);
  context.fillRect(x, top + 5, 3, ROW_HEIGHT - 10);
  x += 8;
  if (tree.error[row]) x += drawErrorMark(context, colors, x, middle);
  const room = nameWidth - x - 6;
  const name = visible(spanAt(tree, row).name) || '(no name)';
  const parent = tree.parent[row]!;
  const tells = parent < 0 || serviceAt(tree, parent) !== service;
  const suffix = suffixOf(scene, row);
  const nameText = ellipsize(context, name, Math.max(24, room - (suffix ? 34 : 0)));
  if (scene.matches?.has(row)) {
    context.fillStyle = colors.match;
    context.fillRect(x - 2, top + 4, context.measureText(nameText).width + 4, ROW_HEIGHT - 8);
  }
  context.fillStyle = colors.text;
  context.fillText(nameText, x, middle);
  x += context.measureText(nameText).width + 7;
  const extra = [suffix, tells ? visible(service) : '', tree.orphan[row] ? 'parent missing' : '']
    .filter(Boolean)
    .join('  ');
  if (extra && nameWidth - x > 24) {
    context.fillStyle = colors.muted;
    context.fillText(ellipsize(context, extra, nameWidth - x - 6), x, middle);
  }
}

/** What a folded row hides. */
function suffixOf(scene: Scene, row: number): string {
  if (!scene.collapsed.has(row)) return '';
  const errors = scene.tree.errorsBelow[row]!;
  return `+${scene.tree.size[row]! - 1}${errors > 0 ? `, ${errors} failed` : ''}`;
}

function drawCaret(
  context: CanvasRenderingContext2D,
  colors: Colors,
  x: number,
  middle: number,
  folded: boolean,
): void {
  context.fillStyle = colors.muted;
  context.beginPath();
  if (folded) {
    context.moveTo(x + 2, middle - 4);
    context.lineTo(x + 8, middle);
    context.lineTo(x + 2, middle + 4);
  } else {
    context.moveTo(x + 1, middle - 3);
    context.lineTo(x + 9, middle - 3);
    context.lineTo(x + 5, middle + 3);
  }
  context.fill();
}

function drawErrorMark(context: CanvasRenderingContext2D, colors: Colors, x: number, middle: number): number {
  context.fillStyle = colors.error;
  context.beginPath();
  context.arc(x + 6, middle, 6, 0, Math.PI * 2);
  context.fill();
  context.fillStyle = colors.background;
  context.fillRect(x + 5, middle - 4, 2, 5);
  context.fillRect(x + 5, middle + 2, 2, 2);
  return 17;
}

function drawBar(context: CanvasRenderingContext2D, scene: Scene, row: number, top: number): void {
  const { tree, colors, width } = scene;
  const from = xOf(scene, tree.start[row]!);
  const to = xOf(scene, tree.end[row]!);
  const area = barArea(scene);
  const barTop = top + (ROW_HEIGHT - BAR_HEIGHT) / 2;
  // Far outside the view a coordinate may exceed what a canvas can take.
  const left = Math.max(from, scene.nameWidth - 20);
  const right = Math.min(to, width + 20);
  if (right < area.left - 8) return drawOutside(context, scene, row, top, 'before');
  if (left > width) return drawOutside(context, scene, row, top, 'after');
  const barWidth = Math.max(2, right - left);
  context.fillStyle = serviceColor(serviceAt(tree, row), colors.shade);
  const round = Math.min(2.5, barWidth / 2);
  context.beginPath();
  context.roundRect(left, barTop, barWidth, BAR_HEIGHT, tree.open[row] ? [round, 0, 0, round] : round);
  context.fill();
  const fade = tree.open[row] ? drawOpenEnd(context, left + barWidth, barTop) : 0;
  if (tree.error[row]) drawErrorStripe(context, colors, left, barTop, barWidth);
  drawMarks(context, scene, row, barTop);
  drawDurationLabel(context, scene, row, top, left, left + barWidth, fade);
}

/** The span goes on, or did when it was last heard of. How far this reaches. */
function drawOpenEnd(context: CanvasRenderingContext2D, from: number, top: number): number {
  const alpha = context.globalAlpha;
  for (let stroke = 0; stroke < FADE_STROKES; stroke += 1) {
    context.globalAlpha = alpha * (0.85 - (0.75 * stroke) / FADE_STROKES);
    const x = from + 2 + stroke * FADE_STEP;
    context.beginPath();
    context.moveTo(x, top + BAR_HEIGHT);
    context.lineTo(x + 3, top);
    context.lineTo(x + 6, top);
    context.lineTo(x + 3, top + BAR_HEIGHT);
    context.fill();
  }
  context.globalAlpha = alpha;
  return 2 + FADE_STROKES * FADE_STEP;
}

/** A failed span is underlined in the error colour, beside the mark at its name. */
function drawErrorStripe(
  context: CanvasRenderingContext2D,
  colors: Colors,
  left: number,
  top: number,
  width: number,
): void {
  context.fillStyle = colors.background;
  context.fillRect(left, top + BAR_HEIGHT - 4, width, 1);
  context.fillStyle = colors.error;
  context.fillRect(left, top + BAR_HEIGHT - 3, width, 3);
}

function drawOutside(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: number,
  top: number,
  side: 'before' | 'after',
): void {
  const middle = top + ROW_HEIGHT / 2;
  const x = side === 'before' ? barArea(scene).left : scene.width - 10;
  const reach = side === 'before' ? -5 : 5;
  context.fillStyle = serviceColor(serviceAt(scene.tree, row), scene.colors.shade);
  context.beginPath();
  context.moveTo(x, middle - 4);
  context.lineTo(x + reach, middle);
  context.lineTo(x, middle + 4);
  context.fill();
}

/** Events are diamonds, log records are ticks below the bar. */
function drawMarks(context: CanvasRenderingContext2D, scene: Scene, row: number, barTop: number): void {
  const { tree, colors } = scene;
  const span = spanAt(tree, row);
  const middle = barTop + BAR_HEIGHT / 2;
  let lastX = -10;
  for (const event of span.events) {
    const x = xOf(scene, Number(nanosOf(event.time_unix_nano) - tree.startUnixNano));
    if (Math.abs(x - lastX) < 3) continue;
    lastX = x;
    context.fillStyle = colors.background;
    diamond(context, x, middle, 5);
    context.fillStyle = event.name === 'exception' ? colors.error : colors.text;
    diamond(context, x, middle, 3.5);
  }
  lastX = -10;
  for (const mark of scene.logs.get(row) ?? []) {
    const x = xOf(scene, mark.at);
    if (Math.abs(x - lastX) < 3) continue;
    lastX = x;
    context.fillStyle = mark.severity >= 17 ? colors.error : mark.severity >= 13 ? colors.warn : colors.muted;
    context.fillRect(x - 1, barTop + BAR_HEIGHT + 1, 2, 4);
  }
}

function diamond(context: CanvasRenderingContext2D, x: number, y: number, size: number): void {
  context.beginPath();
  context.moveTo(x - size, y);
  context.lineTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.fill();
}

function drawDurationLabel(
  context: CanvasRenderingContext2D,
  scene: Scene,
  row: number,
  top: number,
  left: number,
  right: number,
  fade: number,
): void {
  const { tree, colors, width } = scene;
  const state = stateText(spanAt(tree, row));
  const label = formatDuration(tree.end[row]! - tree.start[row]!) + (state && `, ${state}`);
  const labelWidth = context.measureText(label).width;
  const middle = top + ROW_HEIGHT / 2;
  const area = barArea(scene);
  if (right + fade + 6 + labelWidth < width - 4) {
    context.fillStyle = colors.muted;
    context.fillText(label, right + fade + 6, middle);
  } else if (left - 6 - labelWidth > area.left) {
    context.fillStyle = colors.muted;
    context.fillText(label, left - 6 - labelWidth, middle);
  } else if (right - left > labelWidth + 16) {
    // Dark letters on the light bars of the dark theme, light ones on the dark bars of the other.
    const inside = Math.min(right, width) - labelWidth - 8;
    context.fillStyle = colors.background;
    context.fillText(label, Math.max(inside, left + 4), middle);
  }
}
