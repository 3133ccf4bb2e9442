/** Waits for the end of an input however long it takes, over restarts of the server. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AwaitInputRequestSchema,
  AwaitInputResponse,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import type { Connection } from "../client/connection.ts";
import { waitLong } from "../client/long-wait.ts";

/** Which input of which runtime. */
export interface AwaitedInput {
  readonly runtimeId: string;
  readonly target: NonNullable<MessageInitShape<typeof AwaitInputRequestSchema>["target"]>;
}

/** The end of the input, or `pending` when the time is up. Waits for ever without a time. */
export async function waitForEnd(
  { runtimes }: Connection,
  input: AwaitedInput,
  patienceMs: number | undefined,
): Promise<AwaitInputResponse> {
  return await waitLong({
    call: (timeout, options) => runtimes.awaitInput({ ...input, timeout }, options),
    isOver: ({ completion }) => completion?.outcome.case !== "pending",
    patienceMs,
  });
}
