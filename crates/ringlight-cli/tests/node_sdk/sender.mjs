// A program with the stock SDK, which is told by the standard variables where and how to send. It prints what the
// test cannot know otherwise.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, context, metrics, trace } from '@opentelemetry/api';
import { SeverityNumber, logs } from '@opentelemetry/api-logs';
import { NodeSDK } from '@opentelemetry/sdk-node';

import { ATTRIBUTES, BY_PROTOCOL, EXTENDED, given } from './values.mjs';

const sdk = new NodeSDK();
sdk.start();

const remote = {
  traceId: '0102030405060708090a0b0c0d0e0f10',
  spanId: '1112131415161718',
  traceFlags: TraceFlags.SAMPLED,
};
const attributes = { ...given(ATTRIBUTES), ...given(BY_PROTOCOL) };
const tracer = trace.getTracer('shop.cart', '4.5');
const root = tracer.startSpan(
  'checkout ☕',
  {
    kind: SpanKind.SERVER,
    attributes,
    links: [{ context: remote, attributes: { 'link.key': 7 } }],
    startTime: [1_790_000_000, 1],
  },
  ROOT_CONTEXT,
);
root.addEvent('cache.miss', { 'event.key': [1, 2] }, [1_790_000_000, 500]);
const inRoot = trace.setSpan(ROOT_CONTEXT, root);
const failed = tracer.startSpan('charge', { kind: SpanKind.CLIENT, startTime: [1_790_000_000, 100] }, inRoot);
failed.recordException(new TypeError('card declined'));
failed.setStatus({ code: SpanStatusCode.ERROR, message: 'card declined' });
failed.end([1_790_000_000, 900]);
const good = tracer.startSpan('confirm', { startTime: [1_790_000_000, 1000] }, inRoot);
good.setStatus({ code: SpanStatusCode.OK });
good.end([1_790_000_000, 1000]);
root.end([1_790_000_001, 1]);

const logger = logs.getLogger('shop.stock', '4.5');
logger.emit({
  timestamp: [1_790_000_000, 7],
  observedTimestamp: [1_790_000_000, 9],
  context: inRoot,
  severityNumber: SeverityNumber.WARN,
  severityText: 'WARNING',
  eventName: 'stock.low',
  body: 'stock is low ☕',
  attributes: { ...attributes, ...given(EXTENDED) },
});
logger.emit({ timestamp: [1_790_000_000, 8], context: inRoot, body: given(EXTENDED).map });

const meter = metrics.getMeter('shop');
meter.createCounter('orders').add(3, { kind: 'online' });
meter.createHistogram('latency').record(0.5);

context.with(inRoot, () => {
  for (let index = 0; index < 2000; index++) {
    tracer.startSpan('item', { attributes: { index } }).end();
  }
});
await sdk.shutdown();

const { traceId, spanId } = root.spanContext();
console.log(JSON.stringify({ traceId, spanId, failedId: failed.spanContext().spanId }));
