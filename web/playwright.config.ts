import { defineConfig } from '@playwright/test';

import { chromiumPath, CHROMIUM_FLAGS } from './scripts/chromium';

const script = process.env['RINGLIGHT_SCRIPT'];

const url = process.env['RINGLIGHT_URL'];
if (!url && script !== 'perfetto')
  throw new Error('RINGLIGHT_URL is not set; it is the address a running `ringlight demo` prints');

export default defineConfig({
  testDir: './e2e',
  // No tests of the page: `npm run screenshots` makes the pictures of the documentation, `npm run frames` measures the
  // waterfall, and `npm run perfetto` opens trace files in Perfetto.
  ...(script ? { testMatch: `${script}.ts` } : {}),
  outputDir: './test-results',
  forbidOnly: true,
  workers: 1,
  // A test that needs its second try is reported as flaky; it is a defect all the same.
  retries: process.env['CI'] ? 1 : 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    ...(url ? { baseURL: url } : {}),
    viewport: { width: 1280, height: 800 },
    screenshot: 'only-on-failure',
    launchOptions: { executablePath: chromiumPath(), args: CHROMIUM_FLAGS },
  },
});
