import { tokenize, type Token } from './lexer';

/** What may stand at the cursor. */
export type Expectation =
  | { kind: 'field'; prefix: string; start: number; end: number }
  | { kind: 'operator'; prefix: string; start: number; end: number }
  | {
      kind: 'value';
      field: string;
      operator: string;
      prefix: string;
      start: number;
      end: number;
      quoted: boolean;
    }
  | { kind: 'connector'; start: number; end: number }
  | { kind: 'nothing' };

const COMPARISONS = new Set(['=', '!=', '<', '<=', '>', '>=', '=~', '!~']);

/** Reads the tokens left of the cursor; what is right of it stays untouched. */
export function expectationAt(text: string, cursor: number): Expectation {
  const tokens = tokenize(text);
  const under = tokens.find((token) => token.start < cursor && cursor <= token.end);
  const before = tokens.filter((token) => token.kind !== 'space' && token.end <= (under?.start ?? cursor));
  const last = before.at(-1);
  const word = under && isWord(under) ? under : null;
  const start = word?.start ?? cursor;
  const end = word?.end ?? cursor;
  const prefix = word ? text.slice(word.start, cursor) : '';
  const previous = word || !under || under.kind === 'space' ? last : under;

  if (previous && COMPARISONS.has(previous.text)) {
    const position = tokens.indexOf(previous);
    const field = tokens
      .slice(0, position)
      .reverse()
      .find((token) => token.kind !== 'space');
    if (field?.kind !== 'field') return { kind: 'nothing' };
    const quoted = prefix.startsWith('"') || prefix.startsWith('`');
    const bare = quoted ? prefix.slice(1) : prefix;
    return { kind: 'value', field: field.text, operator: previous.text, prefix: bare, start, end, quoted };
  }
  if (previous?.kind === 'field' && !word) {
    return { kind: 'operator', prefix: '', start, end };
  }
  if (isValue(previous) || previous?.text === ')') {
    return word ? { kind: 'nothing' } : { kind: 'connector', start, end };
  }
  if (previous?.text === '}') return { kind: 'nothing' };
  if (under?.kind === 'string') return { kind: 'nothing' };
  return { kind: 'field', prefix, start, end };
}

function isWord(token: Token): boolean {
  return (
    token.kind === 'field' || token.kind === 'keyword' || token.kind === 'string' || token.kind === 'number'
  );
}

function isValue(token: Token | undefined): boolean {
  return token?.kind === 'string' || token?.kind === 'number' || token?.kind === 'keyword';
}

/** Splits `resource.service.name` into what the API wants to know. Without a scope it is an intrinsic or any scope. */
export function splitField(field: string): { scope: string; key: string } {
  const match = /^(span|resource|event|log|point)\.(.*)$/.exec(field);
  const scope = match?.[1];
  const key = match?.[2] ?? field.replace(/^\./, '');
  const bare = key.startsWith('"') ? key.replace(/^"|"$/g, '') : key;
  return { scope: scope ?? (field.startsWith('.') ? '' : 'intrinsic'), key: bare };
}

/** Operators that make sense for a type, the likeliest first. */
export function operatorsFor(type: string | undefined): readonly string[] {
  if (type === 'bool') return ['=', '!='];
  if (type === 'int' || type === 'double' || type === 'duration') return ['>', '>=', '<', '<=', '=', '!='];
  if (type === 'string') return ['=', '!=', '=~', '!~'];
  return ['=', '!=', '=~', '!~', '>', '>=', '<', '<='];
}

export const OPERATOR_MEANING: Readonly<Record<string, string>> = {
  '=': 'equals',
  '!=': 'differs',
  '=~': 'matches the regular expression',
  '!~': 'does not match the regular expression',
  '>': 'greater',
  '>=': 'greater or equal',
  '<': 'less',
  '<=': 'less or equal',
  '&&': 'and',
  '||': 'or',
};
