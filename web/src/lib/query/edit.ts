import { quote, tokenize, unquote, type Token } from './lexer';

/**
 * Menus edit the text of the query rather than keep a second filter beside it: what is written in the bar is all
 * that filters. Only conditions joined by `&&` at the top are recognised.
 */
interface Condition {
  field: string;
  operator: string;
  value: string;
  start: number;
  end: number;
}

/** The part between the outer braces, or everything where there are none. */
function body(text: string): { start: number; end: number; braced: boolean } {
  const open = tokenize(text).find((token) => token.kind !== 'space');
  if (open?.text !== '{') return { start: 0, end: text.length, braced: false };
  let depth = 0;
  for (const token of tokenize(text)) {
    if (token.text === '{') depth += 1;
    if (token.text === '}') {
      depth -= 1;
      if (depth === 0) return { start: open.end, end: token.start, braced: true };
    }
  }
  return { start: open.end, end: text.length, braced: true };
}

function topLevel(text: string): { conditions: Condition[]; hasOr: boolean } {
  const range = body(text);
  const tokens = tokenize(text).filter(
    (token) => token.kind !== 'space' && token.start >= range.start && token.end <= range.end,
  );
  const conditions: Condition[] = [];
  let depth = 0;
  let hasOr = false;
  tokens.forEach((token, index) => {
    if (token.text === '(') depth += 1;
    else if (token.text === ')') depth -= 1;
    else if (depth === 0 && token.text === '||') hasOr = true;
    else if (depth === 0) {
      const found = conditionAt(tokens, index);
      if (found) conditions.push(found);
    }
  });
  return { conditions: hasOr ? [] : conditions, hasOr };
}

function conditionAt(tokens: Token[], index: number): Condition | null {
  const [before, field, operator, value] = [
    tokens[index - 1],
    tokens[index],
    tokens[index + 1],
    tokens[index + 2],
  ];
  if (field?.kind !== 'field' || operator?.kind !== 'operator' || !value) return null;
  if (before && before.text !== '&&') return null;
  if (value.kind !== 'string' && value.kind !== 'number' && value.kind !== 'keyword') return null;
  return {
    field: field.text,
    operator: operator.text,
    value: value.text,
    start: field.start,
    end: value.end,
  };
}

/** The value `field` is compared with by `operator` at the top level, unquoted; null where it is not. */
export function conditionValue(text: string, field: string, operator: string): string | null {
  const found = topLevel(text).conditions.find(
    (condition) => condition.field === field && condition.operator === operator,
  );
  if (!found) return null;
  return /^["`]/.test(found.value) ? unquote(found.value) : found.value;
}

/** Adds, replaces or (with null) removes the condition `field operator literal`. */
export function setCondition(text: string, field: string, operator: string, literal: string | null): string {
  const { conditions, hasOr } = topLevel(text);
  const found = conditions.find((condition) => condition.field === field && condition.operator === operator);
  if (found) {
    if (literal !== null) {
      return text.slice(0, found.start) + `${field} ${operator} ${literal}` + text.slice(found.end);
    }
    return removeRange(text, found.start, found.end);
  }
  if (literal === null) return text;
  const range = body(text);
  const inner = text.slice(range.start, range.end).trim();
  const condition = `${field} ${operator} ${literal}`;
  const joined = inner === '' ? condition : `${condition} && ${hasOr ? `(${inner})` : inner}`;
  if (!range.braced) return text.trim() === '' ? `{ ${joined} }` : joined;
  const rest = text.slice(range.end);
  return `{ ${joined} ${rest === '' ? '}' : rest}`;
}

function removeRange(text: string, start: number, end: number): string {
  const before = text.slice(0, start);
  const after = text.slice(end);
  const joinedAfter = /^\s*&&\s*/.exec(after);
  const joinedBefore = /\s*&&\s*$/.exec(before);
  let result = before + after;
  if (joinedAfter) result = before + after.slice(joinedAfter[0].length);
  else if (joinedBefore) result = before.slice(0, before.length - joinedBefore[0].length) + after;
  return /^\s*\{\s*\}\s*$/.test(result) ? '' : result;
}

export function setService(text: string, service: string | null): string {
  return setCondition(text, 'resource.service.name', '=', service === null ? null : quote(service));
}

export function serviceOf(text: string): string | null {
  return conditionValue(text, 'resource.service.name', '=');
}
