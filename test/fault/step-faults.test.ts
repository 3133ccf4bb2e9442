// Servers killed between two steps of one call, each at the very place: a gate to the database
// holds the message that the next step rests on, and the server dies while it waits for it.
import { hash, randomBytes, randomUUID } from "node:crypto";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { InputState, RunApplyBoundary } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { commanded, committed, type Stop } from "./support/database-gate.ts";
import { isPassing, reasonOf } from "./support/endpoints.ts";
import { useGatedStage } from "./support/gated-stage.ts";
import { eventually } from "./support/waiting.ts";

const SETTLED_MS = 30_000;
/** So short that what nothing refers to is collected while its case lasts. */
const BLOB_GRACE_MS = 3_000;
const MIB = 1024 * 1024;
const PLACES = ["before", "after"] as const;

const stage = useGatedStage({ KEELSON_BLOB_GRACE_MS: `${BLOB_GRACE_MS}` });

const expiryOf = async (digest: string) => {
  const { blob } = await stage().client.endpoints.call(({ blobs }, limits) => {
    return blobs.statBlob({ digest }, limits);
  });
  return blob?.expiresAt;
};

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
  const { endpoints } = stage().client;
  let removal: Stop | undefined;
  const sought = commanded("insert", "blobChunks", ":000000000002");
  const place = { place: "before", sought } as const;
  const look = (message: Buffer): void => {
    const uploadId = /([0-9a-f-]{36}):000000000002/.exec(message.toString("latin1"))?.[1];
    removal = stage().stopAt("after", commanded("delete", "blobs", uploadId ?? "no upload"));
  };
  const upload = stage().dyingAt({ ...place, look }, () => {
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
  const { endpoints } = stage().client;
  const { read, ensure, dyingAt } = stage();
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
  await ensure("snapshot");
  const { runtimeId, runId, generation, stagedInputIds } = await take("first");
  await endpoints.call(({ blobs }, limits) => blobs.putSmallBlob({ content }, limits));
  expect(await expiryOf(digest)).toBeDefined();
  const boundary = {
    boundary: RunApplyBoundary.RUN_START,
    contributingInputIds: stagedInputIds,
    messageCount: 1n,
    sessionSnapshot: { digest },
  };
  const look = async (): Promise<void> => {
    // Pinned, and nothing of the boundary is there.
    expect(await expiryOf(digest)).toBeUndefined();
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
  expect(await stage().historyOf("snapshot", "boundary_")).toEqual(["boundary_committed"]);
  await endpoints.call(({ executors }, limits) => {
    return executors.completeRun({ runtimeId, runId, generation }, limits);
  });
  expect((await take("second")).sessionSnapshot).toMatchObject({ blob: { digest }, runId });
  expect(await expiryOf(digest)).toBeUndefined();
});

test("a cancellation is done once and told alike, killed before its commit and after", async () => {
  const { endpoints } = stage().client;
  await stage().ensure("cancel");
  for (const place of PLACES) {
    const names = Array.from({ length: 6 }, (_input, index) => `${place}-${index}`);
    for (const name of names) await stage().send("cancel", name);
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
    const told = await stage().dyingAt({ place, sought, look }, async () => {
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
  expect(await stage().historyOf("cancel", "inputs_cancelled")).toHaveLength(2);
});

test("an input with content is taken in once, killed before its commit and after", async () => {
  const { endpoints } = stage().client;
  const contents = new Map(PLACES.map((place) => [place, randomBytes(150_000)]));
  await stage().ensure("content");
  const outcomes: string[] = [];
  for (const [place, data] of contents) {
    const image = { case: "image" as const, value: { mediaType: "image/png", data } };
    const prompt = { text: "look", blocks: [{ block: image }] };
    const input = { idempotencyKey: place, kind: { case: "prompt" as const, value: prompt } };
    const look = async (): Promise<void> => {
      // Stored and pinned, whether the commit that refers to it is there or not.
      expect(await expiryOf(hash("sha256", data))).toBeUndefined();
    };
    const sought = committed("content", "input_admitted");
    const { outcome } = await stage().dyingAt({ place, sought, look }, () => {
      return endpoints.call(({ runtimes }, limits) => {
        return runtimes.ingest({ runtimeId: "content", input }, limits);
      });
    });
    outcomes.push(outcome.case ?? "");
  }
  expect(outcomes).toEqual(["accepted", "deduplicated"]);
  const content = randomBytes(1_000);
  const stray = hash("sha256", content);
  await endpoints.call(({ blobs }, limits) => blobs.putSmallBlob({ content }, limits));
  await eventually("what nobody refers to is collected", SETTLED_MS, async () => {
    return (await expiryOf(stray).catch(reasonOf)) === "BLOB_NOT_FOUND";
  });
  for (const [place, data] of contents) {
    const digest = hash("sha256", data);
    const pieces = await endpoints.call(async ({ blobs }, limits) => {
      const all: Uint8Array[] = [];
      for await (const { message } of blobs.getBlob({ digest }, limits)) {
        if (message.case === "piece") all.push(message.value);
      }
      return all;
    });
    expect([place, Buffer.concat(pieces).equals(data)]).toEqual([place, true]);
  }
  expect((await stage().read("content")).inputCounts?.accepted).toBe(2n);
});

test("a run that a caller takes is the same on a retry, killed before it and after", async () => {
  const { endpoints } = stage().client;
  await stage().ensure("taken");
  for (const [index, place] of PLACES.entries()) {
    const kind = { case: "prompt" as const, value: { text: place } };
    const request = {
      runtimeId: "taken",
      executorId: "caller",
      incarnationId: randomUUID(),
      leaseTtl: durationFromMs(30_000),
      requestId: place,
      input: { idempotencyKey: place, kind },
    };
    const take = () => {
      return endpoints.call(({ runtimes }, limits) => runtimes.ingestAndRun(request, limits));
    };
    const sought = committed("taken", "run_started");
    const { run } = await stage().dyingAt({ place, sought }, take);
    expect((await take()).run).toEqual(run);
    if (!run) throw new Error("an answer without a run");
    const { runtimeId, runId, generation, boundary, stagedInputIds } = run;
    const finalBoundary = { boundary, contributingInputIds: stagedInputIds, messageCount: 1n };
    const report = { runtimeId, runId, generation, finalBoundary };
    await endpoints.call(({ executors }, limits) => executors.completeRun(report, limits));
    await stage().untilConsumed("taken", index + 1);
  }
  const { inputs } = await endpoints.call(({ runtimes }, limits) => {
    return runtimes.listInputs({ runtimeId: "taken" }, limits);
  });
  expect(inputs.map(({ attemptCount }) => attemptCount)).toEqual([1, 1]);
  expect(await stage().historyOf("taken", "run_started")).toHaveLength(2);
});
