// What an executor of the fault suite is told on its command line.
import { z } from "zod";

/** The order of one executor process. */
export const executorOrderSchema = z.object({
  executorId: z.string(),
  /** Base addresses of the replicas; the executor begins with the first. */
  urls: z.array(z.string()),
  /** A stream over gRPC, or long polls over HTTP/1.1. */
  session: z.enum(["stream", "poll"]),
  /** Either a pool, or runtimes by name. */
  pool: z.string(),
  runtimeIds: z.array(z.string()),
  slots: z.int().positive(),
  leaseTtlMs: z.int().positive(),
  /** How long the work of a run takes. */
  workMs: z.int().nonnegative(),
  /** How long a run that is to wait takes, unless it is interrupted. */
  waitMs: z.int().nonnegative(),
  /** Whether runs are acknowledged and ended; an executor that does not only takes them. */
  works: z.boolean(),
  /** What it says that it can do. */
  capabilities: z.array(z.string()),
  historyPath: z.string(),
});

/** See {@link executorOrderSchema}. */
export type ExecutorOrder = z.infer<typeof executorOrderSchema>;
