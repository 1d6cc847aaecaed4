import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` serves the sources and asks a running `ringlight up` for the data.
const api = process.env['RINGLIGHT_URL'] ?? 'http://127.0.0.1:4320';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    outDir: '../crates/ringlight-ui/dist',
    emptyOutDir: true,
    // Data URIs would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { host: '127.0.0.1', proxy: { '/api': { target: api, changeOrigin: true } } },
});
