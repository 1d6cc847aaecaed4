/** What a refusal means and what to do about it. An unknown reason is shown as it is. */
export interface Meaning {
  title: string;
  hint: string;
}

const MEANINGS: readonly [RegExp, Meaning][] = [
  [
    /http.*grpc|http1.*grpc|wrong_protocol_grpc/,
    {
      title: 'Plain HTTP on the gRPC port',
      hint: 'Port 4317 speaks gRPC. For http/protobuf or http/json send to port 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc.',
    },
  ],
  [
    /grpc.*http|wrong_protocol/,
    {
      title: 'gRPC on the HTTP port',
      hint: 'Port 4318 speaks HTTP. For gRPC send to port 4317, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf.',
    },
  ],
  [
    /tls/,
    {
      title: 'A TLS connection',
      hint: 'The receivers on this machine speak plain HTTP: use http:// instead of https:// in the endpoint.',
    },
  ],
  [
    /content_type|unsupported_media|415/,
    {
      title: 'Content type not supported',
      hint: 'Send application/x-protobuf or application/json.',
    },
  ],
  [/encoding/, { title: 'Content encoding not supported', hint: 'Send gzip, or no compression.' }],
  [
    /not_found|unknown_path|path|404/,
    {
      title: 'Unknown path',
      hint: 'OTLP over HTTP goes to /v1/traces, /v1/logs, /v1/metrics. OTEL_EXPORTER_OTLP_ENDPOINT is the base address: the path is added to it.',
    },
  ],
  [/method|405/, { title: 'Wrong HTTP method', hint: 'OTLP requests are POST.' }],
  [
    /too_large|size|413/,
    {
      title: 'Request too large',
      hint: 'Send smaller batches (OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_BLRP_MAX_EXPORT_BATCH_SIZE).',
    },
  ],
  [
    /depth|deep|nest/,
    {
      title: 'Values nested too deeply',
      hint: 'An attribute holds lists or maps inside each other beyond the limit.',
    },
  ],
  [
    /decompress|gzip|bomb|ratio/,
    { title: 'Compressed body not accepted', hint: 'It is damaged, or unpacks to more than the limit.' },
  ],
  [
    /decode|malformed|invalid|protobuf|json|utf/,
    { title: 'Not a valid OTLP request', hint: 'The body could not be decoded.' },
  ],
  [
    /overload|busy|backpressure|queue/,
    {
      title: 'Overloaded',
      hint: 'More arrives than the disk takes; senders were told to wait and try again.',
    },
  ],
  [
    /disk|full|space/,
    { title: 'Disk full', hint: 'Free some space or lower --size-limit; receiving resumes by itself.' },
  ],
  [
    /host|origin|forbidden|403/,
    { title: 'Foreign host or origin', hint: 'The UI answers to its own address only.' },
  ],
  [/time_?out|slow/, { title: 'Too slow', hint: 'The sender did not finish its request in time.' }],
  [/connection/, { title: 'Too many connections', hint: 'Close idle ones, or let a client keep one open.' }],
];

export function explain(reason: string, detail: string): Meaning {
  const text = reason.toLowerCase();
  const found = MEANINGS.find(([pattern]) => pattern.test(text));
  if (found) return found[1];
  const byDetail = MEANINGS.slice(0, 3).find(([pattern]) => pattern.test(detail.toLowerCase()));
  return byDetail ? byDetail[1] : { title: reason.replaceAll('_', ' '), hint: '' };
}
