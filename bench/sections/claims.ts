/**
 * (l) Work for workers: how fast ClaimNext hands out the oldest processes while few wait and while
 * many do. The two rates are of one run; a queue that scanned what waits would tell them apart.
 */
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProcessDisposition } from "../../gen/keelson/process/v1/messages_pb.ts";
import { ProcessRegistryService } from "../../gen/keelson/process/v1/service_pb.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import { startBenchServer } from "../support/servers.ts";
import { readable } from "../support/stats.ts";

const WORKERS = 64;
/** Claims of a round; as many as wait when few do. */
const CLAIMS = 2_000;

type Processes = Client<typeof ProcessRegistryService>;

async function atOnce(work: (worker: number) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
}

/** Registers processes of a kind that wait for a worker; answers their names in that order. */
async function registerPending(
  processes: Processes,
  kind: string,
  count: number,
): Promise<readonly string[]> {
  let registered = 0;
  await atOnce(async () => {
    while (registered < count) {
      registered += 1;
      await processes.registerProcess({
        registration: {
          processId: `${kind}-${registered}`,
          input: { kind: { case: "engine", value: { kind } } },
          provenance: { originator: { case: "host", value: {} } },
          disposition: ProcessDisposition.RERUNNABLE,
          envRef: "bench",
        },
      });
    }
  });
  return Array.from({ length: count }, (_, index) => `${kind}-${index + 1}`);
}

/** Claims per second; every process must be handed out once, and the oldest ones first. */
async function claimRate(
  processes: Processes,
  kind: string,
  registered: readonly string[],
): Promise<number> {
  const claimed: string[] = [];
  let asked = 0;
  const startedMs = performance.now();
  await atOnce(async (worker) => {
    const owner = { ownerId: `worker-${worker}`, incarnationId: "1" };
    while (asked < CLAIMS) {
      asked += 1;
      const { process } = await processes.claimNext({
        kinds: [kind],
        owner,
        ttl: { seconds: 3_600n },
      });
      if (process !== undefined) claimed.push(process.processId);
    }
  });
  const elapsedMs = performance.now() - startedMs;
  if (new Set(claimed).size !== CLAIMS) throw new Error("a process was handed out twice, or none");
  const oldest = new Set(registered.slice(0, CLAIMS + WORKERS));
  if (claimed.some((name) => !oldest.has(name))) throw new Error("an older process was passed by");
  return (CLAIMS * 1_000) / elapsedMs;
}

/** Runs the section. */
export async function benchClaims(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const server = await startBenchServer("journal", `claims-${unique}`, dataDirectory);
  const processes = createClient(
    ProcessRegistryService,
    createGrpcTransport({ baseUrl: server.url }),
  );
  const section = "l";
  const kinds = { warm: CLAIMS, few: CLAIMS, many: scale.manyRuntimes } as const;
  for (const [kind, count] of Object.entries(kinds)) {
    const registered = await registerPending(processes, kind, count);
    const value = await claimRate(processes, kind, registered);
    // The first round is for the compiler of the runtime.
    if (kind === "warm") continue;
    const name = `ClaimNext while ${readable(count)} wait, ${WORKERS} workers`;
    report.add({ section, name, value, unit: "claims/s" });
  }
  await server.stop();
}
