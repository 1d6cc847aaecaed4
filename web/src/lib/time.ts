/** Unix nanoseconds travel as strings: a double cannot hold them, a difference of two it can. */

const NANOS_PER_MS = 1_000_000n;

export function nanosOf(text: string): bigint {
  try {
    return BigInt(text);
  } catch {
    return 0n;
  }
}

/** Milliseconds since the epoch, for `Date`. */
export function millisOf(text: string): number {
  return Number(nanosOf(text) / NANOS_PER_MS);
}

/** `a - b` in nanoseconds, exact up to 104 days. */
export function nanosBetween(a: string, b: string): number {
  return Number(nanosOf(a) - nanosOf(b));
}

export function nanosFromMillis(millis: number): string {
  return (BigInt(Math.round(millis)) * NANOS_PER_MS).toString();
}

/** Compares two decimal strings of non-negative numbers without parsing them. */
export function compareNanos(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

const two = (value: number): string => String(value).padStart(2, '0');

export function clockTime(text: string, digits: 3 | 6 | 9 = 3): string {
  const date = new Date(millisOf(text));
  const fraction = String(nanosOf(text) % 1_000_000_000n)
    .padStart(9, '0')
    .slice(0, digits);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fraction}`;
}

export function calendarDay(text: string): string {
  const date = new Date(millisOf(text));
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function dateTime(text: string, digits: 3 | 6 | 9 = 3): string {
  return `${calendarDay(text)} ${clockTime(text, digits)}`;
}

/** The value of an `<input type="datetime-local">` for a time, and back. */
export function toLocalInput(millis: number): string {
  const date = new Date(millis);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function fromLocalInput(text: string): number | null {
  const millis = new Date(text).getTime();
  return Number.isNaN(millis) ? null : millis;
}
