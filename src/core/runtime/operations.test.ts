import { describe, expect, test } from "vitest";
import { inputIdOf, operationIdOf } from "../shared/ids.ts";
import { runtimeAggregate } from "./aggregate.ts";
import { envelopesOfCommit } from "./envelopes.ts";
import type { OperationCommand } from "./operation-commands.ts";
import type { OperationStatus } from "./operation-state.ts";
import { OPERATION_STEPS } from "./operation-table.ts";
import { operationFromRecord } from "./record-codec.ts";
import { registerCommand, registeredStory, type Story } from "./testing/story.ts";

const operationId = operationIdOf("tool");
const PEER = { peerName: "child", trustedPeer: { name: "child", peerId: "p", address: "inproc" } };
const RESULT = { content: "done", isError: false };

/** Every command about one operation, by the event that it becomes. */
const STEPS = {
  operation_provisioned: { type: "mark_operation_provisioned", operationId },
  operation_provisioning_failed: {
    type: "fail_operation_provisioning",
    operationId,
    error: "no disk",
  },
  operation_provisioning_aborted: {
    type: "abort_operation_provisioning",
    operationId,
    reason: "not needed",
  },
  operation_peer_ready: { type: "report_operation_peer_ready", operationId, peerHandle: PEER },
  operation_progressed: {
    type: "report_operation_progress",
    operationId,
    message: "half",
    percent: 50,
  },
  operation_retire_requested: { type: "request_retire_operation", operationId, reason: "enough" },
  operation_completed: { type: "complete_operation", operationId, result: RESULT, resultBytes: 34 },
  operation_failed: { type: "fail_operation", operationId, error: "exit 1" },
  operation_cancelled: { type: "cancel_operation", operationId, reason: "asked to" },
  operation_retired: { type: "mark_operation_retired", operationId },
} as const satisfies Readonly<Record<string, OperationCommand>>;

const CHILD = { kind: "mob_member_child", expectPeerChannel: true } as const;

/** A story with the child `tool` in each status. */
const IN_STATUS: Readonly<Record<OperationStatus, () => Story>> = {
  provisioning: () => {
    const story = registeredStory();
    story.do(registerCommand("tool", CHILD), "operation");
    return story;
  },
  running: () => {
    const story = IN_STATUS.provisioning();
    story.do(STEPS.operation_provisioned, "operation");
    return story;
  },
  retiring: () => after("operation_retire_requested"),
  completed: () => after("operation_completed"),
  failed: () => after("operation_failed"),
  cancelled: () => after("operation_cancelled"),
  retired: () => after("operation_retired"),
  aborted: () => {
    const story = IN_STATUS.provisioning();
    story.do(STEPS.operation_provisioning_aborted, "operation");
    return story;
  },
  terminated: () => {
    const story = IN_STATUS.running();
    story.do({ type: "terminate_owner", reason: "over" }, "owner_terminated");
    return story;
  },
};

function after(step: keyof typeof STEPS): Story {
  const story = IN_STATUS.running();
  story.do(STEPS[step], "operation");
  return story;
}

/** What each step leads to, written down once more; `-` where it is refused. */
const TABLE = `
  step                           provisioning running   retiring
  operation_provisioned          running      -         -
  operation_provisioning_failed  failed       -         -
  operation_provisioning_aborted aborted      -         -
  operation_peer_ready           -            running   retiring
  operation_progressed           -            running   retiring
  operation_retire_requested     -            retiring  -
  operation_completed            -            completed completed
  operation_failed               failed       failed    failed
  operation_cancelled            cancelled    cancelled cancelled
  operation_retired              -            retired   retired
`;

function rowsOf(text: string) {
  const [header = "", ...lines] = text.trim().split("\n");
  const [, ...statuses] = header.trim().split(/\s+/);
  return lines.flatMap((line) => {
    const [step = "", ...cells] = line.trim().split(/\s+/);
    return statuses.map((status, column) => ({ step, status, to: cells[column] ?? "" }));
  });
}

