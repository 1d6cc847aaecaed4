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
