/** `keelson operation progress`, `peer-ready` and `complete`: what operations report. */
import type { Value } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import {
  CompleteOperationResponseSchema,
  ReportPeerReadyResponseSchema,
  ReportProgressResponseSchema,
} from "../../../gen/keelson/operation/v1/service_pb.ts";
import { durationToProto } from "../../rpc/codec/time.ts";
import {
  bigCountOption,
  type ClientFlags,
  countOption,
  examples,
  runClient,
  spanOption,
} from "../client/client-command.ts";
import { jsonOption } from "../client/value-options.ts";
import { makeOperationStepCommand, nameOf, tellStep } from "./steps.ts";

/** What the options of progress say. */
interface ProgressFlags extends ClientFlags {
  readonly message?: string;
  readonly percent?: number;
}

/** What the options of a peer say. */
interface PeerFlags extends ClientFlags {
  readonly peer: string;
  readonly trustedName?: string;
  readonly peerId: string;
  readonly peerAddress: string;
}

/** What the options of a result say. */
interface CompleteFlags extends ClientFlags {
  readonly structured?: Value;
  readonly isError?: boolean;
  /** Milliseconds. */
  readonly took?: number;
  readonly tokens?: bigint;
}

/** Makes `keelson operation progress`. */
export function makeProgressCommand(): Command {
  return makeOperationStepCommand("progress", "report that an operation goes on")
    .option("--message <text>", "what was done")
    .option("--percent <number>", "per cent done, 0 to 100", countOption)
    .addHelpText(
      "after",
      examples([
        "keelson operation progress agent-1 build-7 --percent 40 --message 'linked'",
        "for those who watch",
      ]),
    )
    .action(async (runtimeId: string, operationId: string, flags: ProgressFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { message = "", percent } = flags;
        const share = percent === undefined ? {} : { percent };
        const request = { ...nameOf(runtimeId, operationId), message, ...share };
        const response = await connection.operations.reportProgress(request);
        tellStep(output, ReportProgressResponseSchema, response);
        return undefined;
      });
    });
}

/** Makes `keelson operation peer-ready`. */
export function makePeerReadyCommand(): Command {
  return makeOperationStepCommand("peer-ready", "say how to reach the peer that a member is")
    .requiredOption("--peer <name>", "name under which the owner knows the peer")
    .requiredOption("--peer-id <id>", "id of the peer")
    .requiredOption("--peer-address <address>", "where the peer is reached")
    .option("--trusted-name <name>", "name that the peer goes by itself (that of --peer)")
    .addHelpText(
      "after",
      examples([
        "keelson operation peer-ready agent-1 m-1 --peer ann --peer-id p1 --peer-address tcp://a",
        "once only",
      ]),
    )
    .action(async (runtimeId: string, operationId: string, flags: PeerFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { peer: peerName, trustedName = peerName, peerId, peerAddress } = flags;
        const trustedPeer = { name: trustedName, peerId, address: peerAddress };
        const peerHandle = { peerName, trustedPeer };
        const request = { ...nameOf(runtimeId, operationId), peerHandle };
        const response = await connection.operations.reportPeerReady(request);
        tellStep(output, ReportPeerReadyResponseSchema, response);
        return undefined;
      });
    });
}

/** Makes `keelson operation complete`. */
export function makeCompleteCommand(): Command {
  return makeOperationStepCommand("complete", "say what an operation came to")
    .argument("[content]", "the result as text")
    .option("--structured <json>", "the result as JSON", jsonOption)
    .option("--is-error", "the operation itself says that it went wrong")
    .option("--took <span>", "how long it worked, such as 90s", spanOption)
    .option("--tokens <number>", "tokens that it used", bigCountOption)
    .addHelpText(
      "after",
      examples(
        ["keelson operation complete agent-1 build-7 'image abc'", "with a text"],
        [`keelson operation complete agent-1 build-7 --structured '{"files":3}'`, "with JSON"],
      ),
    )
    .action(
      async (
        runtimeId: string,
        operationId: string,
        content: string | undefined,
        flags: CompleteFlags,
      ) => {
        await runClient(flags, async ({ connection, output }) => {
          const { structured, took: tookMs, tokens } = flags;
          const result = {
            content: content ?? "",
            isError: flags.isError === true,
            ...(structured === undefined ? {} : { structured }),
            ...(tookMs === undefined ? {} : { duration: durationToProto(tookMs) }),
            ...(tokens === undefined ? {} : { tokensUsed: tokens }),
          };
          const request = { ...nameOf(runtimeId, operationId), result };
          const response = await connection.operations.completeOperation(request);
          tellStep(output, CompleteOperationResponseSchema, response);
          return undefined;
        });
      },
    );
}
