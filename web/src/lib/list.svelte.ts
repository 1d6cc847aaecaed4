import { untrack } from 'svelte';

import { poll } from './clock.svelte';
import { Feed, type FeedPage } from './feed.svelte';
import { keysOf } from './merge';
import { pauseAfter } from './pause';
import { bounds, isOpenEnded, rangeFrom, rangeParams } from './range';
import { router } from './router.svelte';
import { Attention, rowKeys } from './rows';
import { bindKeys, type Bindings } from './shortcuts';

const ROWS_AT_ONCE = 100;
const REFRESH_MS = 500;
/** While it is paused, only the number of what arrives is shown. */
const PAUSED_REFRESH_MS = 2000;

/** What the API is asked for: the filter, the run, the range and the page. */
export interface Search {
  q: string;
  run: string;
  from: string | null;
  to: string | null;
  limit: number;
  cursor: string | null;
}

export interface ListOptions<T> {
  /** Tells the lists of pages apart where the one that was left last is kept. */
  name: string;
  /** Parameters of the address that decide which rows there are, beside filter, run and range. */
  also?: readonly string[];
  keyOf: (row: T, occurrence: number) => string;
  timeOf: (row: T) => string;
  fetch: (search: Search, signal: AbortSignal) => Promise<FeedPage<T>>;
  /** Whether the list has to stand still for a reason of its page. */
  holds?: () => boolean;
  /** A list is shown again as it was left, or left; the key says which. */
  onreturn?: (key: string) => void;
  onleave?: (key: string) => void;
  /** The page's own keys, given those of every list. */
  keys?: (common: Bindings) => Bindings;
}

/**
 * A page that is a list: what it shows follows the address, new rows come by themselves, and going back finds it as it
 * was left. To be made while a component is set up, since it lives as long as that.
 */
export class List<T> {
  readonly feed: Feed<T>;
  readonly attention = new Attention();
  element: HTMLElement | undefined = $state();

  readonly #options: ListOptions<T>;
  readonly #params = $derived(router.current.params);
  readonly query = $derived(this.#params.get('q') ?? '');
  readonly run = $derived(this.#params.get('run') ?? '');
  readonly range = $derived(rangeFrom(this.#params));
  readonly #paused = $derived(this.#params.get('live') === '0');
  /** Whether anything new can come. */
  readonly #follows = $derived(isOpenEnded(this.range));
  readonly live = $derived(this.#follows && !this.#paused);
  /** A search that failed in passing is tried again, also where nothing new can come. */
  readonly #asks: boolean = $derived.by(() => this.#follows || this.feed.unanswered);
  /** All that decides which rows there are; a change of it is another search. */
  readonly #searchKey: string = $derived.by(() =>
    JSON.stringify([this.#options.name, ...Object.values(this.#decisive())]),
  );
  readonly isUnfiltered: boolean = $derived.by(() =>
    Object.values(this.#decisive()).every((value) => !value),
  );
  /** Equal rows are told apart by how often they occurred. */
  readonly rows: { key: string; row: T }[] = $derived.by(() => {
    const keys = keysOf(this.feed.rows, this.#options.keyOf);
    return this.feed.rows.map((row, index) => ({ key: keys[index]!, row }));
  });

  constructor(options: ListOptions<T>) {
    this.#options = options;
    this.feed = new Feed<T>(options.keyOf, options.timeOf);
    $effect(() => this.#search(this.#searchKey));
    $effect(() => {
      // Another search is another list to follow.
      void this.#searchKey;
      return this.#asks ? this.#follow(this.#paused) : undefined;
    });
    $effect(() => {
      const common: Bindings = {
        ...rowKeys(() => this.element),
        l: () => this.setLive(!this.live),
        r: () => this.#load(),
      };
      return bindKeys(options.keys?.(common) ?? common);
    });
  }

  #decisive(): Record<string, string | null> {
    return {
      q: this.query,
      run: this.run,
      ...rangeParams(this.range),
      ...Object.fromEntries((this.#options.also ?? []).map((name) => [name, this.#params.get(name)])),
    };
  }

  #fetch(cursor: string | null, signal: AbortSignal, since: string | null = null): Promise<FeedPage<T>> {
    const { from, to } = bounds(this.range, Date.now(), since);
    const search = { q: this.query, run: this.run, from, to, limit: ROWS_AT_ONCE, cursor };
    return this.#options.fetch(search, signal);
  }

  #load(): void {
    void this.feed.load((signal) => this.#fetch(null, signal));
  }

  #search(key: string): () => void {
    untrack(() => {
      if (router.returning && this.feed.restore(key)) {
        this.#options.onreturn?.(key);
        router.restore();
      } else this.#load();
    });
    return () => {
      this.feed.leave(key);
      untrack(() => this.#options.onleave?.(key));
    };
  }

  #follow(paused: boolean): () => void {
    const usualMs = paused ? PAUSED_REFRESH_MS : REFRESH_MS;
    return untrack(() =>
      poll(
        async (signal) => {
          // What was refused would be refused again, until something else is asked for.
          if (this.feed.loading || this.feed.problem) return;
          const holds = paused || this.attention.holds(this.element) || (this.#options.holds?.() ?? false);
          await this.feed.refresh((since) => this.#fetch(null, signal, since), holds);
        },
        // An attempt that failed late says nothing about what an answer costs.
        (tookMs) => {
          const pauseMs = this.feed.pauseMs(usualMs);
          return pauseMs > usualMs ? pauseMs : pauseAfter(tookMs, usualMs);
        },
      ),
    );
  }

  more(): void {
    void this.feed.more((cursor, signal) => this.#fetch(cursor, signal));
  }

  filter(text: string): void {
    router.setParams({ q: text });
  }

  /** Paused, the list stays as it is and counts what comes; going on shows that. */
  setLive(on: boolean): void {
    if (on) this.showWaiting();
    router.setParams({ live: on ? null : '0' }, 'replace');
  }

  showAll(): void {
    router.setParams(Object.fromEntries(Object.keys(this.#decisive()).map((name) => [name, null])));
  }

  showWaiting(): void {
    this.feed.release();
    scrollTo({ top: 0 });
  }
}
