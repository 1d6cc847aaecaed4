/**
 * Keys work on the page, not while something is typed: a field keeps every key but Escape.
 * Components add bindings while they are on the screen; the newest one wins.
 */
export type Bindings = Record<string, (event: KeyboardEvent) => void>;

const layers: Bindings[] = [];
let prefix: { key: string; at: number } | null = null;
const PREFIX_MS = 1200;

export function bindKeys(bindings: Bindings): () => void {
  layers.push(bindings);
  return () => {
    const index = layers.indexOf(bindings);
    if (index >= 0) layers.splice(index, 1);
  };
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  return target.matches('textarea, select, input:not([type="checkbox"]):not([type="radio"])');
}

/** The name of a key press in bindings: `j`, `Escape`, `g t`, `Shift+Enter`. */
export function keyName(event: KeyboardEvent): string {
  const named = event.key.length > 1;
  return `${named && event.shiftKey ? 'Shift+' : ''}${event.key === ' ' ? 'Space' : event.key}`;
}

export function startShortcuts(): void {
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = keyName(event);
    if (isTyping(event.target) && key !== 'Escape') return;
    if (document.querySelector('dialog[open]') && key !== '?') return;
    const full = prefix && performance.now() - prefix.at < PREFIX_MS ? `${prefix.key} ${key}` : key;
    prefix = null;
    for (let index = layers.length - 1; index >= 0; index -= 1) {
      const action = layers[index]?.[full];
      if (action) {
        event.preventDefault();
        action(event);
        return;
      }
    }
    if (key === 'g') prefix = { key, at: performance.now() };
  });
}
