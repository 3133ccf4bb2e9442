// The process registry: who may address which process, how that is handed on, and what is left of
// it when a session is deleted.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OrphanPolicy, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import type { HandleGrantEntry } from "../../gen/keelson/process/v1/service_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import {
  external,
  historyOf,
  ownerWord,
  readProcess,
  register,
  success,
  wakeType,
  json,
} from "./support/processes.ts";
import { refusalOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const A = { sessionId: "session-a" };
const B = { sessionId: "session-b" };
const FRAME = { sessionId: "session-a", agentFrameId: "frame-1" };

type Scope = Readonly<{ sessionId: string; agentFrameId?: string }>;

async function grant(
  { processes }: CaseClients,
  scope: Scope,
  ...processIds: readonly string[]
): Promise<void> {
  for (const processId of processIds) await processes.grantHandle({ scope, processId });
}

async function has({ processes }: CaseClients, scope: Scope, processId: string): Promise<boolean> {
  return (await processes.hasHandleGrant({ scope, processId })).granted;
}

async function listed(
  { processes }: CaseClients,
  scope: Scope,
  liveOnly = false,
): Promise<readonly string[]> {
  const { entries } = await processes.listHandleGrants({ scope, liveOnly });
  return entries.map((entry) => entry.process?.processId ?? "");
}

function namesIn(entries: readonly HandleGrantEntry[]): readonly string[] {
  return entries.map((entry) => entry.grant?.processId ?? "");
}

async function grantees({ processes }: CaseClients, processId: string): Promise<readonly string[]> {
  const { grants } = await processes.listProcessGrants({ processId });
  return grants.map(({ scope }) => `${scope?.sessionId}/${scope?.agentFrameId}`);
}

async function end({ processes }: CaseClients, processId: string): Promise<void> {
  const output = success("done");
  await processes.completeProcess({ processId, output, proof: ownerWord() });
}

function registered(clients: CaseClients, ...names: readonly string[]) {
  return Promise.all(names.map((name) => register(clients, external(name))));
}

describe("handle grants", () => {
  it("external_refs_and_handle_grant_membership_round_trip: grants", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p");
    expect(await has(clients, A, "p")).toBe(false);
    const descriptor = { kind: "tool", label: "build" };
    const first = await processes.grantHandle({ scope: A, processId: "p", descriptor });
    expect(first).toMatchObject({
      created: true,
      grant: { scope: A, processId: "p", descriptor },
    });
    expect(await has(clients, A, "p")).toBe(true);
    expect(await has(clients, FRAME, "p")).toBe(false);
    const renamed = { kind: "tool", label: "release" };
    const again = await processes.grantHandle({ scope: A, processId: "p", descriptor: renamed });
    expect(again).toMatchObject({ created: false, grant: { descriptor: renamed } });
    expect(again.grant?.grantedAt).toEqual(first.grant?.grantedAt);
    expect(await processes.revokeHandle({ scope: A, processId: "p" })).toMatchObject({
      revoked: true,
    });
    expect(await has(clients, A, "p")).toBe(false);
    expect(await processes.revokeHandle({ scope: A, processId: "p" })).toMatchObject({
      revoked: false,
    });
    const unknown = await refusalOf(processes.grantHandle({ scope: A, processId: "x" }));
    expect(unknown).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
    expect(await has(clients, A, "x")).toBe(false);
  });

  it("a call with the same request id is answered as the first time", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p", "q");
    const call = { scope: A, processId: "p", requestId: "grant-1" };
    const first = await processes.grantHandle(call);
    await processes.revokeHandle({ scope: A, processId: "p" });
    expect(await processes.grantHandle(call)).toEqual(first);
    expect(await has(clients, A, "p")).toBe(false);
    await grant(clients, A, "q");
    const transfer = { from: A, to: B, processIds: ["q"], requestId: "transfer-1" };
    const moved = await processes.transferHandleGrants(transfer);
    await processes.revokeHandle({ scope: B, processId: "q" });
    expect(await processes.transferHandleGrants(transfer)).toEqual(moved);
    expect(await has(clients, B, "q")).toBe(false);
    const reused = { ...call, processId: "q" };
    const conflict = await refusalOf(processes.grantHandle(reused));
    expect(conflict).toMatchObject({ reason: "REQUEST_ID_REUSED" });
  });

  it("multiple_sessions_can_hold_grants", async () => {
    const clients = clientsOf(deployment.url);
    await registered(clients, "p");
    await grant(clients, B, "p");
    await grant(clients, FRAME, "p");
    await grant(clients, A, "p");
    expect(await grantees(clients, "p")).toEqual(["session-a/", "session-a/frame-1", "session-b/"]);
    await clients.processes.revokeHandle({ scope: A, processId: "p" });
    expect(await grantees(clients, "p")).toEqual(["session-a/frame-1", "session-b/"]);
    const missing = await refusalOf(clients.processes.listProcessGrants({ processId: "x" }));
    expect(missing).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  });

  it("processes_can_exist_with_zero_grants", async () => {
    const clients = clientsOf(deployment.url);
    await registered(clients, "p");
    expect(await grantees(clients, "p")).toEqual([]);
    expect((await readProcess(clients, "p")).state).toBe(ProcessState.RUNNING);
    await grant(clients, A, "p");
    await clients.processes.revokeHandle({ scope: A, processId: "p" });
    expect(await grantees(clients, "p")).toEqual([]);
    expect((await readProcess(clients, "p")).state).toBe(ProcessState.RUNNING);
    await end(clients, "p");
  });

  it("list_live_handle_grants_excludes_terminal_history: by process, in pages", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "c", "a", "d", "b");
    await grant(clients, A, "d", "a", "c", "b");
    await end(clients, "b");
    expect(await listed(clients, A)).toEqual(["a", "b", "c", "d"]);
    expect(await listed(clients, A, true)).toEqual(["a", "c", "d"]);
    const first = await processes.listHandleGrants({ scope: A, liveOnly: true, pageSize: 2 });
    expect(namesIn(first.entries)).toEqual(["a"]);
    const { nextPageToken: pageToken } = first;
    const rest = await processes.listHandleGrants({
      scope: A,
      liveOnly: true,
      pageSize: 2,
      pageToken,
    });
    expect(namesIn(rest.entries)).toEqual(["c", "d"]);
    const elsewhere = processes.listHandleGrants({ scope: B, pageToken });
    expect(await refusalOf(elsewhere)).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
  });

  it("prune_takes_grants_along", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p", "q");
    await grant(clients, A, "p", "q");
    await end(clients, "p");
    const { process } = await processes.getProcess({ processId: "p" });
    const seconds = (process?.updatedAt?.seconds ?? 0n) + 60n;
    await processes.pruneProcesses({ updatedBefore: { seconds } });
    expect(await has(clients, A, "p")).toBe(false);
    expect(await listed(clients, A)).toEqual(["q"]);
    const late = await refusalOf(processes.grantHandle({ scope: A, processId: "p" }));
    expect(late).toMatchObject({ reason: "NO_LONGER_RETAINED" });
  });
});

