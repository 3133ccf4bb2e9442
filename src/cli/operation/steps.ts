/**
 * The commands that move one operation a step: they differ in a word, an option or two, and the
 * call.
 */
import { randomUUID } from "node:crypto";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import type { Operation } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import { OperationStatus } from "../../../gen/keelson/operation/v1/messages_pb.ts";
import {
  AbortProvisioningResponseSchema,
  CancelOperationResponseSchema,
  FailOperationResponseSchema,
  FailProvisioningResponseSchema,
  MarkProvisionedResponseSchema,
  MarkRetiredResponseSchema,
  RequestRetireOperationResponseSchema,
} from "../../../gen/keelson/operation/v1/service_pb.ts";
import {
  type ClientFlags,
  examples,
  makeClientCommand,
  runClient,
} from "../client/client-command.ts";
import type { Connection } from "../client/connection.ts";
import { enumWord, printable } from "../client/format.ts";
import type { Output } from "../client/output.ts";

/** What every call about one operation names. */
export interface OperationName {
  readonly runtimeId: string;
  readonly operationId: string;
  readonly requestId: string;
}

/** What every answer about one operation has. */
interface StepAnswer {
  readonly operation?: Operation | undefined;
  readonly revision: bigint;
}

/** Says what a step led to. */
export function tellStep<Desc extends DescMessage>(
  output: Output,
  schema: Desc,
  response: MessageShape<Desc> & StepAnswer,
): void {
  const { operation, revision } = response;
  if (output.isJson) output.json(schema, response);
  else if (operation !== undefined) {
    const status = enumWord(OperationStatus, operation.status);
    output.line(`${printable(operation.operationId)} is ${status} at revision ${revision}`);
  }
}

/** A command about one operation of a runtime, without options yet. */
export function makeOperationStepCommand(name: string, description: string): Command {
  return makeClientCommand(name, description)
    .argument("<runtime>", "name of the runtime")
    .argument("<operation>", "id of the operation");
}

/** A fresh name for one call about an operation. */
export function nameOf(runtimeId: string, operationId: string): OperationName {
  return { runtimeId, operationId, requestId: randomUUID() };
}

/** What the options of the steps say. */
interface StepFlags extends ClientFlags {
  readonly reason?: string;
  readonly error?: string;
}

/** One step as data. */
interface Step {
  readonly name: string;
  readonly description: string;
  /** Why the step is taken: not asked, asked, or to be told. */
  readonly why: "none" | "reason" | "error";
  readonly example: readonly [options: string, meaning: string];
  readonly take: (
    connection: Connection,
    output: Output,
    name: OperationName,
    text: string,
  ) => Promise<void>;
}

/** The steps that say no more than a reason or an error. */
export const PLAIN_STEPS: readonly Step[] = [
  {
    name: "provisioned",
    description: "say that an operation is set up: it runs from then on",
    why: "none",
    example: ["", "its provisioning succeeded"],
    take: async ({ operations }, output, name) =>
      tellStep(output, MarkProvisionedResponseSchema, await operations.markProvisioned(name)),
  },
  {
    name: "fail-provisioning",
    description: "say that an operation could not be set up",
    why: "error",
    example: ["--error 'no disk'", "it ends as failed"],
    take: async ({ operations }, output, name, error) => {
      const response = await operations.failProvisioning({ ...name, error });
      tellStep(output, FailProvisioningResponseSchema, response);
    },
  },
  {
    name: "abort-provisioning",
    description: "give an operation up before it runs",
    why: "reason",
    example: ["--reason 'not needed'", "it ends as aborted"],
    take: async ({ operations }, output, name, reason) => {
      const response = await operations.abortProvisioning({ ...name, reason });
      tellStep(output, AbortProvisioningResponseSchema, response);
    },
  },
  {
    name: "fail",
    description: "end an operation as failed",
    why: "error",
    example: ["--error 'exit 1'", "it ends as failed"],
    take: async ({ operations }, output, name, error) => {
      const response = await operations.failOperation({ ...name, error });
      tellStep(output, FailOperationResponseSchema, response);
    },
  },
  {
    name: "cancel",
    description: "call an operation off",
    why: "reason",
    example: ["--reason 'changed my mind'", "it ends as cancelled"],
    take: async ({ operations }, output, name, reason) => {
      const response = await operations.cancelOperation({ ...name, reason });
      tellStep(output, CancelOperationResponseSchema, response);
    },
  },
  {
    name: "request-retire",
    description: "ask an operation to finish and leave",
    why: "reason",
    example: ["--reason 'enough'", "it goes on until it has left"],
    take: async ({ operations }, output, name, reason) => {
      const response = await operations.requestRetireOperation({ ...name, reason });
      tellStep(output, RequestRetireOperationResponseSchema, response);
    },
  },
  {
    name: "retired",
    description: "say that an operation has left",
    why: "none",
    example: ["", "it ends as retired"],
    take: async ({ operations }, output, name) =>
      tellStep(output, MarkRetiredResponseSchema, await operations.markRetired(name)),
  },
];

/** Makes the command of a plain step. */
export function makePlainStepCommand(step: Step): Command {
  const [options, meaning] = step.example;
  const line = `keelson operation ${step.name} agent-1 build-7 ${options}`.trimEnd();
  const command = makeOperationStepCommand(step.name, step.description);
  if (step.why === "reason") command.option("--reason <text>", "why, for the history");
  if (step.why === "error") command.requiredOption("--error <text>", "what went wrong");
  return command
    .addHelpText("after", examples([line, meaning]))
    .action(async (runtimeId: string, operationId: string, flags: StepFlags) => {
      await runClient(flags, async ({ connection, output }) => {
        const name = nameOf(runtimeId, operationId);
        await step.take(connection, output, name, flags.error ?? flags.reason ?? "");
        return undefined;
      });
    });
}
