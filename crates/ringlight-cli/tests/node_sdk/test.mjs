// The stock OpenTelemetry SDK for Node.js against a running `ringlight up`: a program that is told by the standard
// variables where and how to send, and what it sent compared with what the API of the backend answers.
//
//     npm ci && RINGLIGHT_BIN=target/debug/ringlight node --test test.mjs

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { ATTRIBUTES, BY_PROTOCOL, EXTENDED, answered, answeredToJson } from './values.mjs';

const ITEMS = 2000;
const folder = mkdtempSync(join(tmpdir(), 'ringlight-node-'));
let backend;
let ready;

before(async () => {
  const ports = ['--grpc-port', '0', '--http-port', '0', '--ui-port', '0'];
  backend = spawn(process.env.RINGLIGHT_BIN, ['up', '--json', '--data-dir', folder, ...ports], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: backend.stdout })) {
    ready = JSON.parse(line);
    break;
  }
  assert(ready, 'the backend starts');
});

after(async () => {
  const ended = new Promise((resolve) => backend.once('exit', resolve));
  backend.kill('SIGTERM');
  assert.equal(await ended, 0);
  rmSync(folder, { recursive: true });
});

const url = (address) => (address.startsWith('http') ? address : `http://${address}`);

async function get(path) {
  const response = await fetch(ready.url.replace(/\/$/, '') + path);
  assert.equal(response.status, 200, path);
  return response.json();
}

const signals = async () => (await get('/api/v1/status')).signals;

const byKey = (attributes) => Object.fromEntries(attributes.map(({ key, ...value }) => [key, value]));

// What a metric of a service comes to in the last hour.
async function total(name, agg, service) {
  const query = new URLSearchParams({ agg, q: `resource.service.name = "${service}"`, step: '1000000000000000' });
  const { series } = await get(`/api/v1/metrics/${name}?${query}`);
  assert.equal(series.length, 1);
  const sum = series[0].points.reduce((sum, { value }) => sum + value, 0);
  return Math.round(sum * 1e6) / 1e6;
}

async function send(protocol, compression) {
  const service = `node ${protocol} ${compression}`;
  const endpoint = url(protocol === 'grpc' ? ready.otlp_grpc : ready.otlp_http);
  const program = new URL('sender.mjs', import.meta.url).pathname;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program], {
    env: {
      PATH: process.env.PATH,
      OTEL_SERVICE_NAME: service,
      OTEL_RESOURCE_ATTRIBUTES: 'shop.region=eu%20west',
      OTEL_NODE_RESOURCE_DETECTORS: 'env',
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_COMPRESSION: compression,
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      // More than a batch, and less than what it would drop.
      OTEL_BSP_MAX_QUEUE_SIZE: '10000',
    },
  });
  assert.equal(stderr, '', 'the SDK complains of nothing');
  return { service, ...JSON.parse(stdout) };
}

function checkSpans(sent, found, expected) {
  const spans = Object.fromEntries(found.spans.map((span) => [span.name, span]));
  const root = spans['checkout ☕'];
  assert.deepEqual(byKey(root.attributes), expected);
  assert.equal(root.span_id, sent.spanId);
  assert.equal(root.parent_span_id, '');
  assert.equal(root.kind, 'server');
  assert.equal(root.start_unix_nano, '1790000000000000001');
  assert.equal(root.duration_nano, 1_000_000_000);
  assert.equal(root.status.code, 'unset');
  const [event] = root.events;
  assert.deepEqual([event.name, event.time_unix_nano], ['cache.miss', '1790000000000000500']);
  const ints = ['1', '2'].map((value) => ({ type: 'int', value }));
  assert.deepEqual(byKey(event.attributes), { 'event.key': { type: 'array', value: ints } });
  const [link] = root.links;
  assert.equal(link.trace_id, '0102030405060708090a0b0c0d0e0f10');
  assert.equal(link.span_id, '1112131415161718');
  assert.deepEqual(byKey(link.attributes), { 'link.key': { type: 'int', value: '7' } });

  const { charge, confirm } = spans;
  assert.equal(charge.span_id, sent.failedId);
  assert.equal(charge.parent_span_id, sent.spanId);
  assert.equal(charge.kind, 'client');
  assert.deepEqual(charge.status, { code: 'error', message: 'card declined' });
  assert.equal(byKey(charge.events[0].attributes)['exception.type'].value, 'TypeError');
  assert.equal(confirm.status.code, 'ok');
  assert.equal(confirm.duration_nano, 0);

  const resource = found.resources[root.resource];
  assert.equal(resource.service, sent.service);
  const attributes = byKey(resource.attributes);
  assert.equal(attributes['telemetry.sdk.language'].value, 'nodejs');
  assert.equal(attributes['shop.region'].value, 'eu west');
  const scope = found.scopes[root.scope];
  assert.deepEqual([scope.name, scope.version], ['shop.cart', '4.5']);
}

async function checkLogs(sent, expected) {
  const { logs } = await get(`/api/v1/logs?trace_id=${sent.traceId}`);
  assert.equal(logs.length, 2);
  const [structured, plain] = logs;
  assert.equal(plain.time_unix_nano, '1790000000000000007');
  assert.equal(plain.observed_unix_nano, '1790000000000000009');
  assert.deepEqual([plain.severity_number, plain.severity_text], [13, 'WARNING']);
  assert.equal(plain.event_name, 'stock.low');
  assert.deepEqual(plain.body, { type: 'string', value: 'stock is low ☕' });
  assert.deepEqual([plain.service, plain.scope], [sent.service, 'shop.stock']);
  assert.equal(plain.span_id, sent.spanId);
  assert.deepEqual(byKey(plain.attributes), { ...expected, ...answered(EXTENDED) });
  assert.deepEqual(structured.body, answered(EXTENDED).map);
}

for (const protocol of ['grpc', 'http/protobuf', 'http/json']) {
  for (const compression of ['none', 'gzip']) {
    test(`everything arrives by ${protocol} with compression ${compression}`, async () => {
      const earlier = await signals();
      const sent = await send(protocol, compression);
      const byProtocol = protocol === 'http/json' ? answeredToJson : answered;
      const expected = { ...answered(ATTRIBUTES), ...byProtocol(BY_PROTOCOL) };
      checkSpans(sent, await get(`/api/v1/traces/${sent.traceId}`), expected);
      await checkLogs(sent, expected);
      const now = await signals();
      assert.equal(now.traces.stored - earlier.traces.stored, 3 + ITEMS);
      assert.equal(now.logs.stored - earlier.logs.stored, 2);
      assert(now.metrics.stored - earlier.metrics.stored >= 2);
      assert.equal(await total('orders', 'sum', sent.service), 3);
      assert.equal(await total('latency', 'count', sent.service), 1);
      assert.equal(await total('latency', 'sum', sent.service), 0.5);
      for (const signal of ['traces', 'logs', 'metrics']) {
        assert.deepEqual(now[signal].rejected, earlier[signal].rejected, signal);
      }
    });
  }
}
