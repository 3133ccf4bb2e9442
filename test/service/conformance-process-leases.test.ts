// The process registry: who holds a process, what a hold protects, and how workers come by work.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbandonWriter,
  type ProcessLease,
  ProcessDisposition,
  ProcessState,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import {
  engine,
  external,
  failure,
  historyOf,
  plainType,
  readProcess,
  register,
  success,
} from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { refusalFactsOf, wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const processId = "p";
/** The shortest hold: it lapses while a case waits for it. */
const SHORT = { seconds: 1n };
const LAPSE = { timeout: 15_000, interval: 100 };

const workerOf = (ownerId: string, incarnationId = "1") => ({ ownerId, incarnationId });

function held(lease: ProcessLease | undefined): ProcessLease {
  if (lease === undefined) throw new Error("the claim was answered without a lease");
  return lease;
}

async function claim(
  { processes }: CaseClients,
  ownerId: string,
  ttl?: typeof SHORT,
): Promise<ProcessLease> {
  const owner = workerOf(ownerId);
  const { lease } = await processes.claimLease({ processId, owner, ...(ttl && { ttl }) });
  return held(lease);
}

const proofOf = ({ leaseToken, generation }: ProcessLease) => ({ leaseToken, generation });
const byLease = (lease: ProcessLease) => ({ case: "lease", value: proofOf(lease) }) as const;

/** A wish to abandon that is carried out. */
const GIVEN_UP = {
  output: { output: { case: "abandoned", value: { writer: AbandonWriter.RECONCILED_REQUEST } } },
  proof: { case: "authority", value: { authority: { case: "reconciledAbandon", value: {} } } },
} as const;

/** Waits until the server took a hold back that nobody renewed. */
async function untilLapsed(clients: CaseClients): Promise<void> {
  const isHeld = async () => (await readProcess(clients, processId)).lease !== undefined;
  await expect.poll(isHeld, LAPSE).toBe(false);
}

describe("a claim", () => {
  it("active_process_lease_fences_competing_owner, and keeps for the same", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const first = await processes.claimLease({ processId, owner: workerOf("a") });
    expect(first).toMatchObject({ extended: false, lease: { generation: 1n } });
    expect(first.process).toMatchObject({ generation: 1n, lease: { owner: workerOf("a") } });
    const other = await refusalFactsOf(processes.claimLease({ processId, owner: workerOf("b") }));
    expect(other).toMatchObject({
      reason: "LEASE_HELD",
      metadata: { ownerId: "a", incarnationId: "1", generation: "1" },
    });
    expect(Number(other.metadata["remainingMs"])).toBeGreaterThan(0);
    const reborn = processes.claimLease({ processId, owner: workerOf("a", "2") });
    expect(await wireErrorOf(reborn)).toMatchObject({ reason: "LEASE_HELD" });
    const again = await processes.claimLease({ processId, owner: workerOf("a") });
    expect(again.extended).toBe(true);
    expect(proofOf(held(again.lease))).toEqual(proofOf(held(first.lease)));
    const unknown = processes.claimLease({ processId: "nobody", owner: workerOf("a") });
    expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  });

  it("process_lease_reclaim_contract: of many at once one wins, at whichever server", async () => {
    const database = openSharedDatabase();
    try {
      const servers = [await database.serve(), await database.serve()] as const;
      await register(servers[0], engine(processId));
      const claims = Array.from({ length: 12 }, async (_, index) => {
        const { processes } = servers[index % 2 === 0 ? 0 : 1];
        const owner = workerOf(`worker-${index}`);
        const call = processes.claimLease({ processId, owner });
        return await call.then(
          () => "granted",
          async () => (await wireErrorOf(call)).reason,
        );
      });
      const outcomes = await Promise.all(claims);
      const losers = outcomes.filter((outcome) => outcome !== "granted");
      expect(losers).toEqual(Array.from({ length: 11 }, () => "LEASE_HELD"));
    } finally {
      await database.close();
    }
  });

  it("is for what workers run: the rest is refused with its disposition or its end", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external("outside"));
    const owner = workerOf("a");
    const outside = processes.claimLease({ processId: "outside", owner });
    expect(await refusalFactsOf(outside)).toMatchObject({
      reason: "NOT_CLAIMABLE",
      metadata: { disposition: "externally_owned" },
    });
    await register(clients, engine(processId));
    const lease = await claim(clients, "a");
    await processes.completeProcess({ processId, output: success(1), proof: byLease(lease) });
    const late = processes.claimLease({ processId, owner });
    expect(await wireErrorOf(late)).toMatchObject({ reason: "PROCESS_TERMINAL" });
  });

  it("says what is wrong with it, every field at once", async () => {
    const { processes } = clientsOf(deployment.url);
    const bad = await refusalFactsOf(processes.claimLease({ processId: "a#b", ttl: { nanos: 1 } }));
    expect(bad).toMatchObject({
      reason: "INVALID_FIELD",
      fields: ["process_id", "owner.owner_id", "owner.incarnation_id", "ttl"],
    });
    const none = await refusalFactsOf(processes.claimNext({ owner: workerOf("a") }));
    expect(none).toMatchObject({ reason: "INVALID_FIELD", fields: ["kinds"] });
  });
});

