const DURATION_UNITS: readonly [number, string][] = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
];

/**
 * Three significant digits with a unit: `0 ns`, `12.3 µs`, `1.05 s`, `2 m 05 s`, `3 h 07 m`; with as many `more` where
 * that is too few, of which those of minutes, hours and days show smaller units first.
 */
export function duration(nanos: number, more = 0): string {
  if (!Number.isFinite(nanos)) return '?';
  const sign = nanos < 0 ? '-' : '';
  const size = Math.abs(nanos);
  if (size >= 60e9) return sign + longDuration(size / 1e9, more);
  const [factor, unit] = DURATION_UNITS.find(([factor]) => size >= factor) ?? [1, 'ns'];
  const text = significant(size / factor, more);
  // Rounding may reach the next unit: 999.96 µs is 1 ms.
  if (text === '1000' && factor < 1e9) return duration(Math.sign(nanos) * factor * 1000);
  return `${sign}${text} ${unit}`;
}

/** When in a trace, after its start: `the start`, `+1.2 ms`, `-3 µs`. */
export function offset(nanos: number): string {
  if (nanos === 0) return 'the start';
  return `${nanos < 0 ? '' : '+'}${duration(nanos)}`;
}

/** A point in time on a scale with marks `step` apart: as many digits as tell two marks from each other. */
export function timeMark(nanos: number, step: number): string {
  if (nanos === 0) return '0';
  const [factor, unit] = DURATION_UNITS.find(([factor]) => Math.abs(nanos) >= factor) ?? [1, 'ns'];
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(Math.max(step, 1e-3) / factor) - 1e-9)));
  return `${(nanos / factor).toFixed(digits)} ${unit}`;
}

function significant(value: number, more = 0): string {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals + more)));
}

/** Days to seconds, of which two are shown, and one for each of `more`; what is left of these are decimals. */
function longDuration(size: number, more: number): string {
  const rounded = Math.round(size);
  const first = rounded >= 86_400 ? 0 : rounded >= 3600 ? 1 : 2;
  const decimals = Math.max(0, first + 2 + more - LONG_UNITS.length);
  const seconds = Number(size.toFixed(decimals));
  const two = (value: number) => String(value).padStart(2, '0');
  const [whole, decimal] = (seconds % 60).toFixed(decimals).split('.');
  const last = decimal === undefined ? two(Number(whole)) : `${two(Number(whole))}.${decimal}`;
  const parts = [
    String(Math.floor(seconds / 86_400)),
    two(Math.floor(seconds / 3600) % 24),
    two(Math.floor(seconds / 60) % 60),
    last,
  ].map((text, place) => `${place === first ? String(Number(text)) : text} ${LONG_UNITS[place]}`);
  return parts.slice(first, first + 2 + more).join(' ');
}

const LONG_UNITS = ['d', 'h', 'm', 's'] as const;

const grouped = new Intl.NumberFormat('en-US');

/** `12,345`. */
export function count(value: number): string {
  return grouped.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** How many are in a list, and whether these are all. */
export function shown(value: number, one: string, all: boolean): string {
  if (value === 1) return all ? `1 ${one}, there is no other` : `The newest ${one}`;
  return `${all ? 'All' : 'The newest'} ${plural(value, one)}`;
}

/** Binary units, three significant digits, and as many `more`. */
export function bytes(value: number, more = 0): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(size) : significant(size, more)} ${units[unit]}`;
}

/** Bytes that may be less than none, or a mean of them. */
export function signedBytes(value: number, more = 0): string {
  return `${value < 0 ? '-' : ''}${bytes(Math.round(Math.abs(value)), more)}`;
}

/** How long ago, coarse enough to stay readable while it counts. */
export function ago(thenMillis: number, nowMillis: number): string {
  const seconds = Math.round((nowMillis - thenMillis) / 1000);
  if (seconds < -5) return 'in the future';
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** Parts of a whole; never "100 %" or "0 %" for what is only nearly so. */
export function percent(part: number, whole: number): string {
  if (whole <= 0) return '0 %';
  const value = (part / whole) * 100;
  if (value > 0 && value < 0.1) return '< 0.1 %';
  if (value < 100 && value > 99.9) return '> 99.9 %';
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} %`;
}

/** How often: a second, or a minute where that says more. Three significant digits. */
export function rateText(perSecond: number): string {
  const [value, unit] = perSecond >= 1 || perSecond === 0 ? [perSecond, 's'] : [perSecond * 60, 'min'];
  return `${value >= 1000 ? count(Math.round(value)) : significant(value)} /${unit}`;
}
