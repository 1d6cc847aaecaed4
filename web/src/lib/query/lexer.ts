/**
 * Tokens of the filter language, for colouring, completion and editing. The server's parser is the judge of what is
 * valid: this one accepts anything and loses nothing, the texts of its tokens always add up to the input.
 */
export type TokenKind =
  'field' | 'keyword' | 'operator' | 'string' | 'number' | 'punctuation' | 'space' | 'unknown';

export interface Token {
  kind: TokenKind;
  text: string;
  /** Position in UTF-16 units. */
  start: number;
  end: number;
}

const RULES: readonly [TokenKind, RegExp][] = [
  ['space', /\s+/y],
  ['string', /"(?:[^"\\]|\\.)*"?|`[^`]*`?/y],
  ['operator', /&&|\|\||=~|!~|!=|<=|>=|[=<>!|]/y],
  ['punctuation', /[{}()]/y],
  ['number', /-?\d+(?:\.\d+)?(?:ns|us|µs|ms|[smhd])?(?![\w.])/y],
  ['field', /[\p{L}_.][\p{L}\p{N}_.:\-/]*(?:"(?:[^"\\]|\\.)*"?)?/uy],
];

/** Words that are values or functions where a field could stand too. */
const KEYWORDS = new Set([
  'true',
  'false',
  'nil',
  'error',
  'ok',
  'unset',
  'server',
  'client',
  'producer',
  'consumer',
  'internal',
  'unspecified',
  'trace',
  'debug',
  'info',
  'warn',
  'fatal',
  'count',
]);

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let position = 0;
  while (position < text.length) {
    const token = next(text, position);
    tokens.push(token);
    position = token.end;
  }
  return tokens;
}

function next(text: string, start: number): Token {
  for (const [kind, rule] of RULES) {
    rule.lastIndex = start;
    const matched = rule.exec(text)?.[0];
    if (!matched) continue;
    const word = kind === 'field' && KEYWORDS.has(matched) ? 'keyword' : kind;
    return { kind: word, text: matched, start, end: start + matched.length };
  }
  const character = String.fromCodePoint(text.codePointAt(start) ?? 0);
  return { kind: 'unknown', text: character, start, end: start + character.length };
}

/** A value as the language writes it. */
export function literal(type: string, value: unknown): string {
  if (type === 'int' || type === 'double' || type === 'bool') return String(value);
  return quote(String(value));
}

export function quote(text: string): string {
  const escaped = text
    .replace(/[\\"]/g, (character) => `\\${character}`)
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t');
  return `"${escaped}"`;
}

export function unquote(text: string): string {
  if (text.startsWith('`')) return text.replace(/^`|`$/g, '');
  const inner = text.replace(/^"|"$/g, '');
  return inner.replace(/\\(.)/g, (_, character: string) => {
    const known: Record<string, string> = { n: '\n', r: '\r', t: '\t' };
    return known[character] ?? character;
  });
}

/** A field's name as the language writes it: quoted where it holds more than letters, digits, `_`, `.` and `-`. */
export function fieldName(scope: string, key: string): string {
  if (scope === 'intrinsic') return key;
  const prefix = `${scope}.`;
  return /^[\p{L}_][\p{L}\p{N}_.-]*$/u.test(key) ? prefix + key : `${prefix}${quote(key)}`;
}

/** The server counts characters (Unicode scalar values), the browser UTF-16 units. */
export function utf16Offset(text: string, characters: number): number {
  let index = 0;
  let seen = 0;
  for (const character of text) {
    if (seen >= characters) break;
    seen += 1;
    index += character.length;
  }
  return index;
}
