/** The standard health protocol: SERVING follows the readiness of this replica. */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  HealthCheckResponse_ServingStatus as Status,
  HealthCheckResponseSchema,
  HealthListResponseSchema,
} from "../../gen/grpc/health/v1/health_pb.ts";
import type { Clock } from "../engine/ports.ts";

/** How often a watch looks whether the readiness has changed. */
const WATCH_INTERVAL_MS = 250;

/** What the health service works with. */
export interface HealthServiceOptions {
  /** Whether this replica should be sent calls. */
  readonly isReady: () => boolean;
  readonly clock: Pick<Clock, "after">;
  /** Full names of the services that there are. */
  readonly services: readonly string[];
  /** Aborts when the server begins to go down: watches are told at once, and then end. */
  readonly drainSignal: AbortSignal;
}

/** Makes the health service. */
export function makeHealthService(options: HealthServiceOptions): ServiceImpl<typeof Health> {
  const { isReady, clock, drainSignal } = options;
  const known = new Set(["", ...options.services]);

  function statusOf(service: string): Status {
    if (!known.has(service)) return Status.SERVICE_UNKNOWN;
    return isReady() ? Status.SERVING : Status.NOT_SERVING;
  }

  /** Resolves after a while, or when a signal aborts. */
  function pause(signals: readonly AbortSignal[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const cancel = clock.after(WATCH_INTERVAL_MS, wake);
    for (const signal of signals) signal.addEventListener("abort", wake);
    return promise.finally(() => {
      cancel();
      for (const signal of signals) signal.removeEventListener("abort", wake);
    });
  }

  return {
    check: (request) => {
      const status = statusOf(request.service);
      if (status === Status.SERVICE_UNKNOWN) {
        throw new ConnectError("The server does not know this service", Code.NotFound);
      }
      return create(HealthCheckResponseSchema, { status });
    },

    list: () => {
      const entries = [...known].map(
        (service) => [service, { status: statusOf(service) }] as const,
      );
      return create(HealthListResponseSchema, { statuses: Object.fromEntries(entries) });
    },

    watch: async function* watch(request, context) {
      let told: Status | undefined;
      while (!context.signal.aborted) {
        const status = statusOf(request.service);
        if (status !== told) yield create(HealthCheckResponseSchema, { status });
        told = status;
        if (drainSignal.aborted) return;
        await pause([context.signal, drainSignal]);
      }
    },
  };
}