describe("the machine of an operation", () => {
  test.each(rowsOf(TABLE))("$step while $status: $to", ({ step, status, to }) => {
    const story = IN_STATUS[status as OperationStatus]();
    const command = STEPS[step as keyof typeof STEPS];
    const isRefused = to === "-";
    const refusal = isRefused ? story.refused(command, "OPERATION_INVALID_TRANSITION") : undefined;
    if (!isRefused) story.do(command, "operation");
    const facts = { operationId: "tool", status, action: command.type };
    expect(refusal?.metadata).toEqual(isRefused ? facts : undefined);
    expect(story.operation("tool").status).toBe(isRefused ? status : to);
  });

  const ends = ["completed", "failed", "aborted", "cancelled", "retired", "terminated"] as const;
  test.each(ends)("an operation that is %s refuses every step, also when forgotten", (status) => {
    const story = IN_STATUS[status]();
    story.do({ type: "collect_completed", operationsMax: 1, bytesMax: 1 }, "collected");
    for (const forgets of [false, true]) {
      if (forgets) story.forget();
      for (const command of Object.values(STEPS)) {
        const { metadata } = story.refused(command, "OPERATION_INVALID_TRANSITION");
        expect(metadata["status"]).toBe(status);
      }
      story.refused(registerCommand("tool"), "OPERATION_ALREADY_REGISTERED");
    }
  });

  test("an operation that nobody registered is not found", () => {
    const story = registeredStory();
    const refusals = Object.values(STEPS).map((command) =>
      story.refused(command, "OPERATION_NOT_FOUND"),
    );
    expect(new Set(refusals.map(({ metadata }) => metadata["operationId"]))).toEqual(
      new Set(["tool"]),
    );
  });

  test("the table has a row for every step of one operation", () => {
    const steps = new Set(rowsOf(TABLE).map(({ step }) => step));
    const others = ["operation_registered", "operations_terminated"];
    expect([...steps, ...others].toSorted()).toEqual(Object.keys(OPERATION_STEPS).toSorted());
  });
});

test("a peer is checked for its kind first, then for an earlier one, then for the status", () => {
  const story = registeredStory();
  story.do(registerCommand("tool"), "operation");
  story.refused(STEPS.operation_peer_ready, "OPERATION_PEER_NOT_EXPECTED");
  const child = after("operation_peer_ready");
  child.refused(STEPS.operation_peer_ready, "OPERATION_PEER_ALREADY_READY");
  child.do(STEPS.operation_completed, "operation");
  child.refused(STEPS.operation_peer_ready, "OPERATION_PEER_ALREADY_READY");
  expect(child.operation("tool").peerHandle).toEqual(PEER);
});

test("no more operations are active than the runtime is configured for", () => {
  const story = registeredStory({ operationLimit: 2 });
  story.operate("a");
  story.do(registerCommand("b"), "operation");
  const refusal = story.refused(registerCommand("c"), "OPERATION_LIMIT_REACHED");
  expect(refusal.metadata).toEqual({ operationLimit: "2", active: "2" });
  story.finish("a");
  story.do(registerCommand("c"), "operation");
});

test("of what ended the newest are kept, and a smaller retention lets more go", () => {
  const story = registeredStory({ completedRetention: 3 });
  for (const name of ["a", "b", "c", "d", "e"]) {
    story.operate(name);
    story.finish(name);
  }
  expect(runtimeAggregate.forgettable(story.state).map(({ lookups }) => lookups)).toContainEqual([
    "id:b",
  ]);
  expect(story.state.operations.releasedThrough).toBe(2);
  story.ensure({ completedRetention: 1 });
  expect(story.state.operations.releasedThrough).toBe(4);
  story.forget();
  expect([...story.state.operations.operations.keys()]).toEqual(["e"]);
});

test("what is collected leaves the registry, the oldest first, and counts as applied", () => {
  const story = registeredStory();
  for (const name of ["a", "b", "c"]) {
    story.operate(name);
    story.finish(name);
  }
  const collect = { type: "collect_completed", operationsMax: 2, bytesMax: 1_000_000 } as const;
  expect(story.do(collect, "collected").operationIds).toEqual(["a", "b"]);
  expect(story.state.operations.cursors.agentApplied).toBe(2);
  expect(story.do(collect, "collected").operationIds).toEqual(["c"]);
  const count = story.commits.length;
  expect(story.do(collect, "collected").operationIds).toEqual([]);
  expect(story.commits).toHaveLength(count);
});

test("collecting stops at a sequence, at a size, and never goes back", () => {
  const story = registeredStory();
  for (const name of ["a", "b", "c"]) {
    story.operate(name);
    story.finish(name, "x".repeat(2_000));
  }
  const collect = { type: "collect_completed", operationsMax: 9, bytesMax: 2_500 } as const;
  expect(story.do(collect, "collected").operationIds).toEqual(["a"]);
  const upToTwo = { ...collect, throughSequence: 2 };
  expect(story.do(upToTwo, "collected").operationIds).toEqual(["b"]);
  expect(story.do({ ...upToTwo, throughSequence: 1 }, "collected").operationIds).toEqual([]);
  expect(story.state.operations.cursors.agentApplied).toBe(2);
});