describe("a hold", () => {
  it("renewed_process_lease_survives_original_expiry", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const lease = await claim(clients, "a", SHORT);
    const endMs = Date.now() + 2_500;
    const renew = async () => {
      const { remaining } = await processes.renewLease({ processId, lease: proofOf(lease) });
      expect(remaining?.seconds === 1n || (remaining?.nanos ?? 0) > 0).toBe(true);
      return Date.now() > endMs;
    };
    await expect.poll(renew, LAPSE).toBe(true);
    expect((await readProcess(clients, processId)).generation).toBe(1n);
  });

  it("superseded_process_lease_cannot_renew", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const first = await claim(clients, "a", SHORT);
    await untilLapsed(clients);
    const second = await claim(clients, "b");
    expect(second.generation).toBe(2n);
    const stale = await refusalFactsOf(processes.renewLease({ processId, lease: proofOf(first) }));
    expect(stale).toMatchObject({
      reason: "LEASE_LOST",
      metadata: { generation: "1", currentGeneration: "2" },
    });
    const forged = { leaseToken: first.leaseToken, generation: 2n };
    const mixed = processes.renewLease({ processId, lease: forged });
    expect(await wireErrorOf(mixed)).toMatchObject({ reason: "LEASE_LOST" });
    const renewed = await processes.renewLease({ processId, lease: proofOf(second) });
    expect(renewed.cancelRequest).toBeUndefined();
  });

  it("completed_lease_releases_and_reclaim_bumps_fencing", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const first = await claim(clients, "a");
    const release = () => processes.releaseLease({ processId, lease: proofOf(first) });
    expect((await release()).released).toBe(true);
    expect((await release()).released).toBe(false);
    expect((await claim(clients, "a")).generation).toBe(2n);
  });

  it("stale_lease_completion_cannot_release_live_lease", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const first = await claim(clients, "a");
    await processes.releaseLease({ processId, lease: proofOf(first) });
    const second = await claim(clients, "b");
    const stale = await processes.releaseLease({ processId, lease: proofOf(first) });
    expect(stale.released).toBe(false);
    const { lease } = await readProcess(clients, processId);
    expect(lease).toMatchObject({ owner: workerOf("b"), generation: second.generation });
  });

  it("tells its holder with every renewal that somebody wishes to cancel", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const lease = proofOf(await claim(clients, "a"));
    await processes.cancelProcess({ processId, reason: "enough" });
    const renewed = await processes.renewLease({ processId, lease });
    expect(renewed.cancelRequest).toMatchObject({ reason: "enough", sequence: 1n });
  });
});

describe("what a hold protects", () => {
  it("stale_process_lease_cannot_complete_or_disturb_current_owner", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId, { eventTypes: [plainType("step")] }));
    const stale = await claim(clients, "a", SHORT);
    await untilLapsed(clients);
    const lease = await claim(clients, "b");
    const before = await readProcess(clients, processId);
    const writes = [
      processes.completeProcess({ processId, output: success(1), proof: byLease(stale) }),
      processes.appendEvent({ processId, eventType: "step", lease: proofOf(stale) }),
      processes.setProcessWait({ processId, lease: proofOf(stale) }),
    ];
    for (const write of writes) {
      expect(await wireErrorOf(write)).toMatchObject({ reason: "LEASE_LOST" });
    }
    expect(await readProcess(clients, processId)).toEqual(before);
    const event = await processes.appendEvent({
      processId,
      eventType: "step",
      lease: proofOf(lease),
    });
    expect(event.event?.sequence).toBe(1n);
  });

  it("expired_process_lease_cannot_complete", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const lease = await claim(clients, "a", SHORT);
    await untilLapsed(clients);
    const late = processes.completeProcess({
      processId,
      output: success(1),
      proof: byLease(lease),
    });
    expect(await wireErrorOf(late)).toMatchObject({ reason: "LEASE_LOST" });
    const { state } = await readProcess(clients, processId);
    expect(state).toBe(ProcessState.RUNNING);
    expect(await historyOf(clients, processId)).toEqual([]);
  });

  it("leased_terminal_completion_replay_returns_existing_record", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId));
    const proof = byLease(await claim(clients, "a"));
    const first = await processes.completeProcess({ processId, output: success(1), proof });
    const again = await processes.completeProcess({ processId, output: success(1), proof });
    expect([first.replayed, again.replayed]).toEqual([false, true]);
    expect(again.process).toEqual(first.process);
    const other = processes.completeProcess({ processId, output: failure("x"), proof });
    expect(await wireErrorOf(other)).toMatchObject({ reason: "PROCESS_TERMINAL" });
    expect(await historyOf(clients, processId)).toEqual([[1, "process.completed"]]);
  });

  it("disposition_first_started_and_abandon_request_persist", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const disposition = ProcessDisposition.OWNER_BOUND;
    await register(clients, engine(processId, { disposition }));
    const lease = await claim(clients, "a");
    await processes.requestAbandon({ processId, requestedBy: "operator", reason: "lost" });
    await processes.requestAbandon({ processId, requestedBy: "somebody else" });
    expect(await readProcess(clients, processId)).toMatchObject({
      state: ProcessState.RUNNING,
      firstStart: { owner: workerOf("a") },
      lease: { owner: workerOf("a"), generation: lease.generation },
      abandonRequest: { requestedBy: "operator", reason: "lost" },
    });
    await processes.releaseLease({ processId, lease: proofOf(lease) });
    const { state, end, firstStart } = await readProcess(clients, processId);
    expect([state, firstStart?.owner?.ownerId]).toEqual([ProcessState.ABANDONED, "a"]);
    expect(end?.output?.output).toMatchObject({
      case: "abandoned",
      value: { writer: AbandonWriter.RECONCILED_REQUEST, owner: workerOf("a") },
    });
    const unknown = processes.requestAbandon({ processId: "nobody", requestedBy: "x" });
    expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  });

  it("what is owner-bound and lost its worker is nobody's, and never ends by time", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const disposition = ProcessDisposition.OWNER_BOUND;
    await register(clients, engine(processId, { disposition }));
    await claim(clients, "a", SHORT);
    await untilLapsed(clients);
    const other = processes.claimLease({ processId, owner: workerOf("b") });
    expect(await wireErrorOf(other)).toMatchObject({ reason: "NOT_CLAIMABLE" });
    expect((await readProcess(clients, processId)).state).toBe(ProcessState.RUNNING);
  });
});