describe("wrong requests", () => {
  it("name every field that is wrong and change nothing", async () => {
    const { processes } = clientsOf(deployment.url);
    const long = "x".repeat(257);
    const granted = processes.grantHandle({
      scope: { sessionId: "", agentFrameId: long },
      processId: "a#b",
      descriptor: { kind: long, label: "\u0007" },
      requestId: long,
    });
    expect((await refusalOf(granted)).fields).toEqual([
      "scope.session_id",
      "scope.agent_frame_id",
      "process_id",
      "descriptor.kind",
      "descriptor.label",
      "request_id",
    ]);
    const { limits } = await processes.getRegistryInfo({});
    expect(limits).toMatchObject({ sessionGrantsMax: 100_000, transferGrantsMax: 1000 });
    const processIds = Array.from({ length: 1001 }, (_, index) => `p-${index}`);
    const moved = processes.transferHandleGrants({ from: A, processIds });
    expect((await refusalOf(moved)).fields).toEqual(["to", "to.session_id", "process_ids"]);
    const listing = processes.listHandleGrants({ scope: A, pageSize: 1001 });
    expect((await refusalOf(listing)).fields).toEqual(["page_size"]);
    const revoked = processes.revokeHandle({ processId: "p" });
    expect((await refusalOf(revoked)).fields).toEqual(["scope", "scope.session_id"]);
    const deleted = processes.deleteSessionProcessState({});
    expect((await refusalOf(deleted)).fields).toEqual(["session_id"]);
  });
});

