/** Values of one line at the times of a chart, as `columns` makes them. */
type Column = readonly (number | null | undefined)[];

/** Zero is in sight where the lowest value is not more than this part of the highest. */
const ZERO_WITHIN = 0.5;

/** A scale is at least this part of its largest value high: what differs by less is almost the same, and looks so. */
const SPAN_MIN = 0.1;

/** Room above and below what is drawn, as a part of the height. */
const ROOM = 0.08;

/** From where to where the scale of values goes; the arguments are null where there is no value. */
export function valueRange(least: number | null, most: number | null): [number, number] {
  if (least === null || most === null || (least === 0 && most === 0)) return [0, 1];
  const from = least >= 0 && least <= most * ZERO_WITHIN ? 0 : least;
  const to = most <= 0 && most >= least * ZERO_WITHIN ? 0 : most;
  const height = Math.max(to - from, Math.max(Math.abs(from), Math.abs(to)) * SPAN_MIN);
  const [middle, half] = [(from + to) / 2, height * (0.5 + ROOM)];
  return [from === 0 ? 0 : middle - half, to === 0 ? 0 : middle + half];
}

/**
 * The value of each line at one of the times, where a line is drawn there: its own, or the nearest in time of those the
 * line leads over that time from and to. Null where there is none.
 */
export function valuesAt([times = [], ...lines]: readonly Column[], index: number): (number | null)[] {
  const distance = (place: number) => Math.abs((times[place] ?? 0) - (times[index] ?? 0));
  return lines.map((line) => {
    let [before, after] = [index, index];
    while (before >= 0 && line[before] === undefined) before -= 1;
    while (after < line.length && line[after] === undefined) after += 1;
    const [left, right] = [line[before] ?? null, line[after] ?? null];
    if (left === null || right === null) return null;
    return distance(before) <= distance(after) ? left : right;
  });
}
