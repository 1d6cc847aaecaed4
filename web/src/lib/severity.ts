export const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

export type Level = (typeof LEVELS)[number];

/** OpenTelemetry's severity numbers come in groups of four. */
export function severityOf(number: number): Level | 'unset' {
  if (number < 1 || number > 24) return 'unset';
  return LEVELS[Math.floor((number - 1) / 4)] ?? 'unset';
}