describe("transfers", () => {
  it("transfer_handle_grants_moves_addressability: between sessions", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p", "q", "stays");
    const descriptor = { kind: "tool", label: "build" };
    await processes.grantHandle({ scope: A, processId: "p", descriptor });
    await grant(clients, A, "q", "stays");
    await processes.grantHandle({ scope: B, processId: "q", descriptor: { kind: "", label: "b" } });
    const before = await Promise.all(["p", "q"].map((name) => historyOf(clients, name)));
    const call = { from: A, to: B, processIds: ["q", "p"] };
    const { grants } = await processes.transferHandleGrants(call);
    expect(grants.map(({ processId, scope }) => [processId, scope?.sessionId])).toEqual([
      ["q", "session-b"],
      ["p", "session-b"],
    ]);
    expect(grants[1]?.descriptor).toMatchObject(descriptor);
    expect(await listed(clients, B)).toEqual(["p", "q"]);
    await expect.poll(() => listed(clients, A)).toEqual(["stays"]);
    await expect.poll(() => grantees(clients, "p")).toEqual(["session-b/"]);
    // No event of a process tells of a transfer.
    expect(await Promise.all(["p", "q"].map((name) => historyOf(clients, name)))).toEqual(before);
  });

  it("transfer_handle_grants_moves_addressability: between scopes of a session", async () => {
    const clients = clientsOf(deployment.url);
    await registered(clients, "p");
    await grant(clients, A, "p");
    await clients.processes.transferHandleGrants({ from: A, to: FRAME, processIds: ["p"] });
    expect([await has(clients, A, "p"), await has(clients, FRAME, "p")]).toEqual([false, true]);
  });

  it("moves all grants or none", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p", "q");
    await grant(clients, A, "p");
    for (const to of [B, FRAME]) {
      const call = { from: A, to, processIds: ["p", "q"] };
      const refused = await refusalOf(processes.transferHandleGrants(call));
      expect(refused).toMatchObject({ reason: "HANDLE_NOT_GRANTED", metadata: { processId: "q" } });
      expect(await listed(clients, A)).toEqual(["p"]);
      expect(await listed(clients, to)).toEqual([]);
    }
    const empty = await processes.transferHandleGrants({ from: A, to: B, processIds: [] });
    expect(empty.grants).toEqual([]);
    const twice = { from: A, to: B, processIds: ["p", "p"] };
    const wrong = await refusalOf(processes.transferHandleGrants(twice));
    expect(wrong).toMatchObject({ reason: "INVALID_FIELD" });
    const same = { from: A, to: A, processIds: ["p"] };
    expect(await refusalOf(processes.transferHandleGrants(same))).toMatchObject({
      reason: "INVALID_FIELD",
    });
  });

  it("a transfer to a deleted session leaves the grants where they are", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p");
    await grant(clients, A, "p");
    await processes.deleteSessionProcessState(B);
    const call = { from: A, to: B, processIds: ["p"], requestId: "transfer-1" };
    for (let tries = 0; tries < 2; tries += 1) {
      const refused = await refusalOf(processes.transferHandleGrants(call));
      expect(refused).toMatchObject({
        reason: "SESSION_DELETED",
        metadata: { sessionId: "session-b" },
      });
    }
    const { entries } = await processes.listHandleGrants({ scope: A });
    expect(entries[0]?.grant).toMatchObject({ processId: "p" });
    expect(entries[0]?.grant?.transferringTo).toBeUndefined();
    expect(await processes.revokeHandle({ scope: A, processId: "p" })).toMatchObject({
      revoked: true,
    });
  });
});

/** A alone holds `sole`, A and B hold `shared`, A holds the ended `over`; all have an event. */
async function threeKinds(clients: CaseClients): Promise<void> {
  const { processes } = clients;
  for (const name of ["sole", "shared", "over"]) {
    await register(clients, external(name, { eventTypes: [wakeType("news")] }));
    const payload = json({ text: "news" });
    await processes.appendEvent({ processId: name, eventType: "news", payload });
  }
  await grant(clients, A, "shared", "over");
  await grant(clients, FRAME, "sole");
  await grant(clients, B, "shared");
  await end(clients, "over");
}