test("an evicted operation can still be confirmed as applied", () => {
  const story = registeredStory({ completedRetention: 0 });
  story.operate("a");
  story.finish("a");
  const confirm = { throughSequence: 9, operationsMax: 1, bytesMax: 1 };
  story.do({ type: "collect_completed", ...confirm }, "collected");
  expect(story.state.operations.cursors.agentApplied).toBe(1);
});

describe("the end of an epoch", () => {
  const terminated = (story: Story) =>
    [...story.state.operations.operations.values()].map(({ end }) => end?.outcome);

  test.each(["reset", "recover"] as const)(
    "%s terminates what is active, in its commit",
    (type) => {
      const story = registeredStory();
      story.operate("b");
      story.do(registerCommand("a", CHILD), "operation");
      story.do(type === "reset" ? { type } : { type, fenceExecutor: false }, "report");
      const outcome = { type: "terminated", reason: "epoch_rotated" };
      expect(terminated(story)).toEqual([outcome, outcome]);
      expect(story.operation("b").end?.sequence).toBe(1);
      expect(story.operation("a").end?.sequence).toBe(2);
      expect(story.lastEvents().slice(0, 2)).toEqual([
        "operations_terminated",
        `runtime_${type}${type === "recover" ? "ed" : ""}`,
      ]);
    },
  );

  test.each(["stop", "destroy"] as const)("%s terminates what is active", (type) => {
    const story = registeredStory();
    story.operate("a");
    story.do({ type }, "report");
    const reason = type === "stop" ? "stopped" : "destroyed";
    expect(terminated(story)).toEqual([{ type: "terminated", reason }]);
  });

  test("retire, recycle and unregister leave operations alone", () => {
    const story = registeredStory();
    story.operate("a");
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    story.do({ type: "recycle" }, "report");
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    story.refused(STEPS.operation_failed, "RUNTIME_NOT_REGISTERED");
    story.ensure();
    expect(story.operation("a").status).toBe("running");
    story.finish("a");
  });

  test("who means another epoch changes nothing", () => {
    const story = registeredStory();
    story.operate("a");
    const { epochId } = story.state;
    story.do({ type: "reset" }, "report");
    const stale = { ...registerCommand("b"), expectedEpochId: epochId };
    expect(story.refused(stale, "EPOCH_MISMATCH").metadata).toEqual({
      expectedEpochId: epochId,
      epochId: story.state.epochId,
    });
  });
});

test("terminating the owner ends everything once, in order of registration", () => {
  const story = registeredStory();
  story.operate("b");
  story.operate("a");
  const terminate = { type: "terminate_owner", reason: "gone" } as const;
  expect(story.do(terminate, "owner_terminated").operationCount).toBe(2);
  expect(story.do(terminate, "owner_terminated").operationCount).toBe(0);
  expect([...story.state.operations.ended.values()]).toEqual(["b", "a"]);
});

test("watchers hear of every step, and of each operation of a mass end", () => {
  const story = registeredStory();
  story.operate("a", CHILD);
  story.operate("b");
  story.do({ ...STEPS.operation_progressed, operationId: operationIdOf("a") }, "operation");
  story.do({ type: "terminate_owner", reason: "gone" }, "owner_terminated");
  const codes = story.commits.flatMap(({ before, events, revision, at }) =>
    envelopesOfCommit(before, events, revision, at).flatMap(({ eventCode, event }) =>
      event.category === "operation_lifecycle" ? [`${event.operationId} ${eventCode}`] : [],
    ),
  );
  expect(codes).toEqual([
    "a operation.registered",
    "a operation.provisioned",
    "b operation.registered",
    "b operation.provisioned",
    "a operation.progressed",
    "a operation.terminated",
    "b operation.terminated",
  ]);
});

test("a record holds what is asked for later", () => {
  const story = registeredStory({ completedRetention: 0 });
  story.operate("a", { sourceLabel: "shell", childRuntimeId: "child-1" });
  story.finish("a");
  const [row] = runtimeAggregate.forgettable(story.state);
  expect(row).toMatchObject({ recordClass: "operations", ordinal: 1, lookups: ["id:a"] });
  expect(row && operationFromRecord(row.body)).toEqual(story.operation("a"));
});

test("an operation id is not an input id", () => {
  const story = registeredStory();
  story.operate("same");
  expect(story.state.inputs.has(inputIdOf("same"))).toBe(false);
});
