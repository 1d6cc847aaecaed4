import { api } from '../api/client';
import type { Field, SignalName, TypedValue } from '../api/types';
import { expectationAt, OPERATOR_MEANING, operatorsFor, splitField, type Expectation } from './complete';
import { keyOf } from '../values';
import { fieldName, literal, quote } from './lexer';

export interface Suggestion {
  label: string;
  detail: string;
  /** Replaces the text between `start` and `end`. */
  insert: string;
  start: number;
  end: number;
}

const LIMIT = 40;
const FRESH_MS = 5000;
const KEPT_MAX = 8;
const cache = new Map<string, { at: number; fields: Field[] }>();

/** Intrinsics are always offered, also before the first record tells the backend about them. */
const INTRINSICS: Record<string, readonly [string, string][]> = {
  traces: [
    ['name', 'string'],
    ['duration', 'duration'],
    ['status', 'keyword'],
    ['kind', 'keyword'],
    ['rootName', 'string'],
    ['rootServiceName', 'string'],
    ['traceDuration', 'duration'],
  ],
  logs: [
    ['severity', 'keyword'],
    ['body', 'string'],
  ],
};

const KEYWORD_VALUES: Record<string, readonly string[]> = {
  status: ['error', 'ok', 'unset'],
  kind: ['server', 'client', 'internal', 'producer', 'consumer', 'unspecified'],
  severity: ['trace', 'debug', 'info', 'warn', 'error', 'fatal'],
};

const DURATION_EXAMPLES = ['1ms', '10ms', '100ms', '1s', '10s'] as const;

/** What a filter is for: records of a signal, or the series of one metric. */
export interface Subject {
  signal: SignalName;
  /** Its name; empty for all records. */
  metric: string;
}

async function fieldsOf(subject: Subject, abort: AbortSignal): Promise<Field[]> {
  const { signal, metric } = subject;
  const key = keyOf(signal, metric);
  const cached = cache.get(key);
  if (cached && Date.now() - cached.at < FRESH_MS) return cached.fields;
  const known = (INTRINSICS[signal] ?? []).map(([key, type]): Field => ({ scope: 'intrinsic', key, type }));
  const names = new Set(known.map((field) => field.key));
  const told = await api.attributes({ ...subject, limit: 1000 }, abort);
  const others = told.filter((field) => field.scope !== 'intrinsic' || !names.has(field.key));
  // What tells the series of a metric apart is on their points, as a rule.
  const fields = [
    ...known,
    ...others.sort((a, b) => Number(b.scope === 'point') - Number(a.scope === 'point')),
  ];
  for (const oldest of [...cache.keys()].slice(0, -KEPT_MAX)) cache.delete(oldest);
  cache.set(key, { at: Date.now(), fields });
  return fields;
}

/** What could stand at the cursor, best first. Empty when nothing is known. */
export async function suggest(
  text: string,
  cursor: number,
  subject: Subject,
  abort: AbortSignal,
): Promise<Suggestion[]> {
  const expected = expectationAt(text, cursor);
  switch (expected.kind) {
    case 'field':
      return fieldSuggestions(await fieldsOf(subject, abort), expected, text);
    case 'operator':
      return operatorSuggestions(await fieldsOf(subject, abort), expected, text, cursor);
    case 'value':
      return valueSuggestions(expected, subject, abort);
    case 'connector':
      return connectorSuggestions(text, cursor, expected);
    case 'nothing':
      return [];
  }
}

function fieldSuggestions(
  fields: Field[],
  expected: Extract<Expectation, { kind: 'field' }>,
  text: string,
): Suggestion[] {
  const wanted = expected.prefix.toLowerCase();
  // The first word of a query opens its braces.
  const opens = text.trim() === text.slice(expected.start, expected.end).trim();
  const scored = fields
    .map((field) => ({ field, label: fieldName(field.scope, field.key) }))
    .map((entry) => ({ ...entry, score: score(entry.label.toLowerCase(), wanted) }))
    .filter((entry) => entry.score > 0 && entry.label !== expected.prefix)
    .sort((a, b) => b.score - a.score);
  return scored.slice(0, LIMIT).map(({ field, label }) => ({
    label,
    detail: field.scope === 'intrinsic' ? field.type : `${field.type}`,
    insert: `${opens ? '{ ' : ''}${label} `,
    start: expected.start,
    end: expected.end,
  }));
}

