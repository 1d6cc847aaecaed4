import type { Nanos, Status } from './api/types';
import { observed } from './cost';
import { count, plural } from './format';
import {
  accountedFor,
  againstWill,
  agreement,
  ledgerLines,
  ownExported,
  received,
  signalBalance,
  sum,
  unsettled,
  type LedgerLine,
} from './ledger';
import { programOf } from './service';
import { visible } from './values';

/** Something a reader of the Health page should look at, and where. */
export interface Finding {
  level: 'error' | 'warn';
  text: string;
  /** The part of the page that says more, as the fragment of an address. */
  target: string;
}

/** Rows of ledgers that are named one by one; of more there is only the number. */
const NAMED_MAX = 5;

/** What a reader should look at, problems first. */
export function findingsOf(status: Status, nowMillis: number): Finding[] {
  const lines = ledgerLines(status.clients);
  const found = [
    ...ofStore(status),
    ...ofSignals(status),
    ...ofLedgers(lines, status.started_unix_nano),
    ...ofLosses(lines, nowMillis),
    ...ofForwarding(status),
    ...ofCost(status),
    ...ofRefusals(status),
  ];
  const isProblem = ({ level }: Finding) => level === 'error';
  return [...found.filter(isProblem), ...found.filter((one) => !isProblem(one))];
}

function ofStore({ store }: Status): Finding[] {
  const found: Finding[] = [];
  const add = (level: Finding['level'], text: string) => found.push({ level, text, target: '#store' });
  if (store.disk_full) add('error', 'The disk is full: receiving has stopped until there is room.');
  if (store.corrupt > 0) {
    add('error', `${plural(store.corrupt, 'block')} of the store found damaged and left out.`);
  }
  if (store.series_forgotten > 0) {
    add(
      'warn',
      `${count(store.series_forgotten)} old series of metrics made room for new ones and cannot be found.`,
    );
  }
  return found;
}

function ofSignals({ signals }: Status): Finding[] {
  const target = '#signals';
  return Object.entries(signals).flatMap(([name, signal]) => {
    const found: Finding[] = [];
    const off = signalBalance(signal);
    if (off !== 0) {
      const text = `The count of ${name} does not add up: ${count(signal.accepted)} accepted, ${count(signal.accepted - off)} accounted for.`;
      found.push({ level: 'error', text, target });
    }
    const rejected = sum(signal.rejected);
    if (rejected > 0) {
      found.push({ level: 'warn', text: `${plural(rejected, 'item')} of ${name} rejected.`, target });
    }
    return found;
  });
}

/** A row of the ledgers in words: the service, the process as the row shows it, the signal. */
function nameOf({ client, signal }: LedgerLine): string {
  const service = visible(programOf(client.service) ?? client.service) || 'unknown service';
  return `${`${service} ${visible(client.instance.slice(0, 8))}`.trim()}, ${signal}`;
}

function ofLedgers(lines: readonly LedgerLine[], backendStart: Nanos): Finding[] {
  const each = (wrong: readonly LedgerLine[], say: (line: LedgerLine) => string): Finding[] => {
    const texts = wrong.slice(0, NAMED_MAX).map((line) => `${nameOf(line)}: ${say(line)}.`);
    const more = wrong.length - texts.length;
    if (more > 0)
      texts.push(`${plural(more, 'more row')} of the ledgers ${more === 1 ? 'is' : 'are'} wrong.`);
    return texts.map((text) => ({ level: 'error', text, target: '#clients' }));
  };
  return [
    ...each(
      lines.filter(({ cells }) => !cells.balanced),
      ({ cells }) =>
        `the client's ledger does not balance, with ${count(received(cells))} submitted or found on disk and ${count(accountedFor(cells))} accounted for`,
    ),
    ...each(
      lines.filter((line) => agreement(line, backendStart) === 'differ'),
      ({ cells, stored = 0 }) =>
        `the client says that it exported ${count(ownExported(cells))}, and ${count(stored)} are stored here`,
    ),
  ];
}

function ofLosses(lines: readonly LedgerLine[], nowMillis: number): Finding[] {
  const found: Finding[] = [];
  const add = (text: string) => found.push({ level: 'warn', text, target: '#clients' });
  const dropped = lines.reduce((total, line) => total + againstWill(line.cells.dropped), 0);
  if (dropped > 0) add(`Clients dropped ${plural(dropped, 'record')}.`);
  const lost = unsettled(lines, nowMillis);
  if (lost > 0) {
    add(`${plural(lost, 'record was', 'records were')} in flight when clients ended without a last report.`);
  }
  return found;
}

function ofForwarding({ forward }: Status): Finding[] {
  const found: Finding[] = [];
  const add = (text: string) => found.push({ level: 'warn', text, target: '#forward' });
  const passedOn = Object.values(forward?.signals ?? {});
  const lost = passedOn.reduce((total, cells) => total + cells.rejected + sum(cells.dropped), 0);
  if (lost > 0) {
    add(`${plural(lost, 'record was', 'records were')} refused or dropped on the way to the next backend.`);
  }
  const waiting = passedOn.reduce((total, cells) => total + cells.spooled, 0);
  if (waiting > 0) {
    add(`${plural(waiting, 'record waits', 'records wait')} on disk for the next backend.`);
  }
  return found;
}

function ofCost({ clients }: Status): Finding[] {
  const held = observed(clients).filter(
    ({ cost, final }) => cost && !final && cost.sampling_ratio < 1,
  ).length;
  if (held === 0) return [];
  const text = `${plural(held, 'client records', 'clients record')} fewer traces to stay within the overhead budget.`;
  return [{ level: 'warn', text, target: '#cost' }];
}

function ofRefusals({ refused_requests: counts }: Status): Finding[] {
  const refused = sum(counts);
  if (refused === 0) return [];
  return [{ level: 'warn', text: `${plural(refused, 'request')} refused.`, target: '#refusals' }];
}
