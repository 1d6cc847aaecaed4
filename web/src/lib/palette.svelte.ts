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

/** Colours of services the backend told about, in the order in which it first saw them. */
let slots: ReadonlyMap<string, number> = $state.raw(new Map<string, number>());

/**
 * Gives known services their colours in a stable order, so that a service looks the same on every page. A service
 * keeps its colour once it has one.
 */
export function registerServices(names: readonly string[]): void {
  if (names.every((name) => slots.has(name))) return;
  const next = new Map(slots);
  for (const name of names) if (!next.has(name)) next.set(name, next.size % DARK.length);
  slots = next;
}

/** Reactive: whoever shows a colour shows the new one when the service becomes known. */
export function serviceColor(name: string, shade: Shade): string {
  const colors = shade === 'dark' ? DARK : LIGHT;
  return colors[slots.get(name) ?? provisional(name)] ?? colors[0];
}

/** Until the list of services is there: the same for the same name. */
function provisional(name: string): number {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return hash % DARK.length;
}
