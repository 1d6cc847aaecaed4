import { store, stored } from './stored';

export type Theme = 'system' | 'dark' | 'light';

const KEY = 'ringlight.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function storedTheme(): Theme {
  const value = stored(KEY);
  return value === 'dark' || value === 'light' ? value : 'system';
}

class ThemeState {
  chosen: Theme = $state(storedTheme());
  #systemDark = $state(dark.matches);

  constructor() {
    dark.addEventListener('change', (event) => (this.#systemDark = event.matches));
  }

  /** What is on the screen; canvases redraw when it changes. */
  get shown(): 'dark' | 'light' {
    if (this.chosen !== 'system') return this.chosen;
    return this.#systemDark ? 'dark' : 'light';
  }

  next(): void {
    const order: Theme[] = ['system', 'light', 'dark'];
    this.chosen = order[(order.indexOf(this.chosen) + 1) % order.length] ?? 'system';
    if (this.chosen === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.chosen;
    store(KEY, this.chosen === 'system' ? null : this.chosen);
  }
}

export const theme = new ThemeState();
