// Fields that are missing, malformed or outside of their limits: refused with the path of each one,
// whatever the state of the runtime, and nothing is changed.
import {
  create,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  InputDurability,
  type InputKind,
  type InputSchema,
  InputState,
  PeerResponsePhase,
  RunApplyBoundary,
  RuntimeEventCategory,
  RuntimeState,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { prompt } from "./support/inputs.ts";
import { firstOf, refusalOf } from "./support/verdict.ts";

let deployment: Deployment;
let clients: CaseClients;

beforeAll(async () => {
  deployment = await openDeployment();
  clients = clientsOf(deployment.url);
});

afterAll(() => deployment.close());

type Case = readonly [
  what: string,
  call: (clients: CaseClients) => Promise<unknown>,
  fields: readonly string[],
];
type InputInit = MessageInitShape<typeof InputSchema>;

const runtimeId = "r";
const SEVEN = 7;
const UNKNOWN_ENUM = 99;
const DAY = { seconds: 86_400n };
const who = { executorId: "e", incarnationId: "i" };
const claim = { runtimeId, runId: "run", generation: 1n };

/** A value of so many lists in one another. */
function nested(levels: number): Value {
  let value = create(ValueSchema, { kind: { case: "numberValue", value: SEVEN } });
  for (let level = 0; level < levels; level += 1) {
    value = create(ValueSchema, { kind: { case: "listValue", value: { values: [value] } } });
  }
  return value;
}

function number(value: number): Value {
  return create(ValueSchema, { kind: { case: "numberValue", value } });
}

/** Refuses an input for fields below `input.`. */
function input(what: string, init: InputInit, ...fields: readonly string[]): Case {
  const { kind } = prompt("x");
  const call: Case[1] = ({ runtimes }) =>
    runtimes.ingest({ runtimeId, ensure: true, input: { kind, ...init } });
  return [what, call, fields.map((field) => `input.${field}`)];
}

function event(payload: Value): InputInit {
  return { kind: { case: "externalEvent", value: { eventType: "news", payload } } };
}

/** The reason and the fields of the refusal that a call ends with. */
async function refusedFields(call: Case[1]): Promise<readonly string[]> {
  const { reason, fields } = await refusalOf(call(clients));
  return [reason, ...fields];
}

const EMPTY: readonly Case[] = [
  ["EnsureRuntime", ({ runtimes }) => runtimes.ensureRuntime({}), ["runtime_id"]],
  ["GetRuntime", ({ runtimes }) => runtimes.getRuntime({}), ["runtime_id"]],
  ["UnregisterRuntime", ({ runtimes }) => runtimes.unregisterRuntime({}), ["runtime_id"]],
  ["Ingest", ({ runtimes }) => runtimes.ingest({}), ["runtime_id", "input"]],
  ["IngestBatch", ({ runtimes }) => runtimes.ingestBatch({}), ["items"]],
  ["IngestAndAwait", ({ runtimes }) => runtimes.ingestAndAwait({}), ["runtime_id", "input"]],
  ["AwaitInput", ({ runtimes }) => runtimes.awaitInput({}), ["runtime_id", "target"]],
  ["GetInput", ({ runtimes }) => runtimes.getInput({}), ["runtime_id", "target"]],
  ["ListInputs", ({ runtimes }) => runtimes.listInputs({}), ["runtime_id"]],
  ["PublishEvent", ({ runtimes }) => runtimes.publishEvent({}), ["runtime_id", "event_code"]],
  [
    "WatchRuntime",
    ({ runtimes }) => firstOf((signal) => runtimes.watchRuntime({}, { signal })),
    ["runtime_id"],
  ],
  ["Retire", ({ runtimes }) => runtimes.retire({}), ["runtime_id"]],
  ["Recycle", ({ runtimes }) => runtimes.recycle({}), ["runtime_id"]],
  ["Reset", ({ runtimes }) => runtimes.reset({}), ["runtime_id"]],
  ["Recover", ({ runtimes }) => runtimes.recover({}), ["runtime_id"]],
  ["Destroy", ({ runtimes }) => runtimes.destroy({}), ["runtime_id"]],
  ["StopRuntime", ({ runtimes }) => runtimes.stopRuntime({}), ["runtime_id"]],
  ["InterruptRun", ({ runtimes }) => runtimes.interruptRun({}), ["runtime_id"]],
  [
    "LoadBoundaryReceipt",
    ({ runtimes }) => runtimes.loadBoundaryReceipt({}),
    ["runtime_id", "run_id"],
  ],
  ["ListBoundaryReceipts", ({ runtimes }) => runtimes.listBoundaryReceipts({}), ["runtime_id"]],
  ["VerifyRuntime", ({ runtimes }) => runtimes.verifyRuntime({}), ["runtime_id"]],
  [
    "Attach",
    ({ executors }) => firstOf((signal) => executors.attach({}, { signal })),
    ["executor_id", "incarnation_id", "pool"],
  ],
  ["PollRun", ({ executors }) => executors.pollRun({}), ["executor_id", "incarnation_id", "pool"]],
  ["RenewLeases", ({ executors }) => executors.renewLeases({}), ["executor_id", "incarnation_id"]],
  [
    "CommitBoundary",
    ({ executors }) => executors.commitBoundary({}),
    ["runtime_id", "run_id", "boundary"],
  ],
  ["CompleteRun", ({ executors }) => executors.completeRun({}), ["runtime_id", "run_id"]],
  ["FailRun", ({ executors }) => executors.failRun({}), ["runtime_id", "run_id"]],
  ["CancelRun", ({ executors }) => executors.cancelRun({}), ["runtime_id", "run_id"]],
  ["ReleaseRun", ({ executors }) => executors.releaseRun({}), ["runtime_id", "run_id"]],
  ["Detach", ({ executors }) => executors.detach({}), ["executor_id", "incarnation_id"]],
  ["GetStream", ({ admin }) => admin.getStream({}), ["stream", "stream.id", "stream.kind"]],
  ["ListCommits", ({ admin }) => admin.listCommits({}), ["stream", "stream.id", "stream.kind"]],
];

const ENUMS: readonly Case[] = [
  input("durability, zero", { durability: InputDurability.UNSPECIFIED }, "durability"),
  input("durability, unknown", { durability: UNKNOWN_ENUM as InputDurability }, "durability"),
  input(
    "phase of a response",
    {
      kind: {
        case: "peer",
        value: {
          convention: {
            convention: {
              case: "responseProgress",
              value: { peerRequestId: "p", phase: PeerResponsePhase.UNSPECIFIED },
            },
          },
        },
      },
    },
    "peer.convention.response_progress.phase",
  ),
  [
    "expected state",
    ({ runtimes }) => runtimes.reset({ runtimeId, expectedState: RuntimeState.UNSPECIFIED }),
    ["expected_state"],
  ],
  [
    "filter of runtimes",
    ({ runtimes }) =>
      runtimes.listRuntimes({ filter: { states: [RuntimeState.IDLE, RuntimeState.UNSPECIFIED] } }),
    ["filter.states[1]"],
  ],
  [
    "filter of inputs",
    ({ runtimes }) =>
      runtimes.listInputs({
        runtimeId,
        filter: { states: [InputState.UNSPECIFIED], kinds: [UNKNOWN_ENUM as InputKind] },
      }),
    ["filter.states[0]", "filter.kinds[0]"],
  ],
  [
    "categories of a watch",
    ({ runtimes }) => {
      const categories = [RuntimeEventCategory.UNSPECIFIED];
      return firstOf((signal) => runtimes.watchRuntime({ runtimeId, categories }, { signal }));
    },
    ["categories[0]"],
  ],
  [
    "last boundary of a run",
    ({ executors }) =>
      executors.completeRun({
        ...claim,
        finalBoundary: { boundary: RunApplyBoundary.UNSPECIFIED, conversationDigest: "no digest" },
      }),
    ["final_boundary.conversation_digest", "final_boundary.boundary"],
  ],
];

const NEGATIVE = { seconds: -1n };
const SPANS: readonly Case[] = [
  [
    "wait, negative",
    ({ runtimes }) =>
      runtimes.awaitInput({
        runtimeId,
        target: { case: "inputId", value: "i" },
        timeout: NEGATIVE,
      }),
    ["timeout"],
  ],
  [
    "wait with ingest, zero",
    ({ runtimes }) => runtimes.ingestAndAwait({ runtimeId, input: prompt("x"), timeout: {} }),
    ["timeout"],
  ],
  [
    "poll, negative",
    ({ executors }) => executors.pollRun({ ...who, pool: "p", timeout: NEGATIVE }),
    ["timeout"],
  ],
  [
    "poll, two minutes, by nobody",
    ({ executors }) => executors.pollRun({ pool: "p", timeout: { seconds: 120n } }),
    ["executor_id", "incarnation_id", "timeout"],
  ],
  [
    "lease of an executor, a day",
    ({ executors }) => executors.pollRun({ ...who, pool: "p", leaseTtl: DAY }),
    ["lease_ttl"],
  ],
  [
    "lease of an executor, malformed",
    ({ executors }) => {
      const request = { ...who, pool: "p", leaseTtl: { seconds: 5n, nanos: -1 } };
      return firstOf((signal) => executors.attach(request, { signal }));
    },
    ["lease_ttl"],
  ],
  [
    "configuration",
    ({ runtimes }) =>
      runtimes.ensureRuntime({
        runtimeId,
        config: { leaseTtl: NEGATIVE, retryBackoff: { initial: { seconds: 9n }, max: NEGATIVE } },
      }),
    ["config.retry_backoff.max", "config.lease_ttl"],
  ],
];

const LONG = "x".repeat(257);
const NAMES: readonly Case[] = [
  ["257 bytes", ({ runtimes }) => runtimes.getRuntime({ runtimeId: LONG }), ["runtime_id"]],
  [
    "257 bytes in 129 letters",
    ({ runtimes }) => runtimes.getRuntime({ runtimeId: "é".repeat(129) }),
    ["runtime_id"],
  ],
  ["NUL", ({ runtimes }) => runtimes.getRuntime({ runtimeId: "a\0b" }), ["runtime_id"]],
  ["a line break", ({ runtimes }) => runtimes.getRuntime({ runtimeId: "a\nb" }), ["runtime_id"]],
  ["U+2028", ({ runtimes }) => runtimes.getRuntime({ runtimeId: "a\u2028b" }), ["runtime_id"]],
  input("of an input", { inputId: "\u0007" }, "input_id"),
  input(
    "keys",
    { idempotencyKey: LONG, supersessionKey: "\0" },
    "idempotency_key",
    "supersession_key",
  ),
  input(
    "correlation",
    { correlationId: LONG, causationId: LONG },
    "correlation_id",
    "causation_id",
  ),
  [
    "of a request",
    ({ runtimes }) => runtimes.ensureRuntime({ runtimeId, requestId: LONG }),
    ["request_id"],
  ],
  [
    "of a pool and held runs",
    ({ executors }) =>
      executors.pollRun({ ...who, pool: LONG, heldRunIds: ["fine", ""], timeout: {} }),
    ["pool", "held_run_ids[1]"],
  ],
  [
    "of a pool and of runtimes at once",
    ({ executors }) => executors.pollRun({ ...who, pool: "p", runtimeIds: ["r"], timeout: {} }),
    ["pool"],
  ],
];

const manyLabels = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, ""]));
const NUMBERS: readonly Case[] = [
  input("65 labels", { labels: manyLabels }, "labels"),
  input("a label without a name", { labels: { "": "x" } }, "labels"),
  input("a label with a long value", { labels: { a: LONG } }, "labels"),
  input("a number that is none", event(number(Number.NaN)), "external_event.payload"),
  input("a number without end", event(number(Number.POSITIVE_INFINITY)), "external_event.payload"),
  [
    "limits of a configuration",
    ({ runtimes }) =>
      runtimes.ensureRuntime({ runtimeId, config: { queueLimit: 100_001, attemptLimit: 0 } }),
    ["config.queue_limit", "config.attempt_limit"],
  ],
  [
    "a revision beyond 2^53",
    ({ runtimes }) => runtimes.getRuntime({ runtimeId, atRevision: 2n ** 53n }),
    ["at_revision"],
  ],
  [
    "revision 0",
    ({ runtimes }) => runtimes.getRuntime({ runtimeId, atRevision: 0n }),
    ["at_revision"],
  ],
  [
    "a generation beyond 2^53",
    ({ executors }) => executors.failRun({ ...claim, generation: 2n ** 63n }),
    ["generation"],
  ],
  ["a page of 1,001", ({ runtimes }) => runtimes.listRuntimes({ pageSize: 1_001 }), ["page_size"]],
  [
    "1,001 slots and 65 capabilities",
    ({ executors }) =>
      executors.pollRun({ ...who, pool: "p", slots: 1_001, capabilities: Array(65).fill("c") }),
    ["slots", "capabilities"],
  ],
];

