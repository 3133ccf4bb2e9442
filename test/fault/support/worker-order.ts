// What a process worker of the fault suite is told on its command line.
import { z } from "zod";

/** The order of one worker process. */
export const workerOrderSchema = z.object({
  workerId: z.string(),
  /** Base addresses of the replicas; the worker begins with the first. */
  urls: z.array(z.string()),
  protocol: z.enum(["grpc", "json"]),
  /** Processes that it holds at once. */
  slots: z.int().positive(),
  leaseTtlMs: z.int().positive(),
  historyPath: z.string(),
});

/** See {@link workerOrderSchema}. */
export type WorkerOrder = z.infer<typeof workerOrderSchema>;
