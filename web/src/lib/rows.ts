import { router } from './router.svelte';
import type { Bindings } from './shortcuts';

/** j and k over whatever is marked as a row in `list`; the browser's focus is the selection. */
export function rowKeys(list: () => HTMLElement | undefined): Bindings {
  function move(step: number): void {
    const rows = [...(list()?.querySelectorAll<HTMLElement>('[data-row]') ?? [])];
    if (rows.length === 0) return;
    const at = rows.indexOf(document.activeElement as HTMLElement);
    const inside = rows.findIndex((row) => row.parentElement?.contains(document.activeElement));
    const from = at >= 0 ? at : inside;
    const next =
      rows[from < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, from + step))];
    next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: 'nearest' });
  }
  return {
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Escape: () => {
      if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) {
        document.activeElement.blur();
      } else if (router.depth > 0) {
        history.back();
      }
    },
  };
}

/** How long after a movement of the pointer a list is taken to be aimed at. */
const AIM_MS = 2000;

/**
 * Whether a list that changes by itself should stand still for now: somebody scrolled down, walks through it by
 * keyboard, or is about to click. What arrives meanwhile waits.
 */
export class Attention {
  #moved = -Infinity;

  readonly onpointermove = (): void => {
    this.#moved = performance.now();
  };

  holds(list: HTMLElement | undefined): boolean {
    if (scrollY > 150 || performance.now() - this.#moved < AIM_MS) return true;
    return list?.contains(document.activeElement) ?? false;
  }
}
