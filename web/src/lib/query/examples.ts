import type { SignalName } from '../api/types';

/** Filters to start from, for the help and beside an error. Each finds something in the demo, as a test sees to. */
export const EXAMPLES: readonly { signal: SignalName; query: string; meaning: string }[] = [
  { signal: 'traces', query: '{ duration > 100ms }', meaning: 'spans that took long' },
  { signal: 'traces', query: '{ status = error }', meaning: 'spans that failed' },
  {
    signal: 'traces',
    query: '{ kind = server && span.http.request.method =~ "GET|POST" }',
    meaning: 'requests that a service answered; a regular expression matches the whole value',
  },
  {
    signal: 'traces',
    query: '{ duration > 1ms && !(status = error) } | count() > 3',
    meaning: 'traces with more than three such spans',
  },
  { signal: 'logs', query: '{ severity >= warn }', meaning: 'warnings and worse' },
  {
    signal: 'logs',
    query: '{ severity >= warn && body =~ "(?i).*(slow|refused|failed).*" }',
    meaning: 'a text anywhere in the body, in capitals or not',
  },
];
