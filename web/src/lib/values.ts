import type { Attribute, TypedValue } from './api/types';

/** A value as text: what a person reads and what "copy" copies. */
export function valueText(value: TypedValue): string {
  switch (value.type) {
    case 'string':
    case 'bytes':
    case 'int':
    case 'double':
    case 'bool':
      return String(value.value);
    case 'empty':
      return '';
    default:
      return JSON.stringify(plain(value), null, 2);
  }
}

/** One line of it. */
export function valueLine(value: TypedValue): string {
  if (value.type === 'array' || value.type === 'map') return JSON.stringify(plain(value));
  return valueText(value).replace(/\s*\n\s*/g, ' ⏎ ');
}

/** Lists and maps as JSON has them. Integers that a double cannot hold stay text rather than become wrong. */
function plain(value: TypedValue): unknown {
  if (value.type === 'array') return (value.value as TypedValue[]).map(plain);
  if (value.type === 'map') {
    return Object.fromEntries((value.value as Attribute[]).map((entry) => [entry.key, plain(entry)]));
  }
  if (value.type === 'int') {
    const number = Number(value.value);
    return Number.isSafeInteger(number) ? number : value.value;
  }
  return value.value;
}

/** Whether the filter language can compare with it. */
export function isComparable(value: TypedValue): boolean {
  if (value.type === 'double') return typeof value.value === 'number';
  return value.type === 'string' || value.type === 'bool' || value.type === 'int';
}

const TYPE_LABELS: Record<string, string> = { string: 'str', double: 'float', bytes: 'base64' };

export function typeLabel(type: string): string {
  return TYPE_LABELS[type] ?? type;
}
