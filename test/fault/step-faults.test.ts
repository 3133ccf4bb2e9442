// Servers killed between two steps of one flow, each at the very place: a gate to the database
// holds the message that the next step rests on, and the server dies while it waits for it.
import { hash, randomBytes, randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ExecutorControl } from "../../gen/keelson/executor/v1/messages_pb.ts";
import {
  DrainExitReason,
  DrainPhase,
  InputState,
  type PeerIngress,
  RunApplyBoundary,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { attach, type AttachTerms, identity } from "../service/support/attached-executor.ts";
import { commanded, journaled, type Stop } from "./support/database-gate.ts";
import { isPassing } from "./support/endpoints.ts";
import { type GatedStage, openGatedStage } from "./support/gated-stage.ts";
import { SMALL_POOL } from "./support/small-scene.ts";
import { eventually } from "./support/waiting.ts";

const SETTLED_MS = 30_000;
/** So short that what an upload left behind is collected while its case lasts. */
const BLOB_GRACE_MS = 3_000;
const MIB = 1024 * 1024;

let stage: GatedStage;
let hasFailed = false;

beforeAll(async () => {
  stage = await openGatedStage({ KEELSON_BLOB_GRACE_MS: `${BLOB_GRACE_MS}` });
});

afterEach(({ task }) => {
  if (task.result?.state === "fail") hasFailed = true;
});

afterAll(() => stage.dispose(hasFailed));

/** Commits of a runtime with an event of this type. */
function committed(runtimeId: string, eventType: string) {
  return journaled(`runtime/default/${runtimeId}`, `"type":"${eventType}"`);
}

/** The types of the events of a runtime that begin so, in order. */
async function historyOf(runtimeId: string, prefix: string): Promise<readonly string[]> {
  const { commits } = await stage.client.endpoints.call(({ admin }, limits) => {
    const request = { stream: { kind: "runtime", id: runtimeId }, pageSize: 1_000 };
    return admin.listCommits(request, limits);
  });
  const types = commits.flatMap(({ canonicalJson }) => {
    return [...canonicalJson.matchAll(/"type":"([a-z_]+)"/g)].map(([, type]) => type ?? "");
  });
  return types.filter((type) => type.startsWith(prefix));
}

async function ingressOf(runtimeId: string): Promise<PeerIngress> {
  const { peerIngress } = await stage.read(runtimeId);
  if (peerIngress === undefined) throw new Error("a runtime without its ingress");
  return peerIngress;
}

async function keepAlive(runtimeId: string): Promise<void> {
  const endpoint = { address: `inproc://${runtimeId}` };
  const request = { runtimeId, keepAlive: true, endpoint };
  await stage.client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.updatePeerIngress(request, limits);
  });
}

/** An executor that drains and notes what it is told of one runtime. */
function makeDrainer(runtimeId: string) {
  const self = identity(`host of ${runtimeId}`);
  const told: string[] = [];
  let attached: ReturnType<typeof attach> | undefined;

  const tell = (controls: readonly ExecutorControl[]): readonly string[] => {
    return controls.flatMap(({ runtimeId: about, control }) => {
      if (about !== runtimeId) return [];
      if (control.case === "spawnDrain") return [`spawn ${control.value.drainSequence}`];
      if (control.case === "abortDrain") return [`abort ${control.value.drainSequence}`];
      return [];
    });
  };

  return {
    /** Attaches, for the first time or again, naming the drains that it runs. */
    attach: (heldDrains: AttachTerms["heldDrains"] = []): void => {
      told.push(...tell(attached?.controls ?? []));
      const terms = { pool: SMALL_POOL, capabilities: ["peer_drain"], heldDrains };
      attached = attach(stage.client.endpoints.next().executors, self, terms);
    },
    /** What it was told of drains in all its attachments, in order. */
    told: (): readonly string[] => [...told, ...tell(attached?.controls ?? [])],
    leave: async (): Promise<void> => {
      attached?.disconnect();
      await stage.client.endpoints.call(({ executors }, limits) => executors.detach(self, limits));
    },
  };
}

async function untilTold(
  drainer: ReturnType<typeof makeDrainer>,
  ...words: readonly string[]
): Promise<void> {
  await eventually(
    `told ${words.join()}`,
    SETTLED_MS,
    () => drainer.told().join() === words.join(),
  );
}

