/** Steps of random lives that are about operations; few names, so that they meet each other. */
import fc from "fast-check";
import type { RuntimeCommand } from "../../src/core/runtime/commands.ts";
import { DEFAULTS, registerCommand } from "../../src/core/runtime/testing/story.ts";
import { operationIdOf, runtimeIdOf } from "../../src/core/shared/ids.ts";

const NAMES = 12;

/** A step about operations. */
export const operationStep = fc.record({
  kind: fc.constantFrom(
    ...(["operation", "operation", "operation", "register", "register", "registry"] as const),
  ),
  name: fc.nat(NAMES - 1),
  /** Names of registrations are used again seldom: an id is taken for ever. */
  serial: fc.nat(8),
  action: fc.nat(13),
  isChild: fc.integer({ min: 0, max: 3 }).map((number) => number === 0),
  size: fc.constantFrom(0, 1, 3),
});

type OperationStep = typeof operationStep extends fc.Arbitrary<infer Value> ? Value : never;

const PEER = { peerName: "child", trustedPeer: { name: "child", peerId: "p", address: "inproc" } };

function nameOf({ name, serial }: OperationStep): string {
  return `operation-${name}-${serial}`;
}

/** A step of one operation; succeeding and completing come up more often than the others. */
function stepCommand(step: OperationStep): RuntimeCommand {
  const operationId = operationIdOf(nameOf(step));
  const result = { content: "done", isError: false };
  switch (step.action) {
    case 0:
      return { type: "fail_operation_provisioning", operationId, error: "no" };
    case 1:
      return { type: "abort_operation_provisioning", operationId };
    case 2:
      return { type: "report_operation_peer_ready", operationId, peerHandle: PEER };
    case 3:
      return { type: "report_operation_progress", operationId, percent: 10 };
    case 4:
      return { type: "fail_operation", operationId, error: "no" };
    case 5:
      return { type: "cancel_operation", operationId };
    case 6:
      return { type: "request_retire_operation", operationId };
    case 7:
      return { type: "mark_operation_retired", operationId };
    case 8:
    case 9:
    case 10:
      return { type: "complete_operation", operationId, result, resultBytes: 40 };
    default:
      return { type: "mark_operation_provisioned", operationId };
  }
}

function registryCommand(step: OperationStep): RuntimeCommand {
  switch (step.action % 3) {
    case 0:
      return { type: "terminate_owner", reason: "gone" };
    case 1: {
      const through = step.size === 0 ? {} : { throughSequence: step.name };
      const operationsMax = Math.max(1, step.size);
      return { type: "collect_completed", ...through, operationsMax, bytesMax: 2_500 };
    }
    default: {
      const config = { completedRetention: step.size, operationLimit: 2 + step.name };
      const runtimeId = runtimeIdOf("runtime-1");
      return { type: "ensure_runtime", runtimeId, config, defaults: DEFAULTS };
    }
  }
}

/** The command of a step. */
export function operationCommand(step: OperationStep): RuntimeCommand {
  switch (step.kind) {
    case "register": {
      const kind = step.isChild ? "mob_member_child" : "background_tool_op";
      return registerCommand(nameOf(step), { kind });
    }
    case "operation":
      return stepCommand(step);
    case "registry":
      return registryCommand(step);
  }
}
