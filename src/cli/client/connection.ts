/** A connection to a server: gRPC over HTTP/2, with the headers that say who asks and where. */
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { userInfo } from "node:os";
import { AdminService } from "../../../gen/keelson/admin/v1/service_pb.ts";
import { BlobService } from "../../../gen/keelson/blob/v1/service_pb.ts";
import { ExecutorService } from "../../../gen/keelson/executor/v1/service_pb.ts";
import { OperationService } from "../../../gen/keelson/operation/v1/service_pb.ts";
import { ProcessRegistryService } from "../../../gen/keelson/process/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { BackgroundTaskService } from "../../../gen/keelson/task/v1/service_pb.ts";
import { ACTOR_HEADER, NAMESPACE_HEADER } from "../../rpc/caller.ts";
import { makeKeptConnection } from "./kept-connection.ts";

/** Where a server is when nobody says otherwise. */
export const ADDRESS_DEFAULT = "http://127.0.0.1:7420";

const KEEPING = { pingIntervalMs: 10_000, answerTimeoutMs: 5_000, isPingedWhenIdle: false };
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;

/** How to reach a server, and as whom. */
export interface ConnectionOptions {
  /** Base URL. */
  readonly address: string;
  readonly namespace: string;
  readonly actor: string;
  /** Time for each call that says nothing else. */
  readonly timeoutMs: number;
}

/** A connection, opened with the first call. */
export interface Connection {
  readonly address: string;
  readonly namespace: string;
  readonly runtimes: Client<typeof RuntimeControlPlaneService>;
  readonly executors: Client<typeof ExecutorService>;
  readonly operations: Client<typeof OperationService>;
  readonly blobs: Client<typeof BlobService>;
  readonly processes: Client<typeof ProcessRegistryService>;
  readonly tasks: Client<typeof BackgroundTaskService>;
  readonly admin: Client<typeof AdminService>;
  /** Ends it, with every call in flight. */
  readonly close: () => void;
}

/** A base URL of what people write: `host:port` is enough. Undefined when it is no address. */
export function addressOf(text: string): string | undefined {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) return undefined;
  if (url.hostname === "" || url.username !== "") return undefined;
  return url.origin + url.pathname.replace(/\/+$/, "");
}

/** The login name, which is what the history records as the actor unless told otherwise. */
export function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user without an entry in the password file, as containers have it.
    return `uid-${process.getuid?.() ?? "unknown"}`;
  }
}

function headersOf({ namespace, actor }: ConnectionOptions): Interceptor {
  const safeActor = PRINTABLE_ASCII.test(actor) ? actor : encodeURIComponent(actor);
  return (next) => (call) => {
    call.header.set(NAMESPACE_HEADER, namespace);
    if (safeActor !== "") call.header.set(ACTOR_HEADER, safeActor);
    return next(call);
  };
}

/** Prepares a connection; nothing is sent before the first call. */
export function openConnection(options: ConnectionOptions): Connection {
  const { address, namespace, timeoutMs } = options;
  const kept = makeKeptConnection(address, KEEPING);
  const transport: Transport = createGrpcTransport({
    baseUrl: address,
    sessionManager: kept,
    defaultTimeoutMs: timeoutMs,
    interceptors: [headersOf(options)],
  });
  return {
    address,
    namespace,
    runtimes: createClient(RuntimeControlPlaneService, transport),
    executors: createClient(ExecutorService, transport),
    operations: createClient(OperationService, transport),
    blobs: createClient(BlobService, transport),
    processes: createClient(ProcessRegistryService, transport),
    tasks: createClient(BackgroundTaskService, transport),
    admin: createClient(AdminService, transport),
    close: kept.abort,
  };
}
