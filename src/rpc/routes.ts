/** Every service of the server on one router: what is served, and how its messages are read. */
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouterOptions } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { AdminService } from "../../gen/keelson/admin/v1/service_pb.ts";
import { OperationService } from "../../gen/keelson/operation/v1/service_pb.ts";
import { BlobService } from "../../gen/keelson/blob/v1/service_pb.ts";
import { ExecutorService } from "../../gen/keelson/executor/v1/service_pb.ts";
import { ProcessRegistryService } from "../../gen/keelson/process/v1/service_pb.ts";
import { BackgroundTaskService } from "../../gen/keelson/task/v1/service_pb.ts";
import { RuntimeControlPlaneService } from "../../gen/keelson/runtime/v1/service_pb.ts";
import type { AdminServiceOptions } from "./admin-options.ts";
import { makeAdminService } from "./admin-service.ts";
import { type BlobServiceOptions, makeBlobService } from "./blob-service.ts";
import { type ExecutorServiceOptions, makeExecutorService } from "./executor-service.ts";
import { type HealthServiceOptions, makeHealthService } from "./health-service.ts";
import type { RegisterService } from "./node-request.ts";
import { makeCallInterceptor } from "./interceptor.ts";
import type { RpcObserver } from "./observer.ts";
import type { OperationServiceOptions } from "./operation-options.ts";
import { makeOperationService } from "./operation-service.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { makeProcessService } from "./process-service.ts";
import { REFLECTION_SERVICES, registerReflection } from "./reflection-service.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";
import { makeRuntimeService } from "./runtime-service.ts";
import type { TaskServiceOptions } from "./task-options.ts";
import { makeTaskService } from "./task-service.ts";

/** What the services work with, service by service. */
export interface RouteOptions {
  readonly runtime: RuntimeServiceOptions;
  readonly executor: ExecutorServiceOptions;
  readonly operation: OperationServiceOptions;
  readonly process: ProcessServiceOptions;
  readonly task: TaskServiceOptions;
  readonly blob: BlobServiceOptions;
  readonly admin: AdminServiceOptions;
  readonly health: Omit<HealthServiceOptions, "services">;
  readonly observer: RpcObserver;
}

/** Every service of the port. */
export const SERVICES: readonly DescService[] = [
  RuntimeControlPlaneService,
  ExecutorService,
  OperationService,
  ProcessRegistryService,
  BackgroundTaskService,
  BlobService,
  AdminService,
  Health,
  ...REFLECTION_SERVICES,
];

/** Far above what is taken: JSON that is too deep is refused with the name of its field. */
const MESSAGE_DEPTH_MAX = 400;

/** How binary messages are read, whichever way they come. */
export const BINARY_READ_OPTIONS = {
  recursionLimit: MESSAGE_DEPTH_MAX,
  readUnknownFields: false,
} as const;

function callOptionsOf(observer: RpcObserver): Partial<ConnectRouterOptions> {
  // A name that nobody knows must not pass for a value that was left out: a precondition with a
  // slip in its name would not be checked. Nor may bytes that are no text.
  const textDecoder = new TextDecoder("utf-8", { fatal: true });
  const jsonOptions = {
    recursionLimit: MESSAGE_DEPTH_MAX,
    ignoreUnknownFields: false,
    textDecoder,
  };
  return {
    interceptors: [makeCallInterceptor(observer)],
    jsonOptions,
    binaryOptions: BINARY_READ_OPTIONS,
  };
}

function registerStandardServices(
  register: RegisterService,
  health: RouteOptions["health"],
  callOptions: Partial<ConnectRouterOptions>,
): void {
  const services = SERVICES.map((service) => service.typeName);
  register(Health, makeHealthService({ ...health, services }), callOptions);
  registerReflection(register, SERVICES, callOptions);
}

/** Registers all services. */
export function registerRoutes(register: RegisterService, options: RouteOptions): void {
  const callOptions = callOptionsOf(options.observer);
  registerStandardServices(register, options.health, callOptions);
  register(RuntimeControlPlaneService, makeRuntimeService(options.runtime), callOptions);
  register(ExecutorService, makeExecutorService(options.executor), callOptions);
  register(OperationService, makeOperationService(options.operation), callOptions);
  register(ProcessRegistryService, makeProcessService(options.process), callOptions);
  register(BackgroundTaskService, makeTaskService(options.task), callOptions);
  register(BlobService, makeBlobService(options.blob), callOptions);
  register(AdminService, makeAdminService(options.admin), callOptions);
}

/**
 * Registers what a server can serve before it has its storage: health and reflection. The other
 * services are known but the gate turns their calls away.
 */
export function registerStartingRoutes(
  register: RegisterService,
  options: Pick<RouteOptions, "health" | "observer">,
): void {
  const callOptions = callOptionsOf(options.observer);
  registerStandardServices(register, options.health, callOptions);
  register(RuntimeControlPlaneService, {}, callOptions);
  register(ExecutorService, {}, callOptions);
  register(OperationService, {}, callOptions);
  register(ProcessRegistryService, {}, callOptions);
  register(BackgroundTaskService, {}, callOptions);
  register(BlobService, {}, callOptions);
  register(AdminService, {}, callOptions);
}
