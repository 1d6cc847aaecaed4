// Trace files in Perfetto's own viewer, whose engine says what it took from them. `cargo xtask interop` runs it, with
// PERFETTO_VIEWER, the folder of the viewer, and PERFETTO_TRACES, a folder with what the example `trace_file` wrote.

import { readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

import { expect, test, type Page } from '@playwright/test';

type Row = Record<string, string | number | null>;

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
};

const folder = (name: string): string => {
  const path = process.env[name];
  if (!path) throw new Error(`${name} is not set; \`cargo xtask interop\` sets it`);
  return path;
};
const viewer = folder('PERFETTO_VIEWER');
const traces = folder('PERFETTO_TRACES');

const server = createServer((request, response) => {
  const path = normalize(new URL(request.url ?? '/', 'http://viewer').pathname);
  const cut = path.startsWith('/cut/');
  const file =
    path.startsWith('/whole/') || cut ? join(traces, path.slice(path.indexOf('/', 1))) : join(viewer, path);
  try {
    const bytes = readFileSync(path === '/' ? join(viewer, 'index.html') : file);
    response.setHeader(
      'content-type',
      TYPES[extname(file)] ?? (path === '/' ? 'text/html' : 'application/octet-stream'),
    );
    // As after `kill -9` in the middle of a write: the last event is not whole.
    response.end(cut ? bytes.subarray(0, bytes.length - 37) : bytes);
  } catch {
    response.writeHead(404).end();
  }
});

test.beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
test.afterAll(() => server.close());

/** What the viewer's engine answers to a query. */
async function query(page: Page, sql: string): Promise<Row[]> {
  return page.evaluate(async (sql) => {
    const { app } = globalThis as unknown as {
      app: { trace: { engine: { query(sql: string): Promise<Result> } } };
    };
    interface Result {
      columns(): string[];
      iter(spec: object): { valid(): boolean; next(): void; get(column: string): unknown };
    }
    const result = await app.trace.engine.query(sql);
    const rows = [];
    for (const at = result.iter({}); at.valid(); at.next()) {
      const cells = result.columns().map((column) => {
        const value = at.get(column);
        return [column, typeof value === 'bigint' ? Number(value) : value];
      });
      rows.push(Object.fromEntries(cells));
    }
    return rows as Record<string, string | number | null>[];
  }, sql);
}

async function one(page: Page, sql: string): Promise<Row> {
  const rows = await query(page, sql);
  expect(rows, sql).toHaveLength(1);
  return rows[0]!;
}

async function open(page: Page, path: string): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  await page.goto(`${origin}/#!/?url=${origin}/${path}`);
  await page.waitForFunction(() => {
    const { app } = globalThis as unknown as { app?: { trace?: object; isLoadingTrace: boolean } };
    return app?.trace !== undefined && !app.isLoadingTrace;
  });
}

const files = (format: string): string[] => readdirSync(traces).filter((name) => extname(name) === format);

for (const [format, unit] of [
  ['.json', ' bytes'],
  ['.pftrace', ''],
] as const) {
  test(`Perfetto draws a ${format} file as it is meant`, async ({ page }) => {
    const [file] = files(format);
    expect(file, `a ${format} file in ${traces}`).toBeDefined();
    await open(page, `whole/${file}`);

    expect(await query(page, "select name, value from stats where value > 0 and severity != 'info'")).toEqual(
      [],
    );
    expect(await one(page, "select count(*) as n from process where name = 'kitchen'")).toEqual({ n: 1 });

    // On threads: what is not a future, each poll of what is, log records.
    const onThreads = await query(
      page,
      `select s.name, t.name as thread, count(*) as n, sum(s.dur > 0) as lasting
       from slice s join thread_track tt on tt.id = s.track_id join thread t using (utid)
       where t.name = 'cook' group by 1`,
    );
    const times = (name: string) => onThreads.find((row) => row['name'] === name);
    expect(times('chop')).toMatchObject({ n: 24, lasting: 24 });
    expect(times('chopped')).toMatchObject({ n: 24, lasting: 0 });
    expect(times('bake')).toMatchObject({ lasting: 8 });
    // Each is polled when it begins, after three pauses, and when it is baked. That it is dropped is not shown, unless the
    // machine took long for it.
    const polls = Number(times('dish')?.['n']);
    expect(polls).toBeGreaterThanOrEqual(40);
    expect(polls).toBeLessThan(48);

    // The life of a future is a track of the process.
    const lives = await one(
      page,
      `select count(*) as n, min(dur) as shortest, count(distinct p.upid) as processes
       from slice s join process_track p on p.id = s.track_id where s.name = 'dish'`,
    );
    expect(lives).toMatchObject({ n: 8, processes: 1 });
    expect(Number(lives['shortest'])).toBeGreaterThan(6_000_000);

    // Its polls follow each other, and what it gives to another thread comes from there.
    const following = await one(
      page,
      `select count(*) as n from flow f join slice a on a.id = f.slice_out join slice b on b.id = f.slice_in
       where a.name = 'dish' and b.name = 'dish' and a.ts < b.ts`,
    );
    expect(Number(following['n'])).toBe(polls - 8);
    const given = await one(
      page,
      "select count(*) as n from flow f join slice b on b.id = f.slice_in where b.name = 'bake'",
    );
    expect(given).toEqual({ n: 8 });

    // Fields and ids.
    const argument = (key: string) =>
      query(
        page,
        `select distinct coalesce(string_value, int_value, real_value) as value from args join slice s using (arg_set_id)
         where s.name = 'chop' and key glob '*.${key}' order by 1`,
      );
    expect((await argument('step')).map((row) => String(row['value']))).toEqual(['0', '1', '2']);
    expect((await argument('share')).map((row) => Number(row['value']))).toEqual([0.5]);
    const ids = await argument('trace_id');
    expect(ids).toHaveLength(8);
    expect(ids.every((row) => /^[0-9a-f]{32}$/.test(String(row['value'])))).toBe(true);

    const memory = await one(
      page,
      `select max(value) as most from counter c join counter_track t on t.id = c.track_id where t.name = 'memory${unit}'`,
    );
    expect(Number(memory['most'])).toBeGreaterThan(100_000);
    await page.screenshot({ path: test.info().outputPath('viewer.png') });
  });

  test(`Perfetto opens a ${format} file that is cut off`, async ({ page }) => {
    const [file] = files(format);
    await open(page, `cut/${file}`);
    const chopped =
      "select count(*) as n from slice join thread_track t on t.id = track_id where slice.name = 'chop'";
    expect(await one(page, chopped)).toEqual({ n: 24 });
  });
}
