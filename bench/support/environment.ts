/** What all sections of one run share. */
import type { Report } from "./report.ts";
import type { BenchServer } from "./servers.ts";

/** How much is measured. */
export interface BenchScale {
  /** Length of one round of unary load. */
  readonly roundMs: number;
  readonly rounds: number;
  readonly streamInputs: number;
  readonly latencySamples: number;
  readonly cycles: number;
  readonly manyRuntimes: number;
  readonly pastInputs: number;
  /** Bytes that are stored by each way of storing blobs. */
  readonly blobBytes: number;
}

/** The run. */
export interface BenchEnvironment {
  readonly report: Report;
  readonly scale: BenchScale;
  readonly dataDirectory: string;
  /** A name that no earlier run used. */
  readonly unique: string;
}

/** Registers runtimes with a pool that nobody serves, several calls at a time. */
export async function ensureRuntimes(
  server: BenchServer,
  runtimes: readonly string[],
  pool: string,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let runtimeId = runtimes[next++]; runtimeId !== undefined; runtimeId = runtimes[next++]) {
      await server.runtime.ensureRuntime({ runtimeId, config: { pool, queueLimit: 100_000 } });
    }
  };
  await Promise.all(Array.from({ length: 64 }, work));
}
