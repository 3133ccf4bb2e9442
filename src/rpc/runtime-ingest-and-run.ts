/** IngestAndRun: the caller is the executor of the input that it brings. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { RuntimeCommand } from "../core/runtime/commands.ts";
import { executorIdOf, incarnationIdOf, type StreamName } from "../core/shared/ids.ts";
import {
  IngestAndRunRequestSchema,
  IngestAndRunResponseSchema,
  type RuntimeControlPlaneService,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import { callerOf } from "./caller.ts";
import { checkId, checkOptionalId, makeFieldCheck } from "./codec/field-check.ts";
import { acceptedToProto } from "./codec/ingest-outcome.ts";
import { requestHash } from "./codec/request-hash.ts";
import { takenRunToProto } from "./codec/taken-run.ts";
import { durationToProto } from "./codec/time.ts";
import { checkLeaseTtl } from "./executor-terms.ts";
import { commitWithBlobs, prepareIngest } from "./ingest.ts";
import type { RuntimeServiceOptions } from "./runtime-options.ts";

type IngestAndRunService = Pick<ServiceImpl<typeof RuntimeControlPlaneService>, "ingestAndRun">;

/** Makes the part of the service that hands runs to callers. */
export function makeRuntimeIngestAndRun(options: RuntimeServiceOptions): IngestAndRunService {
  const { streams, dispatcher, limits } = options;

  /** Time to live of leases as the runtime is configured, or as it would be. */
  async function configuredTtlMs(stream: StreamName): Promise<number> {
    const { registration, config } = (await streams.known(stream)).state;
    return registration === "none" ? limits.runtimeDefaults.leaseTtlMs : config.leaseTtlMs;
  }

  return {
    ingestAndRun: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const executorId = executorIdOf(checkId(check, request.executorId, "executor_id"));
      const incarnationId = incarnationIdOf(
        checkId(check, request.incarnationId, "incarnation_id"),
      );
      const askedTtlMs = checkLeaseTtl(check, request.leaseTtl);
      const requestId = checkOptionalId(check, request.requestId, "request_id");
      const hashOf = (): string => requestHash(IngestAndRunRequestSchema, request);
      // The run starts at once: there is nobody to be woken.
      const item = { ...request, withoutWake: true };
      const prepared = prepareIngest(options, caller, check, item, {
        patient: false,
        mayAnswerEarly: false,
        ...(requestId === undefined ? {} : { request: { requestId, hashOf } }),
      });
      const { stream, envelope } = prepared;
      const leaseTtlMs = askedTtlMs ?? (await configuredTtlMs(stream));
      const { namespace } = caller;
      // Before the commit: a run without a register would never lapse.
      const ttlMs = await dispatcher.claim({ namespace, executorId, incarnationId, leaseTtlMs });
      const { command: ingest } = envelope;
      const holder = { executorId, incarnationId };
      const command: RuntimeCommand = { type: "ingest_and_run", ingest, ...holder, ttlMs };
      const retrySafe = requestId !== undefined;
      const taking = { ...envelope, command, name: command.type, retrySafe };
      const done = await commitWithBlobs(options, prepared, taking);
      const { reply, revision, at, state } = done;
      if (reply.type !== "run_taken") throw new TypeError(`Answered with ${reply.type}`);
      const { header, run } = reply;
      const input = { ...ingest.input, inputId: header.inputId };
      const { runtimeId, epochId, sessionSnapshot } = state;
      return create(IngestAndRunResponseSchema, {
        accepted: acceptedToProto(header),
        run: takenRunToProto({ runtimeId, epochId, run, startedAt: at, input, sessionSnapshot }),
        leaseRemaining: durationToProto(ttlMs),
        revision: BigInt(revision),
      });
    },
  };
}
