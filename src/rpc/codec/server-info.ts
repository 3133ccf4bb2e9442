/** What the server is, on the wire. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { StorageFacts } from "../../engine/ports.ts";
import { DatabaseTopology, DurabilityTier } from "../../../gen/keelson/admin/v1/messages_pb.ts";
import type { GetServerInfoResponseSchema } from "../../../gen/keelson/admin/v1/service_pb.ts";
import type { AdminServiceOptions } from "../admin-options.ts";
import { makeEnumCodec } from "./enum-codec.ts";
import { ID_BYTES_MAX, LABELS_MAX } from "./field-check.ts";
import { JSON_DEPTH_MAX } from "./json-value.ts";
import { PAGE_SIZE_MAX } from "./page-token.ts";
import { durationToProto, timestampToProto } from "./time.ts";

/** Version of the semantics that this server implements. */
const CONTRACT = "v9";

/** What this server can do, sorted. */
const CAPABILITIES = [
  "admin.list_commits",
  "admin.rebuild_views",
  "blob.put_blob",
  "executor.attach",
  "executor.peer_drain",
  "executor.poll_run",
  "operation.register_operation",
  "operation.wait_completions",
  "process.claim_next",
  "process.recover_processes",
  "process.transfer_handle_grants",
  "process.watch_events",
  "process.watch_processes",
  "runtime.at_revision",
  "runtime.await_input",
  "runtime.cancel_inputs",
  "runtime.explain",
  "runtime.ingest_and_run",
  "runtime.ingest_batch",
  "runtime.ingest_stream",
  "runtime.publish_event",
  "runtime.silent_intents",
  "runtime.validate_only",
  "runtime.verify",
  "runtime.watch",
  "task.spawn_task",
];

const topologies = makeEnumCodec<StorageFacts["topology"], DatabaseTopology>({
  memory: DatabaseTopology.MEMORY,
  standalone: DatabaseTopology.STANDALONE,
  replica_set: DatabaseTopology.REPLICA_SET,
  sharded: DatabaseTopology.SHARDED,
});

const durabilityTiers = makeEnumCodec<StorageFacts["durabilityTier"], DurabilityTier>({
  durable: DurabilityTier.PERSISTENT,
  ephemeral: DurabilityTier.EPHEMERAL,
});

/** What the server is. */
export function serverInfoToProto(
  options: Pick<AdminServiceOptions, "server" | "facts" | "limits" | "nowMs">,
): MessageInitShape<typeof GetServerInfoResponseSchema> {
  const { server, facts, limits } = options;
  const { runtimeDefaults } = limits;
  return {
    version: server.version,
    contract: CONTRACT,
    durabilityTier: durabilityTiers.toProto(facts.durabilityTier),
    replicaId: server.replicaId,
    database: {
      topology: topologies.toProto(facts.topology),
      version: facts.topology === "memory" ? "" : facts.version,
      embedded: server.isDatabaseEmbedded,
      databaseName: server.databaseName,
    },
    limits: {
      inputPayloadBytesMax: limits.inputPayloadBytesMax,
      blobBytesMax: BigInt(limits.blobBytesMax),
      inlineContentBytesMax: limits.inlineContentBytesMax,
      blobGrace: durationToProto(limits.blobGraceMs),
      jsonDepthMax: JSON_DEPTH_MAX,
      batchInputsMax: limits.batchInputsMax,
      batchBytesMax: limits.batchBytesMax,
      idBytesMax: ID_BYTES_MAX,
      labelsMax: LABELS_MAX,
      pageSizeMax: PAGE_SIZE_MAX,
      queueLimitDefault: runtimeDefaults.queueLimit,
      queueLimitMax: limits.queueLimitMax,
      attemptLimitDefault: runtimeDefaults.attemptLimit,
      leaseTtlDefault: durationToProto(runtimeDefaults.leaseTtlMs),
      longPollMax: durationToProto(limits.longPollMaxMs),
      runResultBytesMax: limits.runResultBytesMax,
      watchBufferEventsMax: limits.watchBufferEventsMax,
      watchBufferBytesMax: limits.watchBufferBytesMax,
      operationLimitDefault: runtimeDefaults.operationLimit,
      completedRetentionDefault: runtimeDefaults.completedRetention,
      inFlightBytesMax: BigInt(limits.inFlightBytesMax),
    },
    capabilities: [...CAPABILITIES],
    nodeVersion: server.nodeVersion,
    startedAt: timestampToProto(server.startedAt),
    time: timestampToProto(options.nowMs()),
  };
}
