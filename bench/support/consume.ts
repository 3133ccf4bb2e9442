/** Gives a runtime a past: inputs that were ingested, run and consumed. */
import { randomUUID } from "node:crypto";
import { RunApplyBoundary } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import { ensureRuntimes } from "./environment.ts";
import { batchBody, PATHS } from "./inputs.ts";
import { runRawLoad } from "./raw-http.ts";
import type { BenchServer } from "./servers.ts";

const BATCH = 1000;

/** Ingests `count` inputs in batches and consumes them run by run. */
export async function consumeAll(
  server: BenchServer,
  runtimeId: string,
  count: number,
): Promise<void> {
  await ensureRuntimes(server, [runtimeId], "past");
  const identity = { executorId: "bench-past", incarnationId: randomUUID() };
  const ending = new AbortController();
  const stream = server.executor.attach(
    { ...identity, runtimeIds: [runtimeId], slots: 1 },
    { signal: ending.signal },
  );
  const bodies = Array.from({ length: Math.ceil(count / BATCH) }, (_, index) =>
    batchBody([runtimeId], `past-${index}`, BATCH, "event"),
  );
  const ingested = runRawLoad({
    port: server.port,
    path: PATHS.ingestBatch,
    contentType: "application/proto",
    connections: 1,
    durationMs: 600_000,
    nextBody: () => bodies.pop(),
  });
  let consumed = 0;
  for await (const { message } of stream) {
    if (message.case !== "runAssigned") continue;
    for (let assignment: typeof message.value | undefined = message.value; assignment; ) {
      const { runId, generation, primitive } = assignment;
      const contributingInputIds = primitive?.contributingInputIds ?? [];
      const finalBoundary = { boundary: RunApplyBoundary.RUN_START, contributingInputIds };
      const done = await server.executor.completeRun({
        runtimeId,
        runId,
        generation,
        finalBoundary,
        takeNext: true,
      });
      consumed += contributingInputIds.length;
      assignment = done.next;
    }
    if (consumed >= count) break;
  }
  await ingested;
  await server.executor.detach(identity);
  ending.abort();
}
