/** `keelson process claim`: claims a process by name, or the oldest one of given kinds. */
import { type Command, Option } from "commander";
import { randomUUID } from "node:crypto";
import type { ProcessLease } from "../../../gen/keelson/process/v1/messages_pb.ts";
import {
  ClaimLeaseResponseSchema,
  ClaimNextResponseSchema,
  ReleaseLeaseResponseSchema,
  RenewLeaseResponseSchema,
} from "../../../gen/keelson/process/v1/service_pb.ts";
import { durationFromProto, durationToProto } from "../../rpc/codec/time.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
  spanOption,
  usageError,
  type Workplace,
} from "../client/client-command.ts";
import { CLIENT_EXIT_CODES, type ClientExitCode } from "../client/exit-codes.ts";
import { formatSpan, printable } from "../client/format.ts";

const TTL_DEFAULT_MS = 60_000;

/** What the options say. */
interface ClaimFlags extends ClientFlags {
  readonly kind?: readonly string[];
  readonly owner?: string;
  readonly incarnation?: string;
  readonly ttl: number;
  readonly leaseToken?: string;
  readonly generation?: bigint;
  readonly renew?: boolean;
  readonly release?: boolean;
}

function showLease({ output }: Workplace, lease: ProcessLease): void {
  const { owner, remaining } = lease;
  output.facts([
    ["process", printable(lease.processId)],
    ["lease token", lease.leaseToken],
    ["generation", lease.generation],
    ["owner", owner && printable(`${owner.ownerId}/${owner.incarnationId}`)],
    ["remaining", formatSpan((remaining && durationFromProto(remaining)) ?? 0)],
  ]);
}

function termsOf(flags: ClaimFlags) {
  const ownerId = flags.owner ?? flags.actor ?? "operator";
  const owner = { ownerId, incarnationId: flags.incarnation ?? randomUUID() };
  return { owner, ttl: durationToProto(flags.ttl) };
}

/** Keeps a hold, or gives it back. */
async function workOnHold(
  { connection, output }: Workplace,
  processId: string,
  flags: ClaimFlags,
): Promise<void> {
  const { leaseToken, generation } = flags;
  if (leaseToken === undefined || generation === undefined) {
    throw usageError("A hold is proved by --lease-token and --generation together.");
  }
  const request = { processId, lease: { leaseToken, generation } };
  if (flags.release === true) {
    const response = await connection.processes.releaseLease(request);
    if (output.isJson) output.json(ReleaseLeaseResponseSchema, response);
    else output.line(response.released ? "released" : "it was not held any more");
    return;
  }
  const response = await connection.processes.renewLease(request);
  if (output.isJson) output.json(RenewLeaseResponseSchema, response);
  else {
    const leftMs = (response.remaining && durationFromProto(response.remaining)) ?? 0;
    output.line(`held for ${formatSpan(leftMs)}`);
    if (response.cancelRequest !== undefined) output.note("its cancellation is asked for");
  }
}

async function claimNext(
  workplace: Workplace,
  flags: ClaimFlags,
): Promise<ClientExitCode | undefined> {
  const { connection, output } = workplace;
  const kinds = [...(flags.kind ?? [])];
  const response = await connection.processes.claimNext({ ...termsOf(flags), kinds });
  if (output.isJson) output.json(ClaimNextResponseSchema, response);
  else if (response.lease !== undefined) showLease(workplace, response.lease);
  else output.note("nothing to claim");
  return response.lease === undefined ? CLIENT_EXIT_CODES.notFound : undefined;
}

async function claimOne(workplace: Workplace, processId: string, flags: ClaimFlags): Promise<void> {
  const { connection, output } = workplace;
  const response = await connection.processes.claimLease({ ...termsOf(flags), processId });
  if (output.isJson) output.json(ClaimLeaseResponseSchema, response);
  else if (response.lease !== undefined) showLease(workplace, response.lease);
}

/** Makes the command. */
export function makeClaimCommand(): Command {
  return makeClientCommand("claim", "claim a process, keep a hold, or give it back")
    .argument("[process]", "name of the process; the oldest of --kind when left out")
    .addOption(new Option("--kind <name...>", "claim the oldest process of these kinds"))
    .option("--owner <name>", "who claims (operator)")
    .option("--incarnation <id>", "which life of the owner: the same one extends its hold")
    .addOption(
      new Option("--ttl <span>", "how long the hold lasts unless renewed")
        .argParser(spanOption)
        .default(TTL_DEFAULT_MS, "1m"),
    )
    .option("--lease-token <token>", "the hold, with --renew or --release")
    .option("--generation <number>", "its generation", bigCountOption)
    .option("--renew", "keep the hold")
    .option("--release", "give the process back")
    .addHelpText(
      "after",
      examples(
        ["keelson process claim index-7 --ttl 5m", "by name"],
        ["keelson process claim --kind indexer", "the oldest that waits; 4 when there is none"],
        ["keelson process claim index-7 --renew --lease-token T --generation 1", "keep it"],
        ["keelson process claim index-7 --release --lease-token T --generation 1", "give it back"],
      ),
    )
    .action(async (processId: string | undefined, flags: ClaimFlags) => {
      await runClient(flags, async (workplace) => {
        if (processId === undefined) {
          if (flags.kind === undefined) throw usageError("Name a process, or say --kind.");
          return await claimNext(workplace, flags);
        }
        const isHeld = flags.renew === true || flags.release === true;
        await (isHeld ? workOnHold : claimOne)(workplace, processId, flags);
        return undefined;
      });
    });
}
