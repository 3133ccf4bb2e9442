// The demo's client: the contract over gRPC, and the one rule of every careful client: what was not
// answered is sent again, with the same key.
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { setTimeout as delay } from "node:timers/promises";
import { RuntimeControlPlaneService } from "../../gen/keelson/runtime/v1/service_pb.ts";

/** Calls that are repeated until they are answered. */
export interface DemoClient {
  readonly call: <Answer>(
    ask: (
      runtimes: Client<typeof RuntimeControlPlaneService>,
      limits: { readonly timeoutMs: number },
    ) => Promise<Answer>,
  ) => Promise<Answer>;
  /** Calls that were sent again so far. */
  readonly repetitions: () => number;
}

const CALL_TIMEOUT_MS = 5_000;
const PAUSE_MS = 100;

/** Codes after which the same call may succeed. */
const PASSING: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.ResourceExhausted,
  Code.Canceled,
  Code.Unknown,
]);

/** Makes a client of the server at an address. */
export function makeClient(url: string): DemoClient {
  const transport = createGrpcTransport({ baseUrl: url });
  const runtimes = createClient(RuntimeControlPlaneService, transport);
  let repetitions = 0;
  return {
    repetitions: () => repetitions,
    call: async (ask) => {
      for (;;) {
        try {
          return await ask(runtimes, { timeoutMs: CALL_TIMEOUT_MS });
        } catch (error) {
          if (!PASSING.has(ConnectError.from(error).code)) throw error;
          repetitions += 1;
          await delay(PAUSE_MS);
        }
      }
    },
  };
}
