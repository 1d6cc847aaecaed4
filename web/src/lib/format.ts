const DURATION_UNITS: readonly [number, string][] = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'µs'],
  [1, 'ns'],
];

/** Three significant digits with a unit: `0 ns`, `12.3 µs`, `1.05 s`, `2 m 05 s`, `3 h 07 m`. */
export function duration(nanos: number): string {
  if (!Number.isFinite(nanos)) return '?';
  const sign = nanos < 0 ? '-' : '';
  const size = Math.abs(nanos);
  if (size >= 60e9) return sign + longDuration(Math.round(size / 1e9));
  const [factor, unit] = DURATION_UNITS.find(([factor]) => size >= factor) ?? [1, 'ns'];
  const text = significant(size / factor);
  // Rounding may reach the next unit: 999.96 µs is 1 ms.
  if (text === '1000' && factor < 1e9) return duration(Math.sign(nanos) * factor * 1000);
  return `${sign}${text} ${unit}`;
}

/** A point in time on a scale with marks `step` apart: as many digits as tell two marks from each other. */
export function timeMark(nanos: number, step: number): string {
  if (nanos === 0) return '0';
  const [factor, unit] = DURATION_UNITS.find(([factor]) => Math.abs(nanos) >= factor) ?? [1, 'ns'];
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(Math.max(step, 1e-3) / factor) - 1e-9)));
  return `${(nanos / factor).toFixed(digits)} ${unit}`;
}

function significant(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toFixed(value >= 10 ? 1 : 2)));
}

function longDuration(seconds: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor(seconds / 60) % 60)} m`;
  return `${Math.floor(seconds / 86_400)} d ${two(Math.floor(seconds / 3600) % 24)} h`;
}

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

/** Binary units, three significant digits. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(size) : significant(size)} ${units[unit]}`;
}

/** Bytes that may be less than none, or a mean of them. */
export function signedBytes(value: number): string {
  return `${value < 0 ? '-' : ''}${bytes(Math.round(Math.abs(value)))}`;
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
