/** `keelson runtime drain`: how peers reach a runtime, and the drain that takes what they send. */
import { randomUUID } from "node:crypto";
import { Command, Option } from "commander";
import { DrainExitReason, type PeerIngress } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  AbortAllDrainsResponseSchema,
  AbortDrainResponseSchema,
  NotifyDrainExitedResponseSchema,
  UpdatePeerIngressResponseSchema,
  type WaitDrainResponse,
  WaitDrainResponseSchema,
} from "../../../gen/keelson/runtime/v1/service_pb.ts";
import { durationToProto } from "../../rpc/codec/time.ts";
import {
  bigCountOption,
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import { confirm, type ConfirmFlags, withConfirmation } from "../client/confirmation.ts";
import type { Connection } from "../client/connection.ts";
import { CLIENT_EXIT_CODES } from "../client/exit-codes.ts";
import { enumValue, enumWords } from "../client/format.ts";
import { untilAnswered } from "../client/repeat.ts";
import { ingressText } from "./runtime-view.ts";

/** One call waits at most this long; the server allows a minute. */
const WAIT_MS = 50_000;
const ANSWER_MS = 10_000;

/** What the options of `ingress` say. */
interface IngressFlags extends ClientFlags {
  readonly peerAddress?: string;
  readonly peerName?: string;
  readonly peerId?: string;
  readonly keepAlive?: boolean;
}

function textOf(ingress: PeerIngress | undefined): string {
  return ingress === undefined ? "" : ingressText(ingress);
}

function makeIngressCommand(): Command {
  return makeClientCommand("ingress", "say how peers reach a runtime")
    .argument("<runtime>", "name of the runtime")
    .option("--peer-address <text>", "where its peers reach it; without it there is no ingress")
    .option("--peer-name <name>", "name under which its peers know it")
    .option("--peer-id <id>", "its identity among its peers")
    .option("--keep-alive", "keep it reachable while no executor is attached to it")
    .addHelpText(
      "after",
      examples(
        ["keelson runtime drain ingress agent-1 --peer-address inproc://agent-1", "while attached"],
        [
          "keelson runtime drain ingress agent-1 --peer-address tcp://10.0.0.7:9 --keep-alive",
          "always",
        ],
        ["keelson runtime drain ingress agent-1", "no ingress any more: the drain ends"],
      ),
    )
    .action(async (runtimeId: string, flags: IngressFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { peerAddress, peerName = "", peerId = "", keepAlive = false } = flags;
        const response = await connection.runtimes.updatePeerIngress({
          runtimeId,
          keepAlive,
          ...(peerAddress === undefined
            ? {}
            : { endpoint: { address: peerAddress, peerName, peerId } }),
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(UpdatePeerIngressResponseSchema, response);
        else {
          const started = response.spawned ? "a drain was started; " : "";
          output.line(`${started}${textOf(response.peerIngress)}`);
        }
        return undefined;
      });
    });
}

/** What the options of `exited` say. */
interface ExitedFlags extends ClientFlags {
  readonly reason: string;
  readonly drain?: bigint;
}

function makeExitedCommand(): Command {
  return makeClientCommand("exited", "tell that the drain of a runtime ended; for its executor")
    .argument("<runtime>", "name of the runtime")
    .addOption(
      new Option("--reason <reason>", "why it ended")
        .choices(enumWords(DrainExitReason))
        .makeOptionMandatory(),
    )
    .option("--drain <sequence>", "only if this is the present drain", bigCountOption)
    .addHelpText(
      "after",
      examples(
        ["keelson runtime drain exited agent-1 --reason failed", "it is tried again"],
        ["keelson runtime drain exited agent-1 --reason dismissed --drain 3", "it stays away"],
      ),
    )
    .action(async (runtimeId: string, flags: ExitedFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await connection.runtimes.notifyDrainExited({
          runtimeId,
          reason: enumValue(DrainExitReason, flags.reason) ?? DrainExitReason.UNSPECIFIED,
          drainSequence: flags.drain ?? 0n,
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(NotifyDrainExitedResponseSchema, response);
        else {
          const done = response.exited ? "the drain has ended" : "there was no such drain";
          output.line(`${done}; ${textOf(response.peerIngress)}`);
        }
        return undefined;
      });
    });
}

/** What the options of `abort` and `abort-all` say. */
interface AbortFlags extends ClientFlags, ConfirmFlags {
  readonly reason?: string;
}

function makeAbortCommand(): Command {
  return makeClientCommand("abort", "end the drain of a runtime")
    .argument("<runtime>", "name of the runtime")
    .option("--reason <text>", "why, for the executor and the history")
    .addHelpText(
      "after",
      examples(["keelson runtime drain abort agent-1", "its executor is told at once"]),
    )
    .action(async (runtimeId: string, flags: AbortFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const { reason = "" } = flags;
        const request = { runtimeId, reason, requestId: randomUUID() };
        const response = await connection.runtimes.abortDrain(request);
        if (output.isJson) output.json(AbortDrainResponseSchema, response);
        else output.line(response.aborted ? "the drain is ended" : "there was no drain");
        return undefined;
      });
    });
}

