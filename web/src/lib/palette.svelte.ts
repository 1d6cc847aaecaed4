/**
 * Colours that stay apart for the common kinds of colour blindness (after Okabe and Ito, and Tol), in a form for dark
 * and one for light ground. A colour never carries meaning alone: a service is always named beside it.
 */
const DARK = [
  '#56b4e9',
  '#e69f00',
  '#2fb592',
  '#cc79a7',
  '#d9cf4a',
  '#8c8fe6',
  '#e0764a',
  '#88ccee',
  '#a3b86c',
  '#b99a86',
] as const;

const LIGHT = [
  '#1f7fc0',
  '#c67c00',
  '#00876a',
  '#b0568a',
  '#918600',
  '#5f5fc4',
  '#c14f17',
  '#3c93b5',
  '#6b8030',
  '#8a6a54',
] as const;

export type Shade = 'dark' | 'light';

/** Colours of the services the backend told about. */
let slots: ReadonlyMap<string, number> = $state.raw(new Map<string, number>());

/**
 * Gives known services their colours. A service has the one its name stands for, or the next that is free: so it looks
 * the same on every page and after a reload, and two services look alike only when there are more than colours. It
 * keeps the one it has.
 */
export function registerServices(names: readonly string[]): void {
  if (names.every((name) => slots.has(name))) return;
  const next = new Map(slots);
  const taken = new Set(next.values());
  for (const name of [...names].sort()) {
    if (next.has(name)) continue;
    let slot = slotOf(name);
    if (taken.size < DARK.length) while (taken.has(slot)) slot = (slot + 1) % DARK.length;
    taken.add(slot);
    next.set(name, slot);
  }
  slots = next;
}

/** Reactive: whoever shows a colour shows the new one when the service becomes known. */
export function serviceColor(name: string, shade: Shade): string {
  const colors = shade === 'dark' ? DARK : LIGHT;
  return colors[slots.get(name) ?? slotOf(name)] ?? colors[0];
}

/** The colour of a line of a chart that is not of one service, by its place among such lines. */
export function lineColor(index: number, shade: Shade): string {
  const colors = shade === 'dark' ? DARK : LIGHT;
  return colors[index % colors.length] ?? colors[0];
}

/** Strokes of lines beyond the colours, which would look alike: lengths of what is drawn and what is not. */
const DASHES: readonly (readonly number[])[] = [
  [],
  [7, 4],
  [2, 3],
  [10, 3, 2, 3],
  [14, 5],
  [5, 2, 2, 2, 2, 2],
  [1, 5],
];

/** The stroke of a line that is not of one service, which tells it from the one before it of the same colour; empty for a solid one. */
export function lineDash(index: number): readonly number[] {
  return DASHES[Math.floor(index / DARK.length) % DASHES.length] ?? [];
}

/**
 * How far the colours of several lines of one service are from the service's own, to white above zero and to black below.
 * On dark ground the own colour is between them; on light ground there is no room for a paler one, which would not be
 * seen. All have the contrast to the ground of 3 to 1 that is asked of graphics.
 */
const TONES: Record<Shade, readonly number[]> = { dark: [0, 0.72, -0.3], light: [0, -0.75, -0.38] };

/** The colour of a line that is one of several of a service, by its place among these. */
export function serviceLineColor(name: string, index: number, shade: Shade): string {
  const part = TONES[shade][index % TONES[shade].length] ?? 0;
  const end = part > 0 ? 255 : 0;
  const color = serviceColor(name, shade);
  const channels = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  const mixed = channels.map((channel) => Math.round(channel + (end - channel) * Math.abs(part)));
  return `#${mixed.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** The stroke of such a line: solid for as many as there are tones. */
export function serviceLineDash(index: number, shade: Shade): readonly number[] {
  return DASHES[Math.floor(index / TONES[shade].length) % DASHES.length] ?? [];
}

/** The colour a name stands for. */
function slotOf(name: string): number {
  let hash = 0;
  for (const character of name) hash = (hash * 313 + (character.codePointAt(0) ?? 0)) >>> 0;
  return hash % DARK.length;
}
