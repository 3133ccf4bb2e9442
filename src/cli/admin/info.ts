/** `keelson admin info`: what the server is, what it can do and what it allows. */
import type { Command } from "commander";
import {
  DatabaseTopology,
  DurabilityTier,
  type ServerLimits,
} from "../../../gen/keelson/admin/v1/messages_pb.ts";
import {
  type GetServerInfoResponse,
  GetServerInfoResponseSchema,
} from "../../../gen/keelson/admin/v1/service_pb.ts";
import { durationFromProto } from "../../rpc/codec/time.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { enumWord, formatSpan, formatTime, formatTimeAndAge } from "../client/format.ts";
import type { Cell } from "../client/table.ts";

type Fact = readonly [string, Cell | undefined];

function databaseText({ database }: GetServerInfoResponse): string {
  if (database === undefined) return "-";
  const { topology, version, embedded, databaseName } = database;
  const words = [
    enumWord(DatabaseTopology, topology),
    ...(version === "" ? [] : [`version ${version}`]),
    ...(databaseName === "" ? [] : [`database ${databaseName}`]),
    ...(embedded ? ["embedded"] : []),
  ];
  return words.join(", ");
}

function limitFacts(limits: ServerLimits): readonly Fact[] {
  const { leaseTtlDefault, longPollMax } = limits;
  const ttlMs = leaseTtlDefault === undefined ? undefined : durationFromProto(leaseTtlDefault);
  const pollMs = longPollMax === undefined ? undefined : durationFromProto(longPollMax);
  return [
    ["input", `${limits.inputPayloadBytesMax} bytes`],
    ["blob", `${limits.blobBytesMax} bytes`],
    ["inline content", `${limits.inlineContentBytesMax} bytes`],
    ["batch", `${limits.batchInputsMax} inputs, ${limits.batchBytesMax} bytes`],
    ["run result", `${limits.runResultBytesMax} bytes`],
    ["JSON depth", limits.jsonDepthMax],
    ["ids and keys", `${limits.idBytesMax} bytes`],
    ["labels", limits.labelsMax],
    ["page", limits.pageSizeMax],
    ["queue", `${limits.queueLimitDefault} inputs, at most ${limits.queueLimitMax}`],
    ["attempts", limits.attemptLimitDefault],
    ["lease TTL", ttlMs === undefined ? undefined : formatSpan(ttlMs)],
    ["long poll", pollMs === undefined ? undefined : formatSpan(pollMs)],
    ["watch buffer", `${limits.watchBufferEventsMax} events, ${limits.watchBufferBytesMax} bytes`],
    ["in flight", `${limits.inFlightBytesMax} bytes`],
  ];
}

function serverFacts(response: GetServerInfoResponse): readonly Fact[] {
  return [
    ["version", response.version],
    ["contract", response.contract],
    ["durability", enumWord(DurabilityTier, response.durabilityTier)],
    ["replica", response.replicaId],
    ["database", databaseText(response)],
    ["Node.js", response.nodeVersion],
    ["started", formatTimeAndAge(response.startedAt)],
    ["its time", formatTime(response.time)],
    ["capabilities", response.capabilities.join(", ")],
  ];
}

/** Makes the command. */
export function makeInfoCommand(): Command {
  return makeClientCommand("info", "say what the server is, can do and allows")
    .addHelpText(
      "after",
      examples(
        ["keelson admin info", "version, database, limits"],
        ["keelson admin info -o json | jq .limits", "for scripts"],
      ),
    )
    .action(async (flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.admin.getServerInfo({});
        if (output.isJson) {
          output.json(GetServerInfoResponseSchema, response);
          return undefined;
        }
        output.facts(serverFacts(response));
        if (response.limits === undefined) return undefined;
        output.line("\nLimits:");
        output.facts(limitFacts(response.limits));
        return undefined;
      });
    });
}