describe("what no worker carries on", () => {
  it("what has no attempts left is nobody's, and ends only when somebody says so", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, engine(processId, { attemptsMax: 2 }));
    for (const ownerId of ["a", "b"]) {
      const lease = proofOf(await claim(clients, ownerId));
      await processes.releaseLease({ processId, lease });
    }
    const owner = workerOf("c");
    expect(await refusalFactsOf(processes.claimLease({ processId, owner }))).toMatchObject({
      reason: "NOT_CLAIMABLE",
      metadata: { disposition: "rerunnable", attempts: "2" },
    });
    expect((await processes.claimNext({ kinds: ["indexer"], owner })).lease).toBeUndefined();
    const { processes: listed } = await processes.listNonTerminal({});
    expect(listed).toMatchObject([{ processId, state: ProcessState.RUNNING, claimable: false }]);
    await processes.requestAbandon({ processId, requestedBy: "operator" });
    expect((await readProcess(clients, processId)).state).toBe(ProcessState.RUNNING);
    const { process } = await processes.completeProcess({ processId, ...GIVEN_UP });
    expect(process?.state).toBe(ProcessState.ABANDONED);
  });

  it("a wish to abandon what is owned outside waits until somebody carries it out", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    await register(clients, external(processId));
    await processes.requestAbandon({ processId, requestedBy: "operator", reason: "lost" });
    expect(await readProcess(clients, processId)).toMatchObject({
      state: ProcessState.RUNNING,
      claimable: false,
      abandonRequest: { requestedBy: "operator", reason: "lost" },
    });
    const { process, event } = await processes.completeProcess({ processId, ...GIVEN_UP });
    expect(process?.state).toBe(ProcessState.ABANDONED);
    expect(event?.authority?.authority.case).toBe("reconciledAbandon");
  });
});

describe("the next work", () => {
  it("goes oldest first, each process once, to workers of its kind", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    for (const [index, kind] of ["mail", "index", "mail"].entries()) {
      await register(clients, engine(`p${index}`, { identity: { kind } }));
    }
    const next = async (...kinds: string[]) => {
      const { process } = await processes.claimNext({ kinds, owner: workerOf("a") });
      return process?.processId;
    };
    expect(await next("mail")).toBe("p0");
    expect(await next("mail", "index")).toBe("p1");
    expect(await next("mail", "index")).toBe("p2");
    expect(await next("mail", "index")).toBeUndefined();
  });

  it("comes to who waits for it, and with it everything that is needed to begin", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const owner = workerOf("a");
    const timeout = { seconds: 20n };
    const waiting = processes.claimNext({ kinds: ["indexer"], owner, timeout });
    await register(clients, engine(processId));
    const { lease, process } = await waiting;
    expect(process?.input?.kind).toMatchObject({ case: "engine", value: { kind: "indexer" } });
    const proof = byLease(held(lease));
    await processes.completeProcess({ processId, output: success(1), proof });
    expect((await readProcess(clients, processId)).state).toBe(ProcessState.COMPLETED);
  });
});
