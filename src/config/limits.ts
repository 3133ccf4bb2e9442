/** The limits of the server: each with a default, the bounds it may be moved within, and why. */
import { numberSetting } from "./setting.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Settings that bound memory, sizes and times. */
export const limitSettings = {
  inFlightBytesMax: numberSetting({
    variable: "KEELSON_IN_FLIGHT_BYTES_MAX",
    byDefault: 256 * MIB,
    min: 8 * MIB,
    max: 16 * GIB,
    why:
      "Bytes of requests that are being read or answered, per process. Above it calls are " +
      "refused with RESOURCE_EXHAUSTED and the advice to come back, so that a crowd cannot " +
      "exhaust the memory.",
  }),
  cacheBytesMax: numberSetting({
    variable: "KEELSON_CACHE_BYTES_MAX",
    byDefault: 256 * MIB,
    min: 1 * MIB,
    max: 64 * GIB,
    why:
      "Bytes of folded streams that are kept loaded. A stream that was dropped is loaded again " +
      "when it is needed, at the cost of reading its tail.",
  }),
  inputPayloadBytesMax: numberSetting({
    variable: "KEELSON_INPUT_PAYLOAD_BYTES_MAX",
    byDefault: 1 * MIB,
    min: 1 * KIB,
    max: 2 * MIB,
    why:
      "Size of one input as canonical JSON. Inputs travel in one document with others; what is " +
      "larger belongs into a store of its own, with a reference in the input.",
  }),
  runResultBytesMax: numberSetting({
    variable: "KEELSON_RUN_RESULT_BYTES_MAX",
    byDefault: 1 * MIB,
    min: 1 * KIB,
    max: 2 * MIB,
    why:
      "Size of what a run produced as canonical JSON. It is kept in the history and answered to " +
      "everybody who waited; what is larger belongs into a store of its own, with a reference.",
  }),
  inlineContentBytesMax: numberSetting({
    variable: "KEELSON_INLINE_CONTENT_BYTES_MAX",
    byDefault: 64 * KIB,
    min: 0,
    max: 1 * MIB,
    why:
      "Binary content of an input that is larger is moved into a blob when the input is taken " +
      "in, so that the history stays small and the same content is stored once.",
  }),
  blobBytesMax: numberSetting({
    variable: "KEELSON_BLOB_BYTES_MAX",
    byDefault: 64 * MIB,
    min: 1 * MIB,
    max: 1 * GIB,
    why: "Size of one blob.",
  }),
  blobGraceMs: numberSetting({
    variable: "KEELSON_BLOB_GRACE_MS",
    byDefault: 3_600_000,
    min: 100,
    max: 30 * 24 * 3_600_000,
    why:
      "How long a blob is kept that no input and no session snapshot refers to. Longer than any " +
      "client takes between storing a blob and referring to it.",
  }),
  batchInputsMax: numberSetting({
    variable: "KEELSON_BATCH_INPUTS_MAX",
    byDefault: 1_000,
    min: 1,
    max: 1_000,
    why: "Inputs in one call of IngestBatch.",
  }),
  batchBytesMax: numberSetting({
    variable: "KEELSON_BATCH_BYTES_MAX",
    byDefault: 4 * MIB,
    min: 64 * KIB,
    max: 4 * MIB,
    why: "Size of the inputs of one call of IngestBatch, as canonical JSON.",
  }),
  queueLimit: numberSetting({
    variable: "KEELSON_QUEUE_LIMIT",
    byDefault: 10_000,
    min: 1,
    max: 100_000,
    why:
      "Queued inputs of a runtime whose own configuration does not say. A runtime that cannot " +
      "keep up says so to its senders instead of growing.",
  }),
  queueLimitMax: numberSetting({
    variable: "KEELSON_QUEUE_LIMIT_MAX",
    byDefault: 100_000,
    min: 1,
    max: 100_000,
    why: "The most that the configuration of a runtime may ask for; bounds its folded state.",
  }),
  attemptLimit: numberSetting({
    variable: "KEELSON_ATTEMPT_LIMIT",
    byDefault: 3,
    min: 1,
    max: 100,
    why:
      "Attempts of an input before it is abandoned, where the runtime's own configuration does " +
      "not say. A poisonous input must not hold up its lane for ever.",
  }),
  attemptLimitMax: numberSetting({
    variable: "KEELSON_ATTEMPT_LIMIT_MAX",
    byDefault: 100,
    min: 1,
    max: 100,
    why: "The most attempts that the configuration of a runtime may ask for.",
  }),
  operationLimit: numberSetting({
    variable: "KEELSON_OPERATION_LIMIT",
    byDefault: 10_000,
    min: 1,
    max: 100_000,
    why:
      "Active operations of a runtime whose own configuration does not say; bounds what a " +
      "runtime that never ends them costs.",
  }),
  completedRetention: numberSetting({
    variable: "KEELSON_COMPLETED_RETENTION",
    byDefault: 256,
    min: 0,
    max: 10_000,
    why:
      "Ended operations that stay in the registry of a runtime whose own configuration does not " +
      "say. Those that left it can still be read by their ids and in the feed of completions.",
  }),
  answerTimeoutMs: numberSetting({
    variable: "KEELSON_ANSWER_TIMEOUT_MS",
    byDefault: 10_000,
    min: 500,
    max: 120_000,
    why:
      "How long a call waits for the database before it is answered as unavailable. Shorter than " +
      "the patience of most clients, so that they hear a reason instead of their own timeout.",
  }),
  leaseTtlMs: numberSetting({
    variable: "KEELSON_LEASE_TTL_MS",
    byDefault: 30_000,
    min: 1_000,
    max: 600_000,
    why:
      "How long an executor's lease lives without renewal when neither executor nor runtime " +
      "say. Executors renew every third of it; shorter finds dead ones sooner, longer forgives " +
      "pauses.",
  }),
  longPollMs: numberSetting({
    variable: "KEELSON_LONG_POLL_MS",
    byDefault: 60_000,
    min: 1_000,
    max: 600_000,
    why:
      "The longest wait of a call that waits for something to happen. Proxies tend to cut quiet " +
      "requests after a minute or two.",
  }),
  watchBufferEventsMax: numberSetting({
    variable: "KEELSON_WATCH_BUFFER_EVENTS_MAX",
    byDefault: 1_000,
    min: 10,
    max: 100_000,
    why:
      "Events that a watcher may be behind before its stream is ended with the position to " +
      "resume from. It bounds what a slow reader costs.",
  }),
  watchBufferBytesMax: numberSetting({
    variable: "KEELSON_WATCH_BUFFER_BYTES_MAX",
    byDefault: 16 * MIB,
    min: 64 * KIB,
    max: 1 * GIB,
    why:
      "Bytes of events that a watcher of one runtime or process may be behind, likewise. A few " +
      "large events cost as much memory as many small ones.",
  }),
  connectionsMax: numberSetting({
    variable: "KEELSON_CONNECTIONS_MAX",
    byDefault: 10_000,
    min: 10,
    max: 1_000_000,
    why:
      "Open connections; further ones are closed at once. Keep it below the limit of open files " +
      "of the process.",
  }),
  connectionStreamsMax: numberSetting({
    variable: "KEELSON_CONNECTION_STREAMS_MAX",
    byDefault: 1_000,
    min: 1,
    max: 100_000,
    why: "Calls at once on one HTTP/2 connection; clients wait with further ones.",
  }),
  headerTimeoutMs: numberSetting({
    variable: "KEELSON_HEADER_TIMEOUT_MS",
    byDefault: 10_000,
    min: 100,
    max: 120_000,
    why:
      "How long a new connection may take to say which protocol it speaks, to shake hands for " +
      "TLS and to send the head of an HTTP/1.1 request. A connection that stays silent is closed.",
  }),
  requestTimeoutMs: numberSetting({
    variable: "KEELSON_REQUEST_TIMEOUT_MS",
    byDefault: 120_000,
    min: 100,
    max: 3_600_000,
    why:
      "How long a request may take to arrive as a whole, and each message of a stream from its " +
      "first byte on. What was begun and never ends would be held for ever.",
  }),
  idleTimeoutMs: numberSetting({
    variable: "KEELSON_IDLE_TIMEOUT_MS",
    byDefault: 120_000,
    min: 1_000,
    max: 3_600_000,
    why: "How long a connection without any call stays open.",
  }),
  drainTimeoutMs: numberSetting({
    variable: "KEELSON_DRAIN_TIMEOUT_MS",
    byDefault: 15_000,
    min: 0,
    max: 600_000,
    why:
      "How long a stop waits for calls in flight. Keep it below the time your supervisor waits " +
      "between SIGTERM and SIGKILL (30 s by default in Kubernetes).",
  }),
};
