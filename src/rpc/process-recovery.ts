/**
 * RecoverProcesses: a sweep over the live processes by their disposition. What is certain is done,
 * of the rest it is told how it stands.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { isAbandonedByWish, recoveryProspectOf } from "../core/process/recovery.ts";
import { processIdOf } from "../core/shared/ids.ts";
import type { StreamRow } from "../engine/ports.ts";
import type { RecoveredProcessSchema } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type ProcessRegistryService,
  RecoverProcessesResponseSchema,
} from "../../gen/keelson/process/v1/service_pb.ts";
import { type Caller, callerOf } from "./caller.ts";
import { checkId, checkLabels, finish, makeFieldCheck } from "./codec/field-check.ts";
import { checkPageSize } from "./codec/page-token.ts";
import { dispositions, recoveryOutcomes } from "./codec/process-enums.ts";
import { factsFromRow } from "./codec/process.ts";
import { timestampToProto } from "./codec/time.ts";
import { commandEnvelope } from "./process-calls.ts";
import type { ProcessServiceOptions } from "./process-options.ts";
import { sweepPage } from "./process-sweep.ts";

type RecoveryService = Pick<ServiceImpl<typeof ProcessRegistryService>, "recoverProcesses">;

type Recovered = MessageInitShape<typeof RecoveredProcessSchema>;

/** Wishes that are carried out together. */
const ENDS_AT_ONCE = 32;

/** Makes the part of the service that recovers processes. */
export function makeProcessRecovery(options: ProcessServiceOptions): RecoveryService {
  const { streams } = options;

  /** Whether the process ended, now or since the row was written. */
  async function carryOut(caller: Caller, { id, stream }: StreamRow): Promise<boolean> {
    const command = { type: "reconcile_abandon", processId: processIdOf(id) } as const;
    const terms = { requestId: undefined, hashOf: () => "", isRepeatable: true };
    const { state } = await streams.submit(stream, commandEnvelope(caller, command, terms));
    return state.end?.status === "abandoned";
  }

  async function recover(
    caller: Caller,
    row: StreamRow,
    isValidateOnly: boolean,
  ): Promise<Recovered> {
    const facts = factsFromRow(row);
    const prospect = recoveryProspectOf(facts, row.runnableSince !== undefined);
    const isWished = facts.abandonRequest !== null && isAbandonedByWish(prospect);
    const isAbandoned = isWished && (isValidateOnly || (await carryOut(caller, row)));
    return {
      processId: row.id,
      disposition: dispositions.toProto(facts.disposition),
      outcome: recoveryOutcomes.toProto(isAbandoned ? "abandoned" : prospect),
    };
  }

  return {
    recoverProcesses: async (request, context) => {
      const check = makeFieldCheck();
      const caller = callerOf(context);
      const { kind, pageToken, validateOnly } = request;
      if (kind !== undefined) checkId(check, kind, "kind");
      const labels = checkLabels(check, request.labels, "labels");
      const pageSize = checkPageSize(check, request.pageSize);
      finish(check);
      const list = "processes to recover";
      const terms = { list, namespace: caller.namespace, kind, labels, pageSize, pageToken };
      const { rows, nextPageToken, asOf } = await sweepPage(options, terms);
      const processes: Recovered[] = [];
      for (let start = 0; start < rows.length; start += ENDS_AT_ONCE) {
        const some = rows.slice(start, start + ENDS_AT_ONCE);
        const recovered = some.map(async (row) => await recover(caller, row, validateOnly));
        processes.push(...(await Promise.all(recovered)));
      }
      return create(RecoverProcessesResponseSchema, {
        processes,
        nextPageToken,
        asOf: timestampToProto(asOf),
      });
    },
  };
}
