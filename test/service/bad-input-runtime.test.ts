// Calls about runs that callers hold, causes, cancelled inputs, peers and blobs, with fields that
// are missing, malformed or outside of their limits: each is named, whatever the state of the
// runtime, and nothing is changed.
import { afterAll, beforeAll, expect, it } from "vitest";
import type { DrainExitReason } from "../../gen/keelson/runtime/v1/messages_pb.ts";
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

const runtimeId = "r";
const requestId = "x".repeat(257);
const reason = "x".repeat(1_025);
const input = prompt("x");
const who = { executorId: "e", incarnationId: "i" };
const NAMELESS = { case: undefined } as const;
const UNKNOWN_ENUM = 99;
const PIECE_BYTES_MAX = 4 * 1024 * 1024;

const TAKEN: readonly Case[] = [
  [
    "IngestAndRun of nothing",
    ({ runtimes }) => runtimes.ingestAndRun({}),
    ["executor_id", "incarnation_id", "runtime_id", "input"],
  ],
  [
    "IngestAndRun with a lease of a day",
    ({ runtimes }) =>
      runtimes.ingestAndRun({ runtimeId, input, ...who, leaseTtl: { seconds: 86_400n } }),
    ["lease_ttl"],
  ],
  [
    "IngestAndRun with a long request id",
    ({ runtimes }) => runtimes.ingestAndRun({ runtimeId, input, ...who, requestId }),
    ["request_id"],
  ],
  ["ExplainRuntime of nothing", ({ runtimes }) => runtimes.explainRuntime({}), ["runtime_id"]],
  [
    "ExplainRuntime of a name with NUL",
    ({ runtimes }) => runtimes.explainRuntime({ runtimeId: "a\0b" }),
    ["runtime_id"],
  ],
];

const CANCELLED: readonly Case[] = [
  [
    "CancelInputs of nothing",
    ({ runtimes }) => runtimes.cancelInputs({}),
    ["runtime_id", "selection"],
  ],
  [
    "CancelInputs of no input",
    ({ runtimes }) =>
      runtimes.cancelInputs({ runtimeId, selection: { case: "targets", value: {} } }),
    ["targets.targets"],
  ],
  [
    "CancelInputs of an input without a name",
    ({ runtimes }) => {
      const target = { case: "inputId", value: "i" } as const;
      const value = { targets: [{ target }, { target: NAMELESS }] };
      return runtimes.cancelInputs({ runtimeId, selection: { case: "targets", value } });
    },
    ["targets.targets[1].target"],
  ],
  [
    "CancelInputs from nowhere on",
    ({ runtimes }) => {
      const selection = { case: "suffixFrom", value: { target: NAMELESS } } as const;
      return runtimes.cancelInputs({ runtimeId, selection });
    },
    ["suffix_from.target"],
  ],
  ["SetSilentIntents of nothing", ({ runtimes }) => runtimes.setSilentIntents({}), ["runtime_id"]],
  [
    "SetSilentIntents to an intent that is empty and one with a line break",
    ({ runtimes }) => runtimes.setSilentIntents({ runtimeId, intents: ["fine", "", "a\nb"] }),
    ["intents[1]", "intents[2]"],
  ],
  [
    "SetSilentIntents to 65 intents",
    ({ runtimes }) => {
      const intents = Array.from({ length: 65 }, (_, index) => `intent-${index}`);
      return runtimes.setSilentIntents({ runtimeId, intents, requestId });
    },
    ["intents", "request_id"],
  ],
];

const PEERS: readonly Case[] = [
  [
    "UpdatePeerIngress of nothing",
    ({ runtimes }) => runtimes.updatePeerIngress({}),
    ["runtime_id"],
  ],
  [
    "UpdatePeerIngress with an endpoint without an address",
    ({ runtimes }) => runtimes.updatePeerIngress({ runtimeId, endpoint: { peerName: requestId } }),
    ["endpoint.address", "endpoint.peer_name"],
  ],
  [
    "NotifyDrainExited of nothing",
    ({ runtimes }) => runtimes.notifyDrainExited({}),
    ["runtime_id", "reason"],
  ],
  [
    "NotifyDrainExited for an unknown reason, of a drain beyond 2^53",
    ({ runtimes }) => {
      const unknown = UNKNOWN_ENUM as DrainExitReason;
      return runtimes.notifyDrainExited({ runtimeId, reason: unknown, drainSequence: 2n ** 53n });
    },
    ["reason", "drain_sequence"],
  ],
  [
    "AbortDrain of nothing, for a long reason",
    ({ runtimes }) => runtimes.abortDrain({ reason }),
    ["runtime_id", "reason"],
  ],
  [
    "AbortAllDrains for a long reason",
    ({ runtimes }) => runtimes.abortAllDrains({ reason, requestId }),
    ["reason", "request_id"],
  ],
  [
    "WaitDrain of nothing, less than no time",
    ({ runtimes }) => runtimes.waitDrain({ timeout: { seconds: -1n } }),
    ["runtime_id", "timeout"],
  ],
];

type BlobMessage = Parameters<CaseClients["blobs"]["putBlob"]>[0];

async function* upload(...messages: readonly object[]): BlobMessage {
  for (const message of messages) yield { message } as never;
}

const header = (value: object) => ({ case: "header", value });
const piece = (bytes: number) => ({ case: "piece", value: new Uint8Array(bytes) });

const BLOBS: readonly Case[] = [
  ["PutBlob without a message", ({ blobs }) => blobs.putBlob(upload()), ["message"]],
  ["PutBlob without a header", ({ blobs }) => blobs.putBlob(upload(piece(1))), ["message"]],
  [
    "PutBlob with two headers",
    ({ blobs }) => blobs.putBlob(upload(header({}), header({}))),
    ["message"],
  ],
  [
    "PutBlob with a header of no digest and no size",
    ({ blobs }) => blobs.putBlob(upload(header({ digest: "ABC", size: 2n ** 53n }))),
    ["header.digest", "header.size"],
  ],
  [
    "PutBlob with a piece that is too large",
    ({ blobs }) => blobs.putBlob(upload(header({}), piece(PIECE_BYTES_MAX + 1))),
    ["piece"],
  ],
  [
    "PutSmallBlob with a digest in capitals",
    ({ blobs }) => blobs.putSmallBlob({ digest: "A".repeat(64) }),
    ["digest"],
  ],
  [
    "GetBlob of nothing",
    ({ blobs }) => firstOf((signal) => blobs.getBlob({}, { signal })),
    ["digest"],
  ],
  ["StatBlob of nothing", ({ blobs }) => blobs.statBlob({}), ["digest"]],
  ["StatBlob of what is no digest", ({ blobs }) => blobs.statBlob({ digest: "x" }), ["digest"]],
];

it.each([...TAKEN, ...CANCELLED, ...PEERS, ...BLOBS])("%s", async (_what, call, fields) => {
  const refusal = await refusalOf(call(clients));
  expect([refusal.reason, ...refusal.fields]).toEqual(["INVALID_FIELD", ...fields]);
});

it("PutSmallBlob with more than goes into one message names the limit and the size", async () => {
  const content = new Uint8Array(PIECE_BYTES_MAX + 1);
  expect(await refusalOf(clients.blobs.putSmallBlob({ content }))).toMatchObject({
    reason: "BLOB_TOO_LARGE",
    metadata: { limitBytes: "4194304", actualBytes: "4194305" },
  });
});

it("nothing of all this has made a runtime", async () => {
  expect((await clients.runtimes.listRuntimes({})).runtimes).toEqual([]);
});