test("a drain that was started, and its server killed before it had a host, gets one", async () => {
  await stage.ensure("spawn");
  const drainer = makeDrainer("spawn");
  drainer.attach();
  const place = { place: "before", sought: committed("spawn", "drain_spawned") } as const;
  const look = async (): Promise<void> => {
    expect(await ingressOf("spawn")).toMatchObject({
      phase: DrainPhase.STARTING,
      drainSequence: 1n,
    });
    expect(drainer.told()).toEqual([]);
  };
  await stage.dyingAt({ ...place, look }, () => keepAlive("spawn"));
  expect(await ingressOf("spawn")).toMatchObject({ phase: DrainPhase.STARTING });
  drainer.attach();
  await untilTold(drainer, "spawn 1");
  expect(await ingressOf("spawn")).toMatchObject({
    phase: DrainPhase.RUNNING,
    drainSequence: 1n,
    executorId: "host of spawn",
  });
  expect(await historyOf("spawn", "drain_")).toEqual(["drain_started", "drain_spawned"]);
  await drainer.leave();
});

test("the abort of a drain that was committed, and nobody told, is told after all", async () => {
  await stage.ensure("abort");
  const drainer = makeDrainer("abort");
  drainer.attach();
  await keepAlive("abort");
  await untilTold(drainer, "spawn 1");
  const request = { runtimeId: "abort", requestId: "abort-it", reason: "enough" };
  const abort = () => {
    return stage.client.endpoints.call(({ runtimes }, limits) => {
      return runtimes.abortDrain(request, limits);
    });
  };
  let isAnswered = false;
  const look = (): void => {
    expect([isAnswered, drainer.told()]).toEqual([false, ["spawn 1"]]);
  };
  const place = { place: "after", sought: committed("abort", "drain_aborted") } as const;
  const answer = await stage.dyingAt({ ...place, look }, async () => {
    const answered = await abort();
    isAnswered = true;
    return answered;
  });
  expect(answer.aborted).toBe(true);
  expect(await abort()).toEqual(answer);
  drainer.attach([{ runtimeId: "abort", drainSequence: 1n }]);
  await untilTold(drainer, "spawn 1", "abort 1");
  expect(await historyOf("abort", "drain_")).toEqual([
    "drain_started",
    "drain_spawned",
    "drain_aborted",
  ]);
  await drainer.leave();
});

test("a drain that failed comes back once, killed in its backoff and at its end", async () => {
  await stage.ensure("respawn");
  const drainer = makeDrainer("respawn");
  drainer.attach();
  await keepAlive("respawn");
  await untilTold(drainer, "spawn 1");
  const failed = { runtimeId: "respawn", reason: DrainExitReason.FAILED, drainSequence: 1n };
  // From here on no second drain gets into the history unseen.
  const sought = journaled("runtime/default/respawn", '"type":"drain_started"');
  const guard = stage.stopAt("before", sought);
  await stage.client.endpoints.call(({ runtimes }, limits) => {
    return runtimes.notifyDrainExited(failed, limits);
  });
  const { phase, notBefore } = await ingressOf("respawn");
  await stage.server.kill();
  expect([phase, guard.isReached()]).toEqual([DrainPhase.EXITED_RESPAWNABLE, false]);
  guard.lift();
  await stage.dyingAt({ place: "before", sought, look: () => undefined }, async () => {
    await stage.server.start();
    drainer.attach();
  });
  expect(await ingressOf("respawn")).toMatchObject({
    phase: DrainPhase.EXITED_RESPAWNABLE,
    drainSequence: 1n,
    notBefore,
  });
  drainer.attach();
  await untilTold(drainer, "spawn 1", "spawn 2");
  const { since, ...after } = await ingressOf("respawn");
  expect(after).toMatchObject({ phase: DrainPhase.RUNNING, drainSequence: 2n });
  expect(Number(since?.seconds)).toBeGreaterThanOrEqual(Number(notBefore?.seconds));
  const lives = "drain_started drain_spawned drain_exited drain_started drain_spawned";
  expect((await historyOf("respawn", "drain_")).join(" ")).toBe(lives);
  await drainer.leave();
});