/** A start of the whole, then a start of a part, then anywhere. */
function score(label: string, wanted: string): number {
  if (wanted === '' || label.startsWith(wanted)) return 3;
  if (label.split(/[._]/).some((part) => part.startsWith(wanted))) return 2;
  return label.includes(wanted) ? 1 : 0;
}

function operatorSuggestions(
  fields: Field[],
  expected: Extract<Expectation, { kind: 'operator' }>,
  text: string,
  cursor: number,
): Suggestion[] {
  const name = /(\S+)\s*$/.exec(text.slice(0, cursor))?.[1] ?? '';
  const field = fields.find((candidate) => fieldName(candidate.scope, candidate.key) === name);
  const type = field?.type === 'keyword' && name === 'severity' ? 'int' : field?.type;
  return operatorsFor(type === 'keyword' ? 'bool' : type).map((operator) => ({
    label: operator,
    detail: OPERATOR_MEANING[operator] ?? '',
    insert: `${/\s$/.test(text.slice(0, cursor)) ? '' : ' '}${operator} `,
    start: expected.start,
    end: expected.end,
  }));
}

async function valueSuggestions(
  expected: Extract<Expectation, { kind: 'value' }>,
  subject: Subject,
  abort: AbortSignal,
): Promise<Suggestion[]> {
  const place = { start: expected.start, end: expected.end };
  const wanted = expected.prefix.toLowerCase();
  const words = KEYWORD_VALUES[expected.field];
  if (words) {
    return words
      .filter((word) => word.startsWith(wanted) && word !== expected.prefix)
      .map((word) => ({ label: word, detail: '', insert: `${word} `, ...place }));
  }
  if (/duration$/i.test(expected.field)) {
    return DURATION_EXAMPLES.filter((value) => value.startsWith(wanted)).map((value) => ({
      label: value,
      detail: 'duration',
      insert: `${value} `,
      ...place,
    }));
  }
  const { scope, key } = splitField(expected.field);
  const values = await api.values(key, { ...subject, scope, prefix: expected.prefix, limit: LIMIT }, abort);
  return values.filter(isScalar).map((value) => ({
    label: String(value.value),
    detail: value.type,
    insert: `${literal(value.type, value.value)} `,
    ...place,
  }));
}

function isScalar(value: TypedValue): boolean {
  return value.value !== null && typeof value.value !== 'object';
}

function connectorSuggestions(
  text: string,
  cursor: number,
  place: { start: number; end: number },
): Suggestion[] {
  const left = text.slice(0, cursor);
  const gap = /\s$/.test(left) ? '' : ' ';
  const open = (left.match(/\{/g)?.length ?? 0) > (text.match(/\}/g)?.length ?? 0);
  const items = ['&&', '||', ...(open ? ['}'] : [])];
  return items.map((item) => ({
    label: item,
    detail: OPERATOR_MEANING[item] ?? 'end of the filter',
    insert: `${gap}${item}${item === '}' ? '' : ' '}`,
    start: place.start,
    end: place.end,
  }));
}

/** A trace id pasted where a filter goes, in hex with or without dashes: people mean that trace. */
export function traceIdIn(text: string): string | null {
  const bare = text.trim().replace(/^0x/i, '').replaceAll('-', '').toLowerCase();
  return /^[0-9a-f]{32}$/.test(bare) ? bare : null;
}

/**
 * Text that is not in the language, as the filter people mean by it: in capitals or not, and over line ends. A log
 * record without a body shows its `error`, so that is searched, too.
 */
export function plainTextFilter(text: string, signal: SignalName): string | null {
  // A series has no text that plain words could be meant for.
  if (signal === 'metrics') return null;
  const trimmed = text.trim();
  if (/^[0-9a-f]{16}$/i.test(trimmed)) return `{ span:id = ${quote(trimmed.toLowerCase())} }`;
  if (trimmed === '' || /[{}=<>|&]/.test(trimmed)) return null;
  const pattern = quote(`(?is).*${trimmed.replace(/[.*+?^$()[\]\\]/g, '\\$&')}.*`);
  return signal === 'logs' ? `{ body =~ ${pattern} || log.error =~ ${pattern} }` : `{ name =~ ${pattern} }`;
}
