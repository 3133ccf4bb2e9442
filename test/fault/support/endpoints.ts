// Calls to whichever replica answers: a call is tried at one replica after the other until it is
// answered or refused for good, as any careful client does.
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { AdminService } from "../../../gen/keelson/admin/v1/service_pb.ts";
import { BlobService } from "../../../gen/keelson/blob/v1/service_pb.ts";
import { ExecutorService } from "../../../gen/keelson/executor/v1/service_pb.ts";
import { ProcessRegistryService } from "../../../gen/keelson/process/v1/service_pb.ts";
import { OperationService } from "../../../gen/keelson/operation/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { BackgroundTaskService } from "../../../gen/keelson/task/v1/service_pb.ts";
import { makeKeptConnection } from "../../../src/cli/client/kept-connection.ts";
import { pauseFor } from "./waiting.ts";

/** The services of one replica. */
export interface Endpoint {
  readonly runtimes: Client<typeof RuntimeControlPlaneService>;
  readonly executors: Client<typeof ExecutorService>;
  readonly processes: Client<typeof ProcessRegistryService>;
  readonly operations: Client<typeof OperationService>;
  readonly tasks: Client<typeof BackgroundTaskService>;
  readonly blobs: Client<typeof BlobService>;
  readonly admin: Client<typeof AdminService>;
}

/** How calls travel: gRPC over HTTP/2, or JSON over HTTP/1.1. */
export type Protocol = "grpc" | "json";

/** What a call gets besides its request. */
export interface CallLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The replicas as one client sees them. */
export interface Endpoints {
  /** The replica to ask next; each call of this answers the following one. */
  readonly next: () => Endpoint;
  /**
   * Calls one replica after the other until one answers. Throws what is refused for good, and what
   * came last once the signal has fired.
   */
  readonly call: <Answer>(
    ask: (endpoint: Endpoint, limits: CallLimits) => Promise<Answer>,
    changes?: { readonly timeoutMs?: number },
  ) => Promise<Answer>;
}

const CALL_TIMEOUT_MS = 3_000;
const RETRY_PAUSE_MS = 50;
const KEEPING = { pingIntervalMs: 1_000, answerTimeoutMs: 1_500, isPingedWhenIdle: true };

const PASSING: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.ResourceExhausted,
  Code.Canceled,
  Code.Unknown,
]);

function transportOf(url: string, protocol: Protocol): Transport {
  if (protocol === "json") return createConnectTransport({ baseUrl: url, httpVersion: "1.1" });
  return createGrpcTransport({ baseUrl: url, sessionManager: makeKeptConnection(url, KEEPING) });
}

/** The reason that the server gave for a refusal; empty when the connection itself failed. */
export function reasonOf(error: unknown): string {
  const [details] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  return details?.reason ?? "";
}

/** Whether another try may succeed: the server says so, or it could not be reached. */
export function isPassing(error: unknown): boolean {
  return reasonOf(error) === "" || PASSING.has(ConnectError.from(error).code);
}

/** The services of one replica. */
function endpointAt(url: string, protocol: Protocol): Endpoint {
  const transport = transportOf(url, protocol);
  return {
    runtimes: createClient(RuntimeControlPlaneService, transport),
    executors: createClient(ExecutorService, transport),
    processes: createClient(ProcessRegistryService, transport),
    operations: createClient(OperationService, transport),
    tasks: createClient(BackgroundTaskService, transport),
    blobs: createClient(BlobService, transport),
    admin: createClient(AdminService, transport),
  };
}

/** Makes the endpoints of one client; `first` says at which replica it begins. */
export function makeEndpoints(
  urls: readonly string[],
  options: { readonly protocol: Protocol; readonly signal: AbortSignal; readonly first?: number },
): Endpoints {
  const { protocol, signal, first = 0 } = options;
  const all = urls.map((url) => endpointAt(url, protocol));
  let turn = first;

  function next(): Endpoint {
    const endpoint = all[turn % all.length];
    if (endpoint === undefined) throw new RangeError("there is no replica to call");
    turn += 1;
    return endpoint;
  }

  return {
    next,
    call: async (ask, { timeoutMs = CALL_TIMEOUT_MS } = {}) => {
      for (;;) {
        try {
          return await ask(next(), { timeoutMs, signal });
        } catch (error) {
          if (signal.aborted || !isPassing(error)) throw error;
          await pauseFor(RETRY_PAUSE_MS, signal);
        }
      }
    },
  };
}
