import { store, stored } from './stored';

const KEY = 'ringlight.meanwhile';
/** Choices that are kept; the oldest make room. */
const CHOICES_MAX = 100;

interface Kept {
  /** Null where nobody has said. */
  isFolded: boolean | null;
  metrics: Record<string, boolean>;
}

/** What somebody wants to see beside traces, in this browser: it is about metrics, not about one trace, and so not in the address. */
class LaneChoice {
  #kept: Kept = $state.raw(read());

  get isFolded(): boolean | null {
    return this.#kept.isFolded;
  }

  /** Metrics that are shown, or are not, whatever is usual, by key. */
  get metrics(): Readonly<Record<string, boolean>> {
    return this.#kept.metrics;
  }

  fold(isFolded: boolean): void {
    this.#keep({ ...this.#kept, isFolded });
  }

  choose(key: string, isShown: boolean): void {
    const others = Object.entries(this.#kept.metrics).filter(([other]) => other !== key);
    const metrics = Object.fromEntries([...others.slice(1 - CHOICES_MAX), [key, isShown]]);
    this.#keep({ ...this.#kept, metrics });
  }

  /** Back to what is usual. */
  clear(): void {
    this.#keep({ ...this.#kept, metrics: {} });
  }

  #keep(kept: Kept): void {
    this.#kept = kept;
    store(KEY, JSON.stringify(kept));
  }
}

/** What is kept, which another version may have written. */
function read(): Kept {
  try {
    const { isFolded, metrics } = JSON.parse(stored(KEY) ?? '{}') as Partial<Kept>;
    const isFlag = (entry: [string, unknown]): entry is [string, boolean] => typeof entry[1] === 'boolean';
    return {
      isFolded: typeof isFolded === 'boolean' ? isFolded : null,
      metrics: Object.fromEntries(Object.entries(metrics ?? {}).filter(isFlag)),
    };
  } catch {
    return { isFolded: null, metrics: {} };
  }
}

export const laneChoice = new LaneChoice();
