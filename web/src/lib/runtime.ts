import type { Aggregation, Metric, MetricOverview } from './api/types';
import { metricKey } from './metrics';

/** How a metric that is known is shown. */
interface Known {
  title: string;
  agg?: Aggregation;
  /** What a line is drawn for, of each service. */
  by?: string;
  /** What a line is drawn for where only one service is asked for. */
  byWithin?: string;
  /** A filter that leaves the points that it is about. */
  only?: string;
  /** Its title where there is room for one line, which is the highest then: together they would say nothing. */
  highest?: string;
}

export interface Part {
  id: string;
  title: string;
  scope: string;
  prefix: string;
  known: Readonly<Record<string, Known>>;
  /** What makes its data appear, in words and as code. */
  how: string;
  code: string;
}

const SERVICE = 'resource.service.name';
const WORKER = 'point.tokio.worker.index';
const CHANNEL = 'point.channel.name';
/** Its one place is always filled, and overwriting what is there is what it is for. */
const NO_WATCH = '{ !(point.channel.type = "watch") }';

/** The parts of the page. What is measured beyond what is known here is shown, too, by scope and name. */
export const PARTS: readonly Part[] = [
  {
    id: 'process',
    title: 'Process',
    scope: 'ringlight.process',
    prefix: 'process.',
    known: {
      'process.cpu.time': { title: 'CPU, of one core', byWithin: 'point.cpu.mode' },
      'process.cpu.utilization': { title: 'CPU, of all cores', agg: 'sum' },
      'process.memory.usage': { title: 'Memory in use' },
      'process.memory.virtual': { title: 'Address space' },
      'process.thread.count': { title: 'Threads' },
      'process.unix.file_descriptor.count': { title: 'Open files' },
      'process.disk.io': { title: 'Disk', byWithin: 'point.disk.io.direction' },
      'process.network.io': { title: 'Network', byWithin: 'point.network.io.direction' },
      'process.context_switches': {
        title: 'Context switches',
        byWithin: 'point.process.context_switch.type',
      },
      'process.paging.faults': { title: 'Page faults', byWithin: 'point.system.paging.fault.type' },
      'process.uptime': { title: 'Up for', agg: 'max' },
    },
    how: 'With the feature `profiling`, a service tells what its process uses.',
    code: 'features = ["profiling"]   # of ringlight, in Cargo.toml',
  },
  {
    id: 'runtime',
    title: 'Runtime',
    scope: 'ringlight.runtime',
    prefix: 'tokio.',
    known: {
      'tokio.worker.busy_duration': { title: 'Workers busy, of one worker', byWithin: WORKER },
      'tokio.alive_tasks': { title: 'Tasks alive' },
      'tokio.global_queue_depth': { title: 'Tasks waiting for a worker' },
      'tokio.runtime.lag': { title: 'Lag of a ready task, p99', agg: 'p99' },
      'tokio.worker.blocked': { title: 'Workers blocked, by span', agg: 'sum', by: 'point.span.name' },
      'tokio.worker.blocked_duration': {
        title: 'Blocked for, p99, by span',
        agg: 'p99',
        by: 'point.span.name',
      },
      'tokio.workers': { title: 'Workers' },
      'tokio.worker.park_count': { title: 'Workers parked', byWithin: WORKER },
      'tokio.blocking_threads': { title: 'Threads for blocking work' },
      'tokio.idle_blocking_threads': { title: 'Idle threads for blocking work' },
      'tokio.blocking_queue_depth': { title: 'Blocking work waiting' },
      'tokio.spawned_tasks_count': { title: 'Tasks spawned' },
      'tokio.worker.local_queue_depth': { title: 'Tasks waiting at a worker', byWithin: WORKER },
      'tokio.worker.polls': { title: 'Polls', byWithin: WORKER },
    },
    how: 'With the feature `profiling`, the tokio runtime that `init` is called in is watched, and others that are named.',
    code: 'let telemetry = ringlight::init()?;   // within #[tokio::main]\ntelemetry.watch_runtime(other.handle());',
  },
  {
    id: 'channels',
    title: 'Channels',
    scope: 'ringlight.channel',
    prefix: 'channel.',
    known: {
      'channel.queue_depth': {
        title: 'Messages in the channel',
        agg: 'max',
        by: CHANNEL,
        only: NO_WATCH,
        highest: 'Longest queue',
      },
      'channel.sent': { title: 'Sent', by: CHANNEL },
      'channel.received': { title: 'Received', by: CHANNEL },
      'channel.backpressure_latency': { title: 'Senders waited, p99', agg: 'p99', by: CHANNEL },
      'channel.dropped': { title: 'Nobody received', agg: 'sum', by: CHANNEL, only: NO_WATCH },
    },
    how: 'Channels of `ringlight::channel` stand in for those of `tokio::sync` and count what goes through them, with the feature `profiling`.',
    code: 'use ringlight::channel::mpsc;\nlet (sender, receiver) = mpsc::named("jobs", 64);',
  },
];

/** A chart to be drawn: which metric, and what is asked about it. */
export interface Wanted {
  key: string;
  metric: Metric;
  title: string;
  agg: Aggregation | '';
  by: string;
  /** A filter that leaves the points that it is about; empty for all. */
  only: string;
  /** Its title where only the highest of its lines is shown; empty where they are taken together. */
  highest: string;
}

/** The charts of a part: what is known in its order, then what else there is, by name. */
export function wantedOf(part: Part, metrics: readonly MetricOverview[], service: string): Wanted[] {
  const order = Object.keys(part.known);
  const place = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return metrics
    .filter(({ metric, scopes, services }) => {
      const belongs = scopes.includes(part.scope) || metric.name.startsWith(part.prefix);
      return belongs && (service === '' || services.includes(service));
    })
    .sort((a, b) => place(a.metric.name) - place(b.metric.name) || (a.metric.name < b.metric.name ? -1 : 1))
    .map(({ metric }) => {
      const known = part.known[metric.name];
      return {
        key: metricKey(metric),
        metric,
        title: known?.title ?? titleOf(metric.name, part.prefix),
        agg: known?.agg ?? '',
        by: divisionOf(known, service),
        only: known?.only ?? '',
        highest: known?.highest ?? '',
      };
    });
}

/** What a line is drawn for: where there may be several services each is apart, so that a line is of one of them. */
function divisionOf(known: Known | undefined, service: string): string {
  if (service !== '') return known?.by ?? known?.byWithin ?? '';
  return known?.by === undefined ? SERVICE : `${SERVICE},${known.by}`;
}

/** A name as a title: `tokio.worker.mean_poll_time` is `Worker mean poll time`. */
export function titleOf(name: string, prefix: string): string {
  const words = (name.startsWith(prefix) ? name.slice(prefix.length) : name).replace(/[._]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Attributes that say what was allocated: in a span itself, and with everything within it. */
export const ALLOCATIONS = [
  'alloc.bytes',
  'alloc.count',
  'alloc.net_bytes',
  'dealloc.count',
  'dealloc.bytes',
  'alloc.total.count',
  'alloc.total.bytes',
  'alloc.total.net_bytes',
  'dealloc.total.count',
  'dealloc.total.bytes',
] as const;

/** What operations can be sorted by, the default first. */
export const ALLOCATION_ORDERS = ['alloc.bytes', 'alloc.net_bytes'] as const;

export type AllocationOrder = (typeof ALLOCATION_ORDERS)[number];

/** What to ask for: operations are sorted by the first. */
export function allocationsBy(order: AllocationOrder): string[] {
  return [order, ...ALLOCATIONS.filter((key) => key !== order)];
}