function makeAbortAllCommand(): Command {
  return withConfirmation(makeClientCommand("abort-all", "end every drain of the namespace"))
    .option("--reason <text>", "why, for the executors and the history")
    .addHelpText(
      "after",
      examples([
        "keelson runtime drain abort-all --yes --reason maintenance",
        "without a question",
      ]),
    )
    .action(async (flags: AbortFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        if (flags.yes !== true) await confirm("End every drain of the namespace?");
        const { reason = "" } = flags;
        const response = await connection.runtimes.abortAllDrains({
          reason,
          requestId: randomUUID(),
        });
        if (output.isJson) output.json(AbortAllDrainsResponseSchema, response);
        else {
          for (const runtimeId of response.runtimeIds) output.line(runtimeId);
          output.note(`${response.runtimeIds.length} drains are ended`);
        }
        return undefined;
      });
    });
}

/** Waits call by call until the drain has ended or the time is up. */
async function waitForDrain(
  { runtimes }: Connection,
  runtimeId: string,
  timeoutMs: number | undefined,
): Promise<WaitDrainResponse> {
  const endMs = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY);
  const signal =
    timeoutMs === undefined ? new AbortController().signal : AbortSignal.timeout(timeoutMs);
  for (;;) {
    const response = await untilAnswered(
      () => {
        const waitMs = Math.min(WAIT_MS, Math.max(0, Math.ceil(endMs - performance.now())));
        const request = { runtimeId, timeout: durationToProto(waitMs) };
        return runtimes.waitDrain(request, { timeoutMs: waitMs + ANSWER_MS });
      },
      { signal },
    );
    if (response.ended || performance.now() >= endMs) return response;
  }
}

function makeWaitCommand(): Command {
  return makeClientCommand("wait", "wait until the drain of a runtime has ended")
    .argument("<runtime>", "name of the runtime")
    .addHelpText(
      "after",
      `
Without --timeout it waits for ever, also while the server is away. Ends with 0 when the drain has
ended or there is none, 8 when the time was up.
${examples(["keelson runtime drain wait agent-1 --timeout 30s", "at most half a minute"])}`,
    )
    .action(async (runtimeId: string, flags: ClientFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const response = await waitForDrain(connection, runtimeId, flags.timeout);
        if (output.isJson) output.json(WaitDrainResponseSchema, response);
        else output.line(textOf(response.peerIngress));
        return response.ended ? undefined : CLIENT_EXIT_CODES.notOver;
      });
    });
}

/** Makes the group of commands. */
export function makeDrainCommand(): Command {
  const group = new Command("drain").description(
    "say how peers reach a runtime, and end or await its drain",
  );
  const commands = [
    makeIngressCommand(),
    makeExitedCommand(),
    makeAbortCommand(),
    makeAbortAllCommand(),
    makeWaitCommand(),
  ];
  for (const command of commands) group.addCommand(command);
  return group;
}
