import type { Status } from './api/types';

/** What a refusal means and what to do about it. */
export interface Meaning {
  title: string;
  hint: string;
  /** The detail of each such refusal says as much. */
  plain?: boolean;
}

const MEANINGS: Readonly<Record<string, Meaning>> = {
  wrong_protocol: {
    title: 'Another protocol than the port speaks',
    hint: 'gRPC goes to port 4317, HTTP (http/protobuf, http/json) to port 4318. Change the port of the endpoint, or set OTEL_EXPORTER_OTLP_PROTOCOL to what the port speaks.',
  },
  tls: {
    title: 'A TLS connection',
    hint: 'The receivers speak plain text on this machine: write http:// instead of https:// in the endpoint.',
    plain: true,
  },
  unknown_path: {
    title: 'Unknown path',
    hint: 'OTLP over HTTP goes to /v1/traces, /v1/logs and /v1/metrics. OTEL_EXPORTER_OTLP_ENDPOINT is the base address, the path is added to it; OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is used as it stands.',
  },
  method: { title: 'Wrong HTTP method', hint: 'OTLP requests are POST.', plain: true },
  content_type: {
    title: 'Content type not taken',
    hint: 'Send application/x-protobuf or application/json.',
    plain: true,
  },
  encoding: { title: 'Content encoding not taken', hint: 'Send gzip, or no compression.', plain: true },
  too_large: {
    title: 'Request too large',
    hint: 'Send smaller batches: OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE.',
  },
  undecodable: {
    title: 'Not a valid OTLP request',
    hint: 'The body is damaged or is something else; see the detail.',
  },
  incomplete: {
    title: 'Ended half-way',
    hint: 'The sender closed the connection before its request was complete.',
  },
  slow: { title: 'Took too long to arrive', hint: 'The sender did not finish its request in time.' },
  overloaded: {
    title: 'Overloaded',
    hint: 'More arrives than can be stored; senders were told to wait and try again.',
  },
  disk_full: {
    title: 'Disk full',
    hint: 'Make room, or lower --size-limit; receiving resumes by itself.',
  },
  store_failed: { title: 'Storing failed', hint: 'See what `ringlight` prints on its standard error.' },
  too_many_connections: {
    title: 'Too many connections',
    hint: 'Let a client keep one connection open instead of many.',
  },
  foreign_host: {
    title: 'Asked under another name',
    hint: 'The UI answers at 127.0.0.1 and localhost only.',
  },
  foreign_origin: {
    title: 'Asked by a page of another site',
    hint: 'Another page in the browser tried to read from here and was kept out.',
  },
};

/** An unknown reason, of a newer server, is shown as it is. The ports named are those that are listened on. */
export function explain(reason: string, listen?: Status['listen']): Meaning {
  const meaning = MEANINGS[reason];
  if (!meaning) return { title: reason.replaceAll('_', ' '), hint: '' };
  const port = (address: string | undefined, usual: string) => address?.split(':').pop() || usual;
  const hint = meaning.hint
    .replace('4317', port(listen?.otlp_grpc, '4317'))
    .replace('4318', port(listen?.otlp_http, '4318'));
  return { ...meaning, hint };
}
