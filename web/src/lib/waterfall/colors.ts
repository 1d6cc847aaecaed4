import type { Shade } from '../palette.svelte';

/** Colours of the canvas, read from the style sheet so that there is one place for them. */
export interface Colors {
  shade: Shade;
  background: string;
  ruler: string;
  line: string;
  grid: string;
  text: string;
  muted: string;
  hover: string;
  selected: string;
  accent: string;
  onAccent: string;
  error: string;
  warn: string;
  match: string;
}

export function readColors(element: Element, shade: Shade): Colors {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(name).trim();
  return {
    shade,
    background: color('--panel'),
    ruler: color('--raised'),
    line: color('--border'),
    grid: color('--grid'),
    text: color('--text'),
    muted: color('--muted'),
    hover: color('--hover'),
    selected: color('--selected'),
    accent: color('--accent'),
    onAccent: color('--accent-text'),
    error: color('--error'),
    warn: color('--warn'),
    match: color('--match'),
  };
}
