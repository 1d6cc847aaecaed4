import type { ClientLedger, LedgerCells, Nanos, SignalName, SignalStatus } from './api/types';
import { millisOf } from './time';

export function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

/** What was dropped against the will of whoever runs it: not what tail sampling and rules were asked to leave out. */
export function againstWill(dropped: Record<string, number>): number {
  const { tail_sampled: notSampled = 0, filtered = 0 } = dropped;
  return sum(dropped) - notSampled - filtered;
}

/** What must hold for a client: submitted + recovered = exported + rejected + dropped + in flight + spooled. */
export function accountedFor(cells: LedgerCells): number {
  return cells.exported + cells.rejected + sum(cells.dropped) + cells.in_flight + cells.spooled;
}

/** What the backend has of a client under its name, as the client says: what an earlier process made is under that one's. */
export function ownExported(cells: LedgerCells): number {
  return cells.exported - cells.exported_recovered;
}

export type Agreement = 'agree' | 'pending' | 'earlier' | 'differ';

/**
 * Whether client and backend tell the same story. A client counts what was acknowledged, and reports every now and
 * then: until its last report the backend may be ahead of it. It is behind only a client that counts since before the
 * backend started.
 */
export function agreement({ client, cells, stored = 0 }: LedgerLine, backendStart: Nanos): Agreement {
  const exported = ownExported(cells);
  if (stored === exported) return 'agree';
  if (stored < exported)
    return millisOf(client.started_unix_nano) < millisOf(backendStart) ? 'earlier' : 'differ';
  return client.final ? 'differ' : 'pending';
}

/** Several reports of a client are missing by then, if it had any to send: while its ledger changes, two seconds apart. */
const SILENT_MS = 15_000;

/** No report for a while, and no last one: `quiet` with nothing left to tell, else `silent`, as one that was killed is. */
export type Silence = 'quiet' | 'silent';

/** Whether a client should have reported again: what was in flight comes to an end, and its ledger changes by it. */
export function silenceOf(client: ClientLedger, nowMillis: number): Silence | null {
  if (client.final || nowMillis - millisOf(client.last_report_unix_nano) <= SILENT_MS) return null;
  return Object.values(client.signals).some(({ in_flight }) => in_flight > 0) ? 'silent' : 'quiet';
}

/** Records that silent clients had in flight and that did not arrive: the backend cannot tell what became of them. */
export function unsettled(lines: readonly LedgerLine[], nowMillis: number): number {
  const missing = ({ cells, stored = 0 }: LedgerLine) =>
    Math.max(0, cells.in_flight - Math.max(0, stored - ownExported(cells)));
  return lines
    .filter((line) => silenceOf(line.client, nowMillis) === 'silent')
    .reduce((total, line) => total + missing(line), 0);
}

/**
 * What must be zero for the backend: accepted = stored + duplicates + not stored + points of client ledgers + reports of
 * open spans.
 */
export function signalBalance(signal: SignalStatus): number {
  const kept =
    signal.stored + signal.duplicates + signal.not_stored + signal.ledger_points + signal.open_spans;
  return signal.accepted - kept;
}

export interface LedgerLine {
  client: ClientLedger;
  signal: SignalName;
  cells: LedgerCells;
  stored: number | undefined;
}

/** One line a client and signal that has anything to tell, clients by name and the latest first among equals. */
export function ledgerLines(clients: readonly ClientLedger[]): LedgerLine[] {
  const sorted = [...clients].sort(
    (a, b) =>
      a.service.localeCompare(b.service) || (a.last_report_unix_nano < b.last_report_unix_nano ? 1 : -1),
  );
  return sorted.flatMap((client) =>
    (['traces', 'logs', 'metrics', 'profiles'] as const).flatMap((signal) => {
      const cells = client.signals[signal];
      return cells && cells.submitted + cells.recovered > 0
        ? [{ client, signal, cells, stored: client.stored[signal] }]
        : [];
    }),
  );
}
