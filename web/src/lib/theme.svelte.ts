export type Theme = 'system' | 'dark' | 'light';

const KEY = 'ringlight.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'dark' || value === 'light' ? value : 'system';
  } catch {
    return 'system';
  }
}

class ThemeState {
  chosen: Theme = $state(stored());
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
    try {
      if (this.chosen === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, this.chosen);
    } catch {
      // Storage may be blocked; the choice then lasts as long as the page.
    }
  }
}

export const theme = new ThemeState();