const TEXTS: readonly Case[] = [
  input("NUL in a prompt", { kind: { case: "prompt", value: { text: "\0" } } }, "prompt.text"),
  input("31 levels of JSON", event(nested(31)), "external_event.payload"),
  [
    "31 levels in an event",
    ({ runtimes }) => runtimes.publishEvent({ runtimeId, eventCode: "a.b", payload: nested(31) }),
    ["payload"],
  ],
  [
    "31 levels in a result, and NUL",
    ({ executors }) =>
      executors.completeRun({
        ...claim,
        outcome: { case: "result", value: { text: "\0", structured: nested(31) } },
      }),
    ["result.text", "result.structured"],
  ],
  [
    "a reason of 1,025 bytes",
    ({ runtimes }) => runtimes.stopRuntime({ runtimeId, reason: "x".repeat(1_025) }),
    ["reason"],
  ],
  [
    "an error of more than 64 KiB",
    ({ executors }) => executors.failRun({ ...claim, error: "x".repeat(65_537) }),
    ["error"],
  ],
  ["NUL in an error", ({ executors }) => executors.failRun({ ...claim, error: "a\0b" }), ["error"]],
];

describe("a request with nothing in it", () => {
  it.each(EMPTY)("to %s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });
});

describe("an enum", () => {
  it.each(ENUMS)("as %s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });
});

describe("a span of time", () => {
  it.each(SPANS)("of %s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });
});

describe("a name", () => {
  it.each(NAMES)("with or as %s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });
});

describe("labels and numbers", () => {
  it.each(NUMBERS)("%s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });
});

describe("texts and JSON", () => {
  it.each(TEXTS)("%s", async (_what, call, fields) => {
    expect(await refusedFields(call)).toEqual(["INVALID_FIELD", ...fields]);
  });

  it.each(["connect", "grpc", "grpc-web"] as const)(
    "30 levels, any letters and any names of members are taken, and come back over %s",
    async (protocol) => {
      const { runtimes } = clientsOf(deployment.url, protocol);
      let json: JsonValue = JSON.parse(
        '{"__proto__":{"a":1},"constructor":[],"":"\u2028 \ud83d\udddd"}',
      ) as JsonValue;
      for (let level = 2; level < 30; level += 1) json = { a: json };
      const result = fromJson(ValueSchema, json);
      const completed = { event: { case: "completed", value: { result } } } as const;
      const news = { operationId: "o", event: completed };
      const inputId = "ключ 🗝";
      const deep = { inputId, kind: { case: "operation", value: news } } as const;
      // The answer that has the most messages around the value.
      const { results } = await runtimes.ingestBatch({
        items: [{ runtimeId, ensure: true, input: deep }],
      });
      expect(results[0]?.outcome.case).toBe("accepted");
      const target = { case: "inputId", value: inputId } as const;
      const found = await runtimes.getInput({ runtimeId, target, includePayload: true });
      const kind = found.input?.input?.kind;
      const stored = kind?.case === "operation" ? kind.value.event?.event : undefined;
      const back = stored?.case === "completed" ? stored.value.result : undefined;
      expect(back && toJson(ValueSchema, back)).toEqual(json);
    },
  );
});

describe("sizes", () => {
  const large = "x".repeat(1024 * 1024);
  const text = create(ValueSchema, { kind: { case: "stringValue", value: large } });

  it("an input, an event and a result over 1 MiB name the limit and both numbers", async () => {
    const { runtimes, executors } = clients;
    const outcome = { case: "result", value: { text: large } } as const;
    const refusals = await Promise.all([
      refusalOf(runtimes.ingest({ runtimeId, input: prompt(large) })),
      refusalOf(runtimes.publishEvent({ runtimeId, eventCode: "a.b", payload: text })),
      refusalOf(executors.completeRun({ ...claim, outcome })),
    ]);
    expect(refusals.map(({ reason }) => reason)).toEqual([
      "PAYLOAD_TOO_LARGE",
      "PAYLOAD_TOO_LARGE",
      "RESULT_TOO_LARGE",
    ]);
    for (const { metadata } of refusals) {
      expect(metadata["limitBytes"]).toBe("1048576");
      expect(Number(metadata["actualBytes"])).toBeGreaterThan(1_048_576);
    }
  });

  it("a batch over its limits names the limit and both numbers", async () => {
    const { runtimes } = clients;
    const item = { runtimeId, input: prompt("x") };
    const many = await refusalOf(runtimes.ingestBatch({ items: Array(1_001).fill(item) }));
    expect(many).toMatchObject({
      reason: "BATCH_TOO_LARGE",
      metadata: { limitInputs: "1000", actualInputs: "1001" },
    });
    const big = { runtimeId, input: prompt("x".repeat(1_000_000)) };
    const heavy = await refusalOf(runtimes.ingestBatch({ items: Array(5).fill(big) }));
    expect(heavy.metadata["limitBytes"]).toBe("4194304");
    expect(Number(heavy.metadata["actualBytes"])).toBeGreaterThan(5_000_000);
  });

  it.each(["input.queued", "run", "drain.x"])(
    "the event code %s is the server's own",
    async (eventCode) => {
      const refusal = await refusalOf(clients.runtimes.publishEvent({ runtimeId, eventCode }));
      expect(refusal).toMatchObject({ reason: "EVENT_CODE_RESERVED", metadata: { eventCode } });
    },
  );
});

it("nothing of all this has made a runtime", async () => {
  expect((await clients.runtimes.listRuntimes({})).runtimes).toEqual([]);
});
