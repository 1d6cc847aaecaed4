/** A line as an SVG path draws it, in a box of `width` by `height` with the first time left and zero at the bottom. */

export interface Point {
  /** Any unit, upwards. */
  x: number;
  y: number;
}

export interface Box {
  from: number;
  to: number;
  /** The highest value there is room for. */
  most: number;
  width: number;
  height: number;
}

function place({ x, y }: Point, box: Box): { right: number; down: number } {
  return {
    right: box.to > box.from ? ((x - box.from) / (box.to - box.from)) * box.width : 0,
    down: box.most > 0 ? box.height * (1 - Math.min(1, y / box.most)) : box.height,
  };
}

/** Whether a point is joined to the one before it. */
function isJoined(points: readonly Point[], index: number, gap: number): boolean {
  const [before, point] = [points[index - 1], points[index]];
  return before !== undefined && point !== undefined && point.x - before.x <= gap;
}

/** The line; points that are further apart than `gap` are not joined. */
export function linePath(points: readonly Point[], box: Box, gap = Infinity): string {
  return points
    .map((point, index) => {
      const { right, down } = place(point, box);
      return `${isJoined(points, index, gap) ? 'L' : 'M'}${right.toFixed(1)} ${down.toFixed(1)}`;
    })
    .join('');
}

/** Where points are that the line does not lead to or from; it shows nothing of them. */
export function lonePlaces(
  points: readonly Point[],
  box: Box,
  gap = Infinity,
): { right: number; down: number }[] {
  const alone = (_: Point, index: number) =>
    !isJoined(points, index, gap) && !isJoined(points, index + 1, gap);
  return points.filter(alone).map((point) => place(point, box));
}

/** Values at every step from `first` on, zero where nothing is known: what is not counted did not happen. */
export function filled(
  known: ReadonlyMap<number, number>,
  first: number,
  end: number,
  step: number,
): Point[] {
  const points: Point[] = [];
  for (let x = first; x < end && points.length < 2000; x += step) points.push({ x, y: known.get(x) ?? 0 });
  return points;
}

/** What a line shows, in words: `3 to 12 spans in each 10 s`; empty of none. */
export function lineText(points: readonly Point[], text: (y: number) => string, of: string): string {
  if (points.length === 0) return '';
  const values = points.map(({ y }) => y);
  const [least, most] = [text(Math.min(...values)), text(Math.max(...values))];
  return `${least === most ? least : `${least} to ${most}`} ${of}`;
}
