import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Playwright wants a path; `RINGLIGHT_CHROMIUM` may be a mere name. */
export function chromiumPath(): string {
  const program = process.env['RINGLIGHT_CHROMIUM'] ?? 'chromium';
  if (program.includes('/')) return program;
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));
  if (!found) throw new Error(`no program \`${program}\` in PATH; hint: apt-get install chromium`);
  return found;
}

/** Without a sandbox, because tests run as root in containers; without anything that would ask the network. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
