/** The JSON of `/api/v1`. Times are Unix nanoseconds as decimal strings, because they do not fit a double. */

export type Nanos = string;

export type AttributeType = 'string' | 'bool' | 'int' | 'double' | 'bytes' | 'array' | 'map' | 'empty';

export interface TypedValue {
  type: AttributeType;
  value: string | number | boolean | null | TypedValue[] | Attribute[];
}

export interface Attribute extends TypedValue {
  key: string;
}

export type SignalName = 'traces' | 'logs' | 'metrics' | 'profiles';

export interface SignalStatus {
  requests: number;
  accepted: number;
  stored: number;
  duplicates: number;
  not_stored: number;
  /** Metric points that were read as the ledgers of clients. */
  ledger_points: number;
  /** Log records that were read as the reports of open spans. */
  open_spans: number;
  rejected: Record<string, number>;
  bytes_received: number;
  negative_durations: number;
  repaired_texts: number;
}

export interface Refusal {
  time_unix_nano: Nanos;
  listener: string;
  peer: string;
  reason: string;
  detail: string;
}

export interface LedgerCells {
  submitted: number;
  recovered: number;
  exported: number;
  exported_recovered: number;
  rejected: number;
  dropped: Record<string, number>;
  in_flight: number;
  spooled: number;
  balanced: boolean;
}

export interface ThreadCounts {
  submitted: number;
  dropped: Record<string, number>;
}

export interface ThreadRow {
  kind: 'thread' | 'shared' | 'ended' | 'pipeline' | 'others';
  /** Empty for a row of several. */
  name: string;
  id: number;
  ring_used_bytes: number;
  signals: Partial<Record<SignalName, ThreadCounts>>;
}

/** How a client sends the records of one signal. */
export interface ClientDelivery {
  requests: number;
  records: number;
  encoded_bytes: number;
  wire_bytes: number;
  latency_seconds: number | null;
  concurrency: number;
  batch_bytes: number;
}

/** What observing costs a client, as it measures it itself. */
export interface ClientCost {
  span_nano: number | null;
  spans_measured: number;
  log_nano: number | null;
  logs_measured: number;
  producer_seconds: number;
  collector_seconds: number;
  process_seconds: number;
  elapsed_seconds: number;
  core_ratio: number;
  process_ratio: number;
  sent_bytes: number;
  memory: { rings_bytes: number; buffers_bytes: number; open_spans_bytes: number };
  sampling_ratio: number;
  budget_ratio: number | null;
}

export interface ClientLedger {
  service: string;
  instance: string;
  /** When it began to count, by its own clock. */
  started_unix_nano: Nanos;
  last_report_unix_nano: Nanos;
  final: boolean;
  signals: Partial<Record<SignalName, LedgerCells>>;
  /** Spans that ended before they began, sent with a duration of zero. */
  negative_durations: number;
  /** How often threads left spans that they had not entered. */
  unmatched_exits: number;
  /** Since the backend started. */
  stored: Partial<Record<SignalName, number>>;
  threads: ThreadRow[];
  ring_bytes: number;
  cost: ClientCost | null;
  delivery: Partial<Record<SignalName, ClientDelivery>> | null;
}

export interface StoreStatus {
  bytes: number;
  size_limit_bytes: number;
  retention_seconds: number;
  slices: number;
  blocks: number;
  corrupt: number;
  head_records: number;
  span_count: number;
  log_count: number;
  /** Series of metrics, of at most so many, and those that made room for new ones or had none at the start. */
  series: number;
  series_max: number;
  series_forgotten: number;
  /** Reports of open spans that came from too many clients at once. */
  open_reports_refused: number;
  disk_full: boolean;
  oldest_unix_nano: Nanos | null;
  newest_unix_nano: Nanos | null;
}

export interface Status {
  version: string;
  started_unix_nano: Nanos;
  uptime_seconds: number;
  pid: number;
  run_id: number;
  data_dir: string;
  listen: { otlp_grpc: string; otlp_http: string; ui: string };
  signals: Record<SignalName, SignalStatus>;
  refused_requests: Record<string, number>;
  recent_refusals: Refusal[];
  store: StoreStatus;
  clients: ClientLedger[];
  /** What the backend passes on; null where it does not. */
  forward: ForwardStatus | null;
}

export interface ForwardStatus {
  destination: string;
  signals: Partial<Record<SignalName, LedgerCells>>;
  delivery: Partial<Record<SignalName, ClientDelivery>>;
}

export interface Service {
  name: string;
  span_count: number;
  log_count: number;
  first_unix_nano: Nanos;
  last_unix_nano: Nanos;
}

export interface Run {
  id: number;
  command: string;
  started_unix_nano: Nanos;
  ended_unix_nano: Nanos | null;
  span_count: number;
  log_count: number;
}

export interface ScanStats {
  blocks_total: number;
  blocks_read: number;
  records_scanned: number;
}

