import { describe, expect, test } from 'vitest';

import { expectationAt, splitField } from './complete';
import { conditionValue, serviceOf, setCondition, setService } from './edit';
import { EXAMPLES } from './examples';
import { fieldName, literal, quote, tokenize, unquote, utf16Offset } from './lexer';
import { plainTextFilter, traceIdIn } from './suggest';

function kinds(text: string): string {
  return tokenize(text)
    .filter((token) => token.kind !== 'space')
    .map((token) => `${token.kind}:${token.text}`)
    .join(' ');
}

describe('tokens', () => {
  test.each([
    ['{ duration > 100ms }', 'punctuation:{ field:duration operator:> number:100ms punctuation:}'],
    ['span.http.status_code>=500', 'field:span.http.status_code operator:>= number:500'],
    [
      'status=error&&!(kind!=server)',
      'field:status operator:= keyword:error operator:&& operator:! punctuation:( field:kind operator:!= keyword:server punctuation:)',
    ],
    ['name =~ "a\\"b.*"', 'field:name operator:=~ string:"a\\"b.*"'],
    ['.foo = `raw', 'field:.foo operator:= string:`raw'],
    ['span."my key" = nil', 'field:span."my key" operator:= keyword:nil'],
    ['# ä = 1.5', 'unknown:# field:ä operator:= number:1.5'],
  ])('%s', (text, expected) => expect(kinds(text)).toBe(expected));

  test('nothing is lost, whatever is typed', () => {
    const alphabet = ['{', '"', '\\', '=', '>', ' ', 'a', 'é', '😀', '.', '1', '|', '`', '\n', '~'];
    let seed = 7;
    const next = () => (seed = (seed * 48_271) % 2_147_483_647);
    for (let round = 0; round < 500; round += 1) {
      const text = Array.from({ length: next() % 14 }, () => alphabet[next() % alphabet.length]).join('');
      expect(
        tokenize(text)
          .map((token) => token.text)
          .join(''),
      ).toBe(text);
    }
  });
});

describe('literals', () => {
  test.each(['plain', 'a "quoted" \\ one', 'line\nbreak\tand tab', ''])('%j goes there and back', (text) => {
    expect(unquote(quote(text))).toBe(text);
    expect(tokenize(quote(text))).toHaveLength(1);
  });

  test('types are written as the language has them', () => {
    expect(literal('int', '9223372036854775807')).toBe('9223372036854775807');
    expect(literal('bool', true)).toBe('true');
    expect(literal('string', 'a"b')).toBe('"a\\"b"');
    expect(fieldName('span', 'http.route')).toBe('span.http.route');
    expect(fieldName('resource', 'odd key')).toBe('resource."odd key"');
    expect(fieldName('intrinsic', 'duration')).toBe('duration');
  });

  test('characters of the server are found in UTF-16', () => {
    expect(utf16Offset('a😀b', 2)).toBe(3);
    expect(utf16Offset('abc', 99)).toBe(3);
  });
});

describe('editing', () => {
  test.each([
    ['', 'shop', '{ resource.service.name = "shop" }'],
    ['{ duration > 1s }', 'shop', '{ resource.service.name = "shop" && duration > 1s }'],
    ['{ a.b = 1 || c.d = 2 }', 'shop', '{ resource.service.name = "shop" && (a.b = 1 || c.d = 2) }'],
    ['duration > 1s', 'shop', 'resource.service.name = "shop" && duration > 1s'],
    [
      '{ resource.service.name = "a" && duration > 1s }',
      'b',
      '{ resource.service.name = "b" && duration > 1s }',
    ],
    ['{ resource.service.name = "a" && duration > 1s }', null, '{ duration > 1s }'],
    ['{ duration > 1s && resource.service.name = "a" }', null, '{ duration > 1s }'],
    ['{ resource.service.name = "a" }', null, ''],
    [
      '{ duration > 1s } | count() > 3',
      'x',
      '{ resource.service.name = "x" && duration > 1s } | count() > 3',
    ],
    ['{ }', 'x', '{ resource.service.name = "x" }'],
  ])('%s with service %s', (text, service, expected) => expect(setService(text, service)).toBe(expected));

  test('a condition is read only where it holds for all', () => {
    expect(serviceOf('{ resource.service.name = "a b" && status = error }')).toBe('a b');
    expect(serviceOf('{ resource.service.name = "a" || status = error }')).toBeNull();
    expect(serviceOf('{ !(resource.service.name = "a") }')).toBeNull();
    expect(serviceOf('{ resource.service.name != "a" }')).toBeNull();
    expect(conditionValue('severity >= warn', 'severity', '>=')).toBe('warn');
  });

  test('another operator on the same field is another condition', () => {
    expect(setCondition('{ severity >= info }', 'severity', '>=', 'error')).toBe('{ severity >= error }');
    expect(setCondition('{ severity = info }', 'severity', '>=', 'warn')).toBe(
      '{ severity >= warn && severity = info }',
    );
  });
});

describe('what may stand at the cursor, marked by |', () => {
  test.each([
    ['|', 'field'],
    ['{ |', 'field'],
    ['{ dur|', 'field'],
    ['{ duration |', 'operator'],
    ['{ duration > |', 'value'],
    ['{ duration > 10|', 'value'],
    ['{ name = "a|', 'value'],
    ['{ duration > 10ms |', 'connector'],
    ['{ duration > 10ms && |', 'field'],
    ['{ (status = error) |', 'connector'],
    ['{ status = error } |', 'nothing'],
  ])('%s', (marked, kind) => {
    const cursor = marked.indexOf('|', marked.includes('||') ? 99 : 0);
    const text = marked.replace('|', '');
    expect(expectationAt(text, cursor).kind).toBe(kind);
  });

  test('the field of a value is known', () => {
    const text = '{ resource.service.name = "sh" }';
    expect(expectationAt(text, text.indexOf('h"') + 1)).toMatchObject({
      kind: 'value',
      field: 'resource.service.name',
      operator: '=',
      prefix: 'sh',
      quoted: true,
    });
    expect(splitField('resource.service.name')).toEqual({ scope: 'resource', key: 'service.name' });
    expect(splitField('point.http.route')).toEqual({ scope: 'point', key: 'http.route' });
    expect(splitField('.any')).toEqual({ scope: '', key: 'any' });
    expect(splitField('rootName')).toEqual({ scope: 'intrinsic', key: 'rootName' });
  });
});

test('plain words become a filter, a filter stays as it is', () => {
  expect(plainTextFilter('time (out', 'logs')).toBe(
    '{ body =~ "(?is).*time \\\\(out.*" || log.error =~ "(?is).*time \\\\(out.*" }',
  );
  expect(plainTextFilter('GET /', 'traces')).toBe('{ name =~ "(?is).*GET /.*" }');
  expect(plainTextFilter('{ status = error }', 'traces')).toBeNull();
  expect(plainTextFilter('  ', 'traces')).toBeNull();
  expect(plainTextFilter('orders', 'metrics')).toBeNull();
});

test('a pasted id is a trace or a span', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  expect(traceIdIn(` ${id.toUpperCase()} `)).toBe(id);
  expect(traceIdIn('4bf92f35-77b3-4da6-a3ce-929d0e0e4736')).toBe(id);
  expect(traceIdIn(id.slice(1))).toBeNull();
  expect(plainTextFilter('00F067aa0ba902b7', 'logs')).toBe('{ span:id = "00f067aa0ba902b7" }');
});

test('examples have nothing the tokens do not know', () => {
  for (const { query } of EXAMPLES) {
    expect(tokenize(query).filter((token) => token.kind === 'unknown')).toEqual([]);
  }
});
