import type {
  ErrorBody,
  Field,
  LogPage,
  MetricData,
  MetricOverview,
  OperationOrder,
  Operations,
  Run,
  Service,
  Status,
  Trace,
  TracePage,
  TypedValue,
} from './types';

/** An answer of the API that is not a success. `status` 0 means that there was no answer, or not all of it. */
export class ApiError extends Error {
  readonly status: number;
  readonly body: ErrorBody;

  constructor(status: number, body: ErrorBody) {
    super(body.message);
    this.name = 'ApiError';
    this.status = status;
    this.body = body;
  }

  get unreachable(): boolean {
    return this.status === 0;
  }

  /** Whether the same question may be answered later: the fault is not in what was asked. */
  get passing(): boolean {
    return this.status < 400 || this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** The one parameter of which an empty value says something; of the others it is the same as none. */
const MAY_BE_EMPTY = 'unit';

type Params = Record<string, string | number | null | undefined>;

/** Told of every attempt, so that one place can say whether the backend answers. */
type Watcher = (reachable: boolean) => void;
let watcher: Watcher = () => undefined;

export function watchReachability(callback: Watcher): void {
  watcher = callback;
}

/**
 * How long an answer may take, in milliseconds: of a look-up longer than it may wait for its turn in the backend, of a
 * search longer than a reader has patience for.
 */
export const LOOKUP_MAX_MS = 20_000;
export const SEARCH_MAX_MS = 60_000;

const SOONER = 'A shorter time or a narrower filter is answered sooner.';

function timedOut(maxMs: number): ApiError {
  const message = `The backend did not answer within ${maxMs / 1000} seconds.`;
  return new ApiError(0, {
    code: 'timeout',
    message,
    ...(maxMs === SEARCH_MAX_MS ? { hint: SOONER } : {}),
  });
}

/** Asks for what may take as long as a search. */
function searched<T>(path: string, params: Params, signal?: AbortSignal): Promise<T> {
  return request(path, params, signal, SEARCH_MAX_MS);
}

async function request<T>(
  path: string,
  params: Params = {},
  given?: AbortSignal,
  maxMs = LOOKUP_MAX_MS,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), maxMs);
  const giveUp = () => late.abort();
  if (given?.aborted) giveUp();
  given?.addEventListener('abort', giveUp);
  try {
    return await ask<T>(path, params, late.signal);
  } catch (error) {
    if (!late.signal.aborted || given?.aborted) throw error;
    // A search may be what takes so long; a look-up that is not answered says that nothing is.
    if (maxMs === LOOKUP_MAX_MS) watcher(false);
    throw timedOut(maxMs);
  } finally {
    clearTimeout(timer);
    given?.removeEventListener('abort', giveUp);
  }
}

async function ask<T>(path: string, params: Params, signal: AbortSignal): Promise<T> {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    const isGiven = value !== null && value !== undefined && (value !== '' || key === MAY_BE_EMPTY);
    if (isGiven) given.set(key, String(value));
  }
  const suffix = given.size > 0 ? `?${given}` : '';
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}${suffix}`, {
      headers: { accept: 'application/json' },
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    watcher(false);
    throw new ApiError(0, { code: 'unreachable', message: 'The backend does not answer.' });
  }
  watcher(true);
  if (!response.ok) throw new ApiError(response.status, await errorBody(response));
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, { code: 'cut', message: 'The answer of the backend broke off.' });
  }
}

async function errorBody(response: Response): Promise<ErrorBody> {
  try {
    const json = (await response.json()) as { error?: ErrorBody };
    if (json.error) return json.error;
  } catch {
    // Not our JSON: a proxy, or a crash half-way. The status line is what there is to tell.
  }
  return { code: `http_${response.status}`, message: `The backend answered ${response.status}.` };
}

export interface Search {
  q?: string;
  from?: string | null;
  to?: string | null;
  limit?: number;
  cursor?: string | null;
  run?: string | null;
}

export const api = {
  status: (signal?: AbortSignal) => request<Status>('status', {}, signal),
  services: async () => (await request<{ services: Service[] }>('services')).services,
  runs: async () => (await request<{ runs: Run[] }>('runs')).runs,
  traces: (search: Search, signal?: AbortSignal) => searched<TracePage>('traces', { ...search }, signal),
  trace: (id: string, signal?: AbortSignal) =>
    searched<Trace>(`traces/${encodeURIComponent(id)}`, {}, signal),
  logs: (search: Search & { trace_id?: string; span_id?: string }, signal?: AbortSignal) =>
    searched<LogPage>('logs', { ...search }, signal),
  metrics: async (signal?: AbortSignal) =>
    (await request<{ metrics: MetricOverview[] }>('metrics', {}, signal)).metrics,
  metric: (
    name: string,
    search: {
      q: string;
      agg: string;
      by: string;
      kind: string;
      /** Empty for the one without a unit. */
      unit: string;
      monotonic: string;
      from: string | null;
      to: string | null;
      step?: number | null;
      /** Series at most, by their labels. */
      limit?: number;
    },
    signal?: AbortSignal,
  ) => searched<MetricData>(`metrics/${encodeURIComponent(name)}`, { limit: 20, ...search }, signal),
  operations: (
    search: {
      from: string | null;
      to: string | null;
      service?: string;
      run?: string;
      which?: 'all' | 'entry';
      sort?: OperationOrder;
      attributes?: string;
      step?: number | null;
      limit?: number;
    },
    signal?: AbortSignal,
  ) => searched<Operations>('operations', search, signal),
  attributes: async (params: { signal: string; metric: string; limit: number }, signal?: AbortSignal) =>
    (await request<{ attributes: Field[] }>('attributes', params, signal)).attributes,
  values: async (
    key: string,
    params: { signal: string; metric: string; scope: string; prefix: string; limit: number },
    signal?: AbortSignal,
  ) =>
    (await searched<{ values: TypedValue[] }>(`attributes/${encodeURIComponent(key)}/values`, params, signal))
      .values,
};