test("the end of all drains, killed half-way, goes on where it was and names all", async () => {
  const { endpoints } = stage.client;
  const headers = { "keelson-namespace": "crowd" };
  const names = Array.from({ length: 520 }, (_runtime, index) => `crowd-${1_000 + index}`);
  const endpoint = { address: "inproc://crowd" };
  const reach = (runtimeId: string) => {
    return endpoints.call(({ runtimes }, limits) => {
      const request = { runtimeId, keepAlive: true, endpoint };
      return runtimes.updatePeerIngress(request, { ...limits, headers });
    });
  };
  for (let from = 0; from < names.length; from += 65) {
    const some = names.slice(from, from + 65).map(async (runtimeId) => {
      await endpoints.call(({ runtimes }, limits) => {
        return runtimes.ensureRuntime({ runtimeId }, { ...limits, headers });
      });
      await reach(runtimeId);
    });
    await Promise.all(some);
  }
  const phases = async (): Promise<Readonly<Record<string, number>>> => {
    const { runtimes: all } = await endpoints.call(({ runtimes }, limits) => {
      return runtimes.listRuntimes({ pageSize: 1_000 }, { ...limits, headers });
    });
    const count = (phase: DrainPhase): number => {
      return all.filter(({ peerIngress }) => peerIngress?.phase === phase).length;
    };
    return { starting: count(DrainPhase.STARTING), stopped: count(DrainPhase.STOPPED) };
  };
  const abortAll = () => {
    return endpoints.call(({ runtimes }, limits) => {
      const request = { requestId: "night", reason: "maintenance" };
      return runtimes.abortAllDrains(request, { ...limits, headers });
    });
  };
  const look = async (): Promise<void> => {
    expect(await phases()).toEqual({ starting: 20, stopped: 500 });
  };
  // A step of 500 drains is over, and what the next one is to end is about to be noted.
  const sought = commanded("insert", "drain_aborts", "crowd/night:000000000002");
  const place = { place: "before", sought } as const;
  const told = await stage.dyingAt({ ...place, look }, abortAll);
  expect(told.runtimeIds).toEqual(names);
  expect(await phases()).toEqual({ starting: 0, stopped: 520 });
  await reach("crowd-1007");
  expect(await abortAll()).toEqual(told);
  expect(await phases()).toEqual({ starting: 1, stopped: 519 });
});

/** A content as an upload in pieces. */
async function* uploadOf(content: Uint8Array) {
  yield { message: { case: "header" as const, value: {} } };
  for (let offset = 0; offset < content.byteLength; offset += MIB) {
    const piece = content.subarray(offset, offset + MIB);
    yield { message: { case: "piece" as const, value: piece } };
  }
}

test("an upload whose server was killed in its middle is nothing, and is taken away", async () => {
  const content = randomBytes(4 * MIB);
  const digest = hash("sha256", content);
  const { endpoints } = stage.client;
  let removal: Stop | undefined;
  const sought = commanded("insert", "blobChunks", ":000000000002");
  const place = { place: "before", sought } as const;
  const look = (message: Buffer): void => {
    const uploadId = /([0-9a-f-]{36}):000000000002/.exec(message.toString("latin1"))?.[1];
    removal = stage.stopAt("after", commanded("delete", "blobs", uploadId ?? "no upload"));
  };
  const upload = stage.dyingAt({ ...place, look }, () => {
    return endpoints.next().blobs.putBlob(uploadOf(content));
  });
  // An upload is its caller's to repeat.
  expect(
    isPassing(
      await upload.then(
        () => undefined,
        (error: unknown) => error,
      ),
    ),
  ).toBe(true);
  const stat = endpoints.call(({ blobs }, limits) => blobs.statBlob({ digest }, limits));
  await expect(stat).rejects.toThrow(/no such blob/);
  const { blob } = await endpoints.call(({ blobs }, limits) => {
    return blobs.putBlob(uploadOf(content), limits);
  });
  expect(blob).toMatchObject({ digest, size: BigInt(content.byteLength) });
  await eventually(
    "the first upload is collected",
    SETTLED_MS,
    () => removal?.isReached() === true,
  );
  removal?.lift();
});

