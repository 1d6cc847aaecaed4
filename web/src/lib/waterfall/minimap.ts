import { serviceColor } from '../palette.svelte';
import type { Colors } from './colors';
import { serviceAt, type TraceTree } from './tree';

/** The whole trace in little: every row a line, at most as many lines as there are pixels. */
export function drawMinimap(
  context: CanvasRenderingContext2D,
  tree: TraceTree,
  rows: Int32Array,
  width: number,
  height: number,
  colors: Colors,
): void {
  context.fillStyle = colors.background;
  context.fillRect(0, 0, width, height);
  const whole = Math.max(tree.duration, 1);
  const step = Math.max(1, Math.floor(rows.length / 6000));
  const lineHeight = Math.max(1, Math.min(4, height / rows.length - 0.5));
  const draw = (row: number, index: number, size: number, color: string) => {
    const x = (tree.start[row]! / whole) * width;
    const w = Math.max(1, ((tree.end[row]! - tree.start[row]!) / whole) * width);
    context.fillStyle = color;
    context.fillRect(x, 2 + (index / rows.length) * (height - 4), w, size);
  };
  for (let index = 0; index < rows.length; index += step) {
    const row = rows[index]!;
    draw(row, index, lineHeight, serviceColor(serviceAt(tree, row), colors.shade));
  }
  // Failed spans last, so that none is painted over.
  const errorHeight = Math.max(1, Math.min(1.5, lineHeight));
  for (let index = 0; index < rows.length; index += 1) {
    const row = rows[index]!;
    if (tree.error[row]) draw(row, index, errorHeight, colors.error);
  }
}
