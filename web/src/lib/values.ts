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

/**
 * Text from outside for the screen: control characters, which a terminal would obey, and marks that turn the direction
 * of what follows are shown as what they are. Tabs and line ends stay.
 */
export function visible(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20
      ? String.fromCharCode(0x2400 + code)
      : `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
  });
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line of it. */
export function valueLine(value: TypedValue): string {
  if (value.type === 'array' || value.type === 'map') return visible(JSON.stringify(plain(value)));
  return visible(valueText(value).replace(/\s*\n\s*/g, ' ⏎ '));
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

/** Tells things apart by several texts, whatever these hold. */
export function keyOf(...parts: readonly (string | number | boolean)[]): string {
  return JSON.stringify(parts);
}
