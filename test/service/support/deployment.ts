/**
 * The deployment under test: the one that KEELSON_URL names, or a server in this process. Every
 * case works in a namespace of its own, so that cases disturb neither each other nor anybody else.
 */
import { randomUUID } from "node:crypto";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { AdminService } from "../../../gen/keelson/admin/v1/service_pb.ts";
import { BlobService } from "../../../gen/keelson/blob/v1/service_pb.ts";
import { ExecutorService } from "../../../gen/keelson/executor/v1/service_pb.ts";
import { OperationService } from "../../../gen/keelson/operation/v1/service_pb.ts";
import { ProcessRegistryService } from "../../../gen/keelson/process/v1/service_pb.ts";
import { BackgroundTaskService } from "../../../gen/keelson/task/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { startObservedServer } from "./running-server.ts";

/** A deployment and how to let go of it. */
export interface Deployment {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Opens the deployment under test. */
export async function openDeployment(): Promise<Deployment> {
  const url = process.env["KEELSON_URL"];
  if (url !== undefined && url !== "") return { url, close: async () => undefined };
  const server = await startObservedServer({ logLevel: "error" });
  await server.serving;
  return { url: server.url, close: server.stop };
}

/** How clients may speak to the server. */
export type Protocol = "connect" | "grpc" | "grpc-web";

/** Clients of one case, in a namespace of their own. */
export interface CaseClients {
  readonly namespace: string;
  readonly runtimes: Client<typeof RuntimeControlPlaneService>;
  readonly executors: Client<typeof ExecutorService>;
  readonly operations: Client<typeof OperationService>;
  readonly processes: Client<typeof ProcessRegistryService>;
  readonly tasks: Client<typeof BackgroundTaskService>;
  readonly blobs: Client<typeof BlobService>;
  readonly admin: Client<typeof AdminService>;
}

function transportOf(url: string, protocol: Protocol, interceptors: Interceptor[]): Transport {
  const options = { baseUrl: url, interceptors };
  switch (protocol) {
    case "connect":
      return createConnectTransport({ ...options, httpVersion: "1.1" });
    case "grpc":
      return createGrpcTransport(options);
    case "grpc-web":
      return createGrpcWebTransport({ ...options, httpVersion: "1.1" });
  }
}

/** Clients in a namespace; in a fresh one unless it is named. */
export function clientsOf(
  url: string,
  protocol: Protocol = "grpc",
  namespace = `case-${randomUUID()}`,
): CaseClients {
  const inNamespace: Interceptor = (next) => (request) => {
    request.header.set("keelson-namespace", namespace);
    request.header.set("keelson-actor", "service-suite");
    return next(request);
  };
  const transport = transportOf(url, protocol, [inNamespace]);
  return {
    namespace,
    runtimes: createClient(RuntimeControlPlaneService, transport),
    executors: createClient(ExecutorService, transport),
    operations: createClient(OperationService, transport),
    processes: createClient(ProcessRegistryService, transport),
    tasks: createClient(BackgroundTaskService, transport),
    blobs: createClient(BlobService, transport),
    admin: createClient(AdminService, transport),
  };
}