export interface TraceSummary {
  trace_id: string;
  /** Both are empty until the root has arrived, which is when it has ended. */
  root_service: string;
  root_name: string;
  /** Of the earliest span that has arrived. */
  first_service: string;
  first_name: string;
  start_unix_nano: Nanos;
  duration_nano: number;
  span_count: number;
  in_progress_count: number;
  /** In progress when their process ended or fell silent. */
  lost_count: number;
  error_count: number;
  services: string[];
}

export interface TracePage {
  traces: TraceSummary[];
  next: string | null;
  stats?: ScanStats;
}

export interface SpanEvent {
  time_unix_nano: Nanos;
  name: string;
  attributes: Attribute[];
  dropped_attributes_count: number;
}

export interface SpanLink {
  trace_id: string;
  span_id: string;
  trace_state: string;
  attributes: Attribute[];
}

/** A span that has not ended is as it was when it was last heard of. */
export type SpanState = 'ended' | 'in_progress' | 'lost';

export interface Span {
  span_id: string;
  parent_span_id: string;
  name: string;
  kind: string;
  start_unix_nano: Nanos;
  duration_nano: number;
  state: SpanState;
  status: { code: string; message: string };
  resource: number;
  scope: number;
  attributes: Attribute[];
  dropped_attributes_count: number;
  events: SpanEvent[];
  dropped_events_count: number;
  links: SpanLink[];
  dropped_links_count: number;
  trace_state: string;
  flags: number;
}

export interface Resource {
  service: string;
  attributes: Attribute[];
  dropped_attributes_count: number;
}

export interface Scope {
  name: string;
  version: string;
  attributes: Attribute[];
}

export interface Trace {
  trace_id: string;
  resources: Resource[];
  scopes: Scope[];
  spans: Span[];
  /** Later spans that the answer has no room for. */
  spans_left_out: number;
}

export interface LogRecord {
  time_unix_nano: Nanos;
  observed_unix_nano: Nanos;
  severity_number: number;
  severity: string;
  severity_text: string;
  event_name: string;
  body: TypedValue;
  service: string;
  scope: string;
  trace_id: string;
  span_id: string;
  attributes: Attribute[];
  dropped_attributes_count: number;
  resource: Attribute[];
}

export interface LogPage {
  logs: LogRecord[];
  next: string | null;
  stats?: ScanStats;
}

export type FieldScope = 'intrinsic' | 'span' | 'resource' | 'event' | 'log' | 'point';

export interface Field {
  scope: FieldScope;
  key: string;
  type: AttributeType | string;
}

export interface ErrorBody {
  code: string;
  message: string;
  hint?: string | null;
  position?: { offset: number; length: number } | null;
}

export type Aggregation = 'rate' | 'sum' | 'avg' | 'min' | 'max' | 'count' | 'p50' | 'p90' | 'p95' | 'p99';

export interface Metric {
  name: string;
  kind: 'gauge' | 'sum' | 'histogram' | 'exponential_histogram' | 'summary';
  temporality: 'delta' | 'cumulative' | null;
  is_monotonic: boolean;
  unit: string;
  description: string;
  /** What it can be aggregated by; the first is the default. */
  aggregations: Aggregation[];
}

export interface MetricOverview {
  metric: Metric;
  series_count: number;
  services: string[];
  scopes: string[];
  attribute_keys: string[];
  last_unix_nano: Nanos;
}

export interface Exemplar {
  time_unix_nano: Nanos;
  value: number | null;
  /** Empty where there is none. */
  trace_id: string;
  span_id: string;
  attributes: Attribute[];
}

export interface MetricSeries {
  labels: Attribute[];
  points: { time_unix_nano: Nanos; value: number }[];
  exemplars: Exemplar[];
}

export interface MetricData {
  metric: Metric;
  aggregation: Aggregation;
  from_unix_nano: Nanos;
  to_unix_nano: Nanos;
  step_nano: number;
  series: MetricSeries[];
  series_left_out: number;
}

export interface OperationStep {
  time_unix_nano: Nanos;
  count: number;
  error_count: number;
  p95_nano: number;
}

export interface OperationExample {
  trace_id: string;
  span_id: string;
  start_unix_nano: Nanos;
  duration_nano: number;
}

/** The spans of one service, name and kind. */
export interface Operation {
  service: string;
  name: string;
  kind: string;
  count: number;
  rate: number;
  error_count: number;
  root_count: number;
  total_nano: number;
  p50_nano: number;
  p95_nano: number;
  p99_nano: number;
  longest_nano: number;
  steps: OperationStep[];
  examples: Record<'typical' | 'longest' | 'failed', OperationExample | null>;
  attributes: { key: string; count: number; sum: number; max: number }[];
}

export interface Operations {
  from_unix_nano: Nanos;
  to_unix_nano: Nanos;
  step_nano: number;
  operations: Operation[];
  operations_left_out: number;
  spans_left_out: number;
  /** Failed spans of operations that are left out as they are no entry points. */
  inner_error_count: number;
  attribute_spans_left_out: number;
}

export type OperationOrder = 'total' | 'count' | 'errors' | 'p99' | 'attribute';
