/** Inputs and runs as the cases of the suite use them. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { randomUUID } from "node:crypto";
import type { RunAssignment } from "../../../gen/keelson/executor/v1/messages_pb.ts";
import {
  type ContentBlockSchema,
  type Input,
  InputSchema,
  RunApplyBoundary,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";

type HeaderField =
  | "inputId"
  | "idempotencyKey"
  | "supersessionKey"
  | "correlationId"
  | "durability"
  | "labels";

/** What the cases set besides the kind. */
export type HeaderInit = Partial<Pick<Input, HeaderField>>;

/** A prompt. */
export function prompt(
  text: string,
  header: HeaderInit = {},
  blocks: MessageInitShape<typeof ContentBlockSchema>[] = [],
): Input {
  return create(InputSchema, { ...header, kind: { case: "prompt", value: { text, blocks } } });
}

/** News of an operation: consumed on accept. */
export function operationNews(header: HeaderInit = {}): Input {
  const event = { event: { case: "failed", value: { error: "no" } } } as const;
  const kind = { case: "operation", value: { operationId: "o-1", event } } as const;
  return create(InputSchema, { ...header, kind });
}

/** A poll may end early, with news that are no run. */
const POLLS_MAX = 5;

/** An executor that polls for one runtime. */
export interface PollingExecutor {
  readonly executorId: string;
  readonly incarnationId: string;
  /** The next run; throws when there is none in time. */
  readonly takeRun: () => Promise<RunAssignment>;
  /** Ends a run with a final boundary over its inputs. */
  readonly complete: (run: RunAssignment, text: string) => Promise<void>;
}

/** Makes an executor of its own for a runtime. */
export function executorOf({ executors }: CaseClients, runtimeId: string): PollingExecutor {
  const identity = { executorId: "executor", incarnationId: randomUUID() };
  return {
    ...identity,
    takeRun: async () => {
      const request = { ...identity, runtimeIds: [runtimeId], timeout: { seconds: 20n } };
      for (let polls = 0; polls < POLLS_MAX; polls += 1) {
        const { assignment } = await executors.pollRun(request);
        if (assignment) return assignment;
      }
      throw new Error("no run was assigned in time");
    },
    complete: async ({ runId, generation, primitive }, text) => {
      await executors.completeRun({
        runtimeId,
        runId,
        generation,
        outcome: { case: "result", value: { text } },
        finalBoundary: {
          boundary: primitive?.boundary ?? RunApplyBoundary.RUN_START,
          contributingInputIds: primitive?.contributingInputIds ?? [],
          messageCount: 1n,
        },
      });
    },
  };
}