test("a boundary whose server was killed between pin and commit keeps its snapshot", async () => {
  const { endpoints } = stage.client;
  const { read, ensure, dyingAt } = stage;
  const content = randomBytes(1_000);
  const digest = hash("sha256", content);
  const take = async (key: string) => {
    const kind = { case: "prompt" as const, value: { text: key } };
    const input = { idempotencyKey: key, kind };
    const request = { runtimeId: "snapshot", executorId: "caller", requestId: key, input };
    const { run } = await endpoints.call(({ runtimes }, limits) => {
      return runtimes.ingestAndRun({ ...request, incarnationId: randomUUID() }, limits);
    });
    if (run === undefined) throw new Error("an answer without a run");
    return run;
  };
  const expiryOf = async () => {
    const { blob } = await endpoints.call(({ blobs }, limits) =>
      blobs.statBlob({ digest }, limits),
    );
    return blob?.expiresAt;
  };
  await ensure("snapshot");
  const { runtimeId, runId, generation, stagedInputIds } = await take("first");
  await endpoints.call(({ blobs }, limits) => blobs.putSmallBlob({ content }, limits));
  expect(await expiryOf()).toBeDefined();
  const boundary = {
    boundary: RunApplyBoundary.RUN_START,
    contributingInputIds: stagedInputIds,
    messageCount: 1n,
    sessionSnapshot: { digest },
  };
  const look = async (): Promise<void> => {
    // Pinned, and nothing of the boundary is there.
    expect(await expiryOf()).toBeUndefined();
    expect((await read("snapshot")).sessionSnapshot).toBeUndefined();
  };
  const place = { place: "before", sought: committed("snapshot", "boundary_committed") } as const;
  const { receipt } = await dyingAt({ ...place, look }, () => {
    return endpoints.call(({ executors }, limits) => {
      const report = { runtimeId, runId, generation, ...boundary };
      return executors.commitBoundary(report, limits);
    });
  });
  expect(receipt?.sequence).toBe(0n);
  expect(await historyOf("snapshot", "boundary_")).toEqual(["boundary_committed"]);
  await endpoints.call(({ executors }, limits) => {
    return executors.completeRun({ runtimeId, runId, generation }, limits);
  });
  expect((await take("second")).sessionSnapshot).toMatchObject({ blob: { digest }, runId });
  expect(await expiryOf()).toBeUndefined();
});

test("a cancellation is done once and told alike, killed before its commit and after", async () => {
  const { endpoints } = stage.client;
  await stage.ensure("cancel");
  for (const place of ["before", "after"] as const) {
    const names = Array.from({ length: 6 }, (_input, index) => `${place}-${index}`);
    for (const name of names) await stage.send("cancel", name);
    const anchor = { case: "idempotencyKey" as const, value: `${place}-2` };
    const request = {
      runtimeId: "cancel",
      requestId: `cancel-${place}`,
      selection: { case: "suffixFrom" as const, value: { target: anchor } },
    };
    const cancel = () => {
      return endpoints.call(({ runtimes }, limits) => runtimes.cancelInputs(request, limits));
    };
    const inputs = async () => {
      const filter = { states: [InputState.ABANDONED] };
      const page = await endpoints.call(({ runtimes }, limits) => {
        return runtimes.listInputs({ runtimeId: "cancel", filter, pageSize: 1_000 }, limits);
      });
      return page.inputs.filter((input) => names.includes(input.idempotencyKey));
    };
    let isAnswered = false;
    const look = (): void => expect(isAnswered).toBe(false);
    const sought = committed("cancel", "inputs_cancelled");
    const told = await stage.dyingAt({ place, sought, look }, async () => {
      const answer = await cancel();
      isAnswered = true;
      return answer;
    });
    expect(told.results.map(({ outcome }) => outcome.case)).toEqual(
      Array.from({ length: 4 }, () => "cancelled"),
    );
    const again = await cancel();
    expect(again).toEqual({ ...told, runtime: again.runtime });
    const cancelled = await inputs();
    expect(cancelled.map((input) => input.inputId)).toEqual(told.results.map((it) => it.inputId));
    expect(cancelled.map(({ history }) => history.at(-1)?.revision)).toEqual(
      cancelled.map(() => told.revision),
    );
  }
  expect(await historyOf("cancel", "inputs_cancelled")).toHaveLength(2);
});
