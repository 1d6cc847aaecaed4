import { defineConfig } from '@playwright/test';

import { chromiumPath, CHROMIUM_FLAGS } from './scripts/chromium';

const url = process.env['RINGLIGHT_URL'];
if (!url) throw new Error('RINGLIGHT_URL is not set; it is the address a running `ringlight demo` prints');

export default defineConfig({
  testDir: './e2e',
  // The pictures of the documentation are made on request: `npm run screenshots`.
  ...(process.env['RINGLIGHT_PICTURES'] ? { testMatch: 'pictures.ts' } : {}),
  outputDir: './test-results',
  forbidOnly: true,
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  use: {
    baseURL: url,
    viewport: { width: 1280, height: 800 },
    screenshot: 'only-on-failure',
    launchOptions: { executablePath: chromiumPath(), args: CHROMIUM_FLAGS },
  },
});
