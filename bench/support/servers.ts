/** Starts servers in processes of their own and asks them how they are. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient, type Client } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { BlobService } from "../../gen/keelson/blob/v1/service_pb.ts";
import { ExecutorService } from "../../gen/keelson/executor/v1/service_pb.ts";
import { OperationService } from "../../gen/keelson/operation/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../gen/keelson/runtime/v1/service_pb.ts";

/** What a server does with its journal. */
export type JournalMode = "journal" | "journal-off";

/** A running server. */
export interface BenchServer {
  readonly port: number;
  readonly url: string;
  readonly startMs: number;
  readonly runtime: Client<typeof RuntimeControlPlaneService>;
  readonly executor: Client<typeof ExecutorService>;
  readonly operation: Client<typeof OperationService>;
  /** Clients of the operations with a connection of their own each: a thousand calls fill one. */
  readonly operationWaiters: readonly Client<typeof OperationService>[];
  readonly blob: Client<typeof BlobService>;
  /** The value of a metric without labels; NaN when it is not there. */
  readonly metric: (name: string) => Promise<number>;
  readonly stop: () => Promise<void>;
}

const WAITING_CONNECTIONS = 4;
/** Those of `bin/keelson.js`. */
const NODE_FLAGS = ["--max-semi-space-size=64", "--no-allocation-site-pretenuring"];
const PROGRAM = fileURLToPath(new URL("./server-child.ts", import.meta.url));

async function readUrl(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error("the server has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    return line;
  }
  throw new Error("the server ended before it served");
}

/** Starts a server on the embedded database of a data directory. */
export async function startBenchServer(
  mode: JournalMode,
  databaseName: string,
  dataDirectory: string,
): Promise<BenchServer> {
  const startedMs = performance.now();
  const child = spawn(
    process.execPath,
    [...NODE_FLAGS, PROGRAM, mode, databaseName, dataDirectory],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const url = await readUrl(child);
  const startMs = performance.now() - startedMs;
  const transport = createGrpcTransport({ baseUrl: url });
  return {
    port: Number(new URL(url).port),
    url,
    startMs,
    runtime: createClient(RuntimeControlPlaneService, transport),
    executor: createClient(ExecutorService, transport),
    operation: createClient(OperationService, transport),
    operationWaiters: Array.from({ length: WAITING_CONNECTIONS }, () =>
      createClient(OperationService, createGrpcTransport({ baseUrl: url })),
    ),
    blob: createClient(BlobService, transport),
    metric: async (name) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split("\n").find((it) => it.startsWith(`${name} `));
      return Number(line?.split(" ")[1] ?? Number.NaN);
    },
    stop: async () => {
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}
