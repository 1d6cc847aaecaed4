import { tick } from 'svelte';

/**
 * State that a person would want to send to someone else or get back with the back button lives in the address.
 * `route` is a reactive reading of it; only `go` and `setParams` write it.
 */
export const PAGES = [
  { page: 'overview', path: '/overview', label: 'Overview', key: 'o' },
  { page: 'traces', path: '/traces', label: 'Traces', key: 't' },
  { page: 'logs', path: '/logs', label: 'Logs', key: 'l' },
  { page: 'metrics', path: '/metrics', label: 'Metrics', key: 'm' },
  { page: 'runtime', path: '/runtime', label: 'Runtime', key: 'u' },
  { page: 'health', path: '/health', label: 'Health', key: 'h' },
] as const;

export type PageName = (typeof PAGES)[number]['page'] | 'trace' | 'missing';

export interface Location {
  page: PageName;
  /** The trace id on the page of a trace, else empty. */
  id: string;
  path: string;
  params: URLSearchParams;
}

export function parseLocation(path: string, search: string): Location {
  const segments = path.split('/').filter((segment) => segment !== '');
  const params = new URLSearchParams(search);
  const [first = 'overview', second] = segments;
  if (segments.length <= 1) {
    const found = PAGES.find(({ page }) => page === first);
    return { page: found?.page ?? 'missing', id: '', path: found?.path ?? path, params };
  }
  if (first === 'traces' && second && segments.length === 2) {
    return { page: 'trace', id: second.toLowerCase(), path, params };
  }
  return { page: 'missing', id: '', path, params };
}

export function href(path: string, params: Record<string, string | null | undefined> = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value) search.set(key, value);
  return search.size > 0 ? `${path}?${search}` : path;
}

/** Chromium takes 200 writes in ten seconds, Safari 100 in thirty; a wheel or a held key makes more. */
const WRITE_PAUSE_MS = 320;

/** Addresses whose position is remembered. */
const LEFT_MAX = 50;

class Router {
  current: Location = $state.raw(parseLocation('/', ''));
  /** Whether this session came here from another of our pages, so that "back" stays inside. */
  depth = $state(0);
  /** Whether the last move was back or forward, so that a list may show what it showed before. */
  returning = false;
  #left = new Map<string, { top: number; link: string | null }>();
  /** An address that is shown already but not yet written: browsers refuse more than some writes a second. */
  #unwritten: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  start(): void {
    history.scrollRestoration = 'manual';
    this.#read();
    addEventListener('popstate', () => {
      this.#unwritten = null;
      this.depth = Math.max(0, this.depth - 1);
      this.returning = true;
      this.#read();
    });
    addEventListener('pagehide', () => this.#write());
    document.addEventListener('click', (event) => this.#followLink(event));
  }

  /** Goes to another address, as a link does. */
  go(target: string): void {
    this.#write();
    const link = document.activeElement?.getAttribute('href') ?? null;
    this.#left.set(location.href, { top: scrollY, link });
    for (const oldest of [...this.#left.keys()].slice(0, -LEFT_MAX)) this.#left.delete(oldest);
    history.pushState({}, '', target);
    this.depth += 1;
    this.returning = false;
    this.#read();
    void tick().then(() => scrollTo(0, 0));
  }

  /** Changes parameters of this page; `null` or an empty value removes one. */
  setParams(patch: Record<string, string | null>, mode: 'push' | 'replace' = 'push'): void {
    const params = new URLSearchParams(this.current.params);
    for (const [key, value] of Object.entries(patch)) {
      if (value === null || value === '') params.delete(key);
      else params.set(key, value);
    }
    if (params.toString() === this.current.params.toString()) return;
    const target = params.size > 0 ? `${location.pathname}?${params}` : location.pathname;
    this.returning = false;
    if (mode === 'push') {
      this.#write();
      history.pushState({}, '', target);
      this.depth += 1;
    } else {
      this.#unwritten = target;
      this.#timer ??= setTimeout(() => this.#write(), WRITE_PAUSE_MS);
    }
    this.current = parseLocation(location.pathname, params.toString());
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#unwritten !== null) history.replaceState(history.state, '', this.#unwritten);
    this.#unwritten = null;
  }

  /** Brings back the position this address was left at, and the link it was left by; once its content is there. */
  restore(): void {
    const left = this.#left.get(location.href);
    if (!left) return;
    void tick().then(() => {
      scrollTo(0, left.top);
      if (left.link === null) return;
      document
        .querySelector<HTMLElement>(`main a[href="${CSS.escape(left.link)}"]`)
        ?.focus({ preventScroll: true });
    });
  }

  #read(): void {
    this.current = parseLocation(location.pathname, location.search);
  }

  #followLink(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target !== '' || link.origin !== location.origin || link.hasAttribute('download'))
      return;
    if (link.pathname.startsWith('/api/')) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();