describe("deletion of a session", () => {
  it("delete_session_revokes_handles_by_session: orphans are reported and go on", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await threeKinds(clients);
    const before = await readProcess(clients, "sole");
    const { report } = await processes.deleteSessionProcessState(A);
    // Decision 20: nothing is cancelled unless asked for.
    expect(report).toMatchObject({
      revokedHandleCount: 3,
      deletedWakeCount: 0,
      orphanedProcessIds: ["sole"],
      cancelledProcessIds: [],
      preservedProcessIds: ["shared"],
    });
    expect([await listed(clients, A), await listed(clients, FRAME)]).toEqual([[], []]);
    expect(await listed(clients, B)).toEqual(["shared"]);
    expect(await historyOf(clients, "sole")).toEqual([[1, "news"]]);
    const after = await readProcess(clients, "sole");
    expect({ ...after, revision: 0n }).toEqual({ ...before, revision: 0n });
    const again = await processes.deleteSessionProcessState(A);
    expect(again.report).toMatchObject({
      revokedHandleCount: 0,
      orphanedProcessIds: [],
      preservedProcessIds: [],
    });
  });

  it("delete_session_revokes_handles_by_session: orphans are cancelled when asked", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await threeKinds(clients);
    const call = { ...A, orphanPolicy: OrphanPolicy.CANCEL, requestId: "delete-1" };
    const first = await processes.deleteSessionProcessState(call);
    expect(first.report).toMatchObject({
      revokedHandleCount: 3,
      orphanedProcessIds: ["sole"],
      cancelledProcessIds: ["sole"],
      preservedProcessIds: ["shared"],
    });
    expect(await processes.deleteSessionProcessState(call)).toEqual(first);
    const { events } = await processes.listEvents({ processId: "sole" });
    expect(events.map((event) => event.eventType)).toEqual(["news", "process.cancel_requested"]);
    expect((await readProcess(clients, "sole")).state).toBe(ProcessState.RUNNING);
    expect(await historyOf(clients, "shared")).toEqual([[1, "news"]]);
  });

  it("delete_session_revokes_handles_by_session: what was acknowledged stays so", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const wakes = { eventTypes: [wakeType("news")], wakeRuntimeId: "session-c" };
    await register(clients, external("p", wakes));
    for (const text of ["one", "two"]) {
      const payload = json({ text });
      await processes.appendEvent({ processId: "p", eventType: "news", payload });
    }
    await grant(clients, A, "p");
    await processes.ackWake({ processId: "p", sequence: 1n });
    await processes.deleteSessionProcessState(A);
    const { events } = await processes.listWakeEvents({ processId: "p" });
    expect(events.map((event) => event.sequence)).toEqual([2n]);
  });

  it("sessions that gave their grants away hold nothing that keeps an orphan", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "moved", "revoked");
    await grant(clients, A, "moved", "revoked");
    await grant(clients, B, "revoked");
    await processes.transferHandleGrants({ from: A, to: B, processIds: ["moved"] });
    await processes.revokeHandle({ scope: A, processId: "revoked" });
    const call = { ...B, orphanPolicy: OrphanPolicy.CANCEL };
    const { report } = await processes.deleteSessionProcessState(call);
    expect(report?.cancelledProcessIds).toEqual(["moved", "revoked"]);
  });

  it("a deleted session is granted nothing any more", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await registered(clients, "p");
    expect((await processes.deleteSessionProcessState(A)).report?.revokedHandleCount).toBe(0);
    const granted = await refusalOf(processes.grantHandle({ scope: A, processId: "p" }));
    expect(granted).toMatchObject({ reason: "SESSION_DELETED" });
    const moved = processes.transferHandleGrants({ from: A, to: B, processIds: ["p"] });
    expect(await refusalOf(moved)).toMatchObject({ reason: "SESSION_DELETED" });
    expect(await processes.revokeHandle({ scope: A, processId: "p" })).toMatchObject({
      revoked: false,
    });
    const policy = { ...B, orphanPolicy: OrphanPolicy.UNSPECIFIED };
    const unnamed = await refusalOf(processes.deleteSessionProcessState(policy));
    expect(unnamed).toMatchObject({ reason: "INVALID_FIELD" });
  });

  it("sessions that come and go at once conserve every grant", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const names = Array.from({ length: 12 }, (_, index) => `p-${index}`);
    await registered(clients, ...names);
    await grant(clients, A, ...names);
    const C = { sessionId: "session-c" };
    const moves = names.map((processId, index) => {
      return processes.transferHandleGrants({
        from: A,
        to: index % 2 ? B : C,
        processIds: [processId],
      });
    });
    const outcomes = await Promise.allSettled([...moves, processes.deleteSessionProcessState(C)]);
    expect(outcomes.at(-1)?.status).toBe("fulfilled");
    await expect
      .poll(async () => {
        const owners = await Promise.all(names.map((name) => grantees(clients, name)));
        return owners.filter((found, index) => {
          const isMoved = outcomes[index]?.status === "fulfilled";
          const [owner] = found;
          if (index % 2) return found.length !== 1 || owner !== "session-b/";
          return isMoved ? found.length !== 0 : owner !== "session-a/";
        });
      })
      .toEqual([]);
  });
});
