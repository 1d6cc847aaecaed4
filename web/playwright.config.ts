import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { defineConfig } from '@playwright/test';

const url = process.env['RINGLIGHT_URL'];
if (!url) throw new Error('RINGLIGHT_URL is not set; it is the address a running `ringlight demo` prints');

/** Playwright wants a path; `RINGLIGHT_CHROMIUM` may be a mere name. */
function chromium(): string {
  const program = process.env['RINGLIGHT_CHROMIUM'] ?? 'chromium';
  if (program.includes('/')) return program;
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((directory) => join(directory, program))
    .find((path) => existsSync(path));
  if (!found) throw new Error(`no program \`${program}\` in PATH; hint: apt-get install chromium`);
  return found;
}

export default defineConfig({
  testDir: './e2e',
  outputDir: './test-results',
  forbidOnly: true,
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    baseURL: url,
    viewport: { width: 1280, height: 800 },
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: chromium(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
