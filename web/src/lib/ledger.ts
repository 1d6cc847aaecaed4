import type { ClientLedger, LedgerCells, Nanos, SignalName, SignalStatus } from './api/types';
import { compareNanos, millisOf } from './time';

const SIGNALS: readonly SignalName[] = ['traces', 'logs', 'metrics', 'profiles'];

export function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

/** Whether a record that is dropped for this reason is left out as asked, by tail sampling or rules: nothing is lost. */
export function isAsked(reason: string): boolean {
  return reason === 'tail_sampled' || reason === 'filtered';
}

/** What was dropped against the will of whoever runs it. */
export function againstWill(dropped: Record<string, number>): number {
  return Object.entries(dropped).reduce((lost, [reason, value]) => lost + (isAsked(reason) ? 0 : value), 0);
}

/** What came to a client: what its process recorded, and what an earlier one had left on disk. */
export function received(cells: LedgerCells): number {
  return cells.submitted + cells.recovered;
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

/** The order of clients: by name, the latest first among equals. */
export function latestFirst(a: ClientLedger, b: ClientLedger): number {
  return a.service.localeCompare(b.service) || compareNanos(b.last_report_unix_nano, a.last_report_unix_nano);
}

/** One line a client and signal that has anything to tell, clients by name and the latest first among equals. */
export function ledgerLines(clients: readonly ClientLedger[]): LedgerLine[] {
  const sorted = [...clients].sort(latestFirst);
  return sorted.flatMap((client) =>
    SIGNALS.flatMap((signal) => {
      const cells = client.signals[signal];
      return cells && received(cells) > 0 ? [{ client, signal, cells, stored: client.stored[signal] }] : [];
    }),
  );
}

/** What the ledgers of several processes come to for one signal. */
export interface LedgerSum {
  signal: SignalName;
  cells: LedgerCells;
  stored: number;
  /** Processes with anything of the signal, and those of them that count since before the backend started. */
  processes: number;
  earlier: number;
  /** When the last of them reported last. */
  last_report_unix_nano: Nanos;
}

/** The rows of the ledgers: those that are shown one by one, and those of processes that are over and done with. */
export interface FoldedLedgers {
  shown: LedgerLine[];
  ended: LedgerLine[];
  /** How many processes have ended. */
  processes: number;
  sums: LedgerSum[];
}

/** So many processes have to have ended to be folded: the sum of one would take as much room as itself. */
export const FOLDED_MIN = 2;

/** Folds away processes that have said their last and whose ledgers are right; what is wrong stays in sight. */
export function foldEnded(lines: readonly LedgerLine[], backendStart: Nanos): FoldedLedgers {
  const isWrong = (line: LedgerLine) => !line.cells.balanced || agreement(line, backendStart) === 'differ';
  const wrong = new Set(lines.filter(isWrong).map(({ client }) => client));
  const isOver = ({ client }: LedgerLine) => client.final && !wrong.has(client);
  const ended = lines.filter(isOver);
  const processes = new Set(ended.map(({ client }) => client)).size;
  if (processes < FOLDED_MIN) return { shown: [...lines], ended: [], processes: 0, sums: [] };
  return {
    shown: lines.filter((line) => !isOver(line)),
    ended,
    processes,
    sums: sumsOf(ended, backendStart),
  };
}

function sumsOf(lines: readonly LedgerLine[], backendStart: Nanos): LedgerSum[] {
  return SIGNALS.flatMap((signal) => {
    const [first, ...rest] = lines.filter((line) => line.signal === signal);
    if (!first) return [];
    const all = [first, ...rest];
    const reports = all.map(({ client }) => client.last_report_unix_nano).sort(compareNanos);
    return [
      {
        signal,
        cells: rest.reduce((total, { cells }) => added(total, cells), first.cells),
        stored: all.reduce((total, { stored = 0 }) => total + stored, 0),
        processes: all.length,
        earlier: all.filter((line) => agreement(line, backendStart) === 'earlier').length,
        last_report_unix_nano: reports.at(-1) ?? first.client.last_report_unix_nano,
      },
    ];
  });
}

function added(a: LedgerCells, b: LedgerCells): LedgerCells {
  const dropped = { ...a.dropped };
  for (const [reason, value] of Object.entries(b.dropped)) dropped[reason] = (dropped[reason] ?? 0) + value;
  return {
    submitted: a.submitted + b.submitted,
    recovered: a.recovered + b.recovered,
    exported: a.exported + b.exported,
    exported_recovered: a.exported_recovered + b.exported_recovered,
    rejected: a.rejected + b.rejected,
    dropped,
    in_flight: a.in_flight + b.in_flight,
    spooled: a.spooled + b.spooled,
    balanced: a.balanced && b.balanced,
  };
}
