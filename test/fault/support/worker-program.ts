// A process worker as a process of its own, to be killed and paused: claims, renews, works, and
// writes down what it was told before it goes on. Started with its order as the one argument.
import { randomUUID } from "node:crypto";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { makeEndpoints } from "./endpoints.ts";
import { openHistoryLog } from "./history-log.ts";
import { JOB_KIND } from "./made-processes.ts";
import type { ProcessEntry } from "./process-history.ts";
import { workerOrderSchema } from "./worker-order.ts";
import { performJob } from "./worker-jobs.ts";

const CLAIM_WAIT_MS = 1_000;

const [text] = process.argv.slice(2);
if (text === undefined) throw new Error("usage: worker-program.ts <order as JSON>");
const { workerId, urls, protocol, slots, leaseTtlMs, historyPath } = workerOrderSchema.parse(
  JSON.parse(text),
);
const log = openHistoryLog<ProcessEntry>(historyPath);
const { signal } = new AbortController();
const incarnationId = randomUUID();

async function workOn(slot: number): Promise<never> {
  const endpoints = makeEndpoints(urls, { protocol, signal, first: slot });
  const owner = { ownerId: workerId, incarnationId };
  const request = {
    kinds: [JOB_KIND],
    owner,
    ttl: durationFromMs(leaseTtlMs),
    timeout: durationFromMs(CLAIM_WAIT_MS),
  };
  for (;;) {
    const {
      lease,
      process: claimed,
      revision,
    } = await endpoints.call(({ processes }, limits) => {
      return processes.claimNext(request, limits);
    });
    if (lease === undefined || claimed === undefined) continue;
    const { processId, leaseToken } = lease;
    const generation = Number(lease.generation);
    const hold = { worker: workerId, incarnationId, processId, generation };
    log.append({ type: "claimed", ...hold, leaseToken, revision: Number(revision) });
    await performJob({ hold, lease, claimed, endpoints, log, leaseTtlMs });
  }
}

await Promise.all(Array.from({ length: slots }, (_slot, index) => workOn(index)));
