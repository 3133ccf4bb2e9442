// The process registry: the recovery sweep by disposition. What no worker will ever be given is
// abandoned when somebody wished it, of everything else it is told who goes on with it.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbandonWriter,
  ProcessDisposition,
  ProcessState,
  RecoveryOutcome,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { engine, external, historyOf, readProcess, register } from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const { OWNER_BOUND, EXTERNALLY_OWNED, RERUNNABLE } = ProcessDisposition;
const { HELD, CLAIMABLE, WAITING, ABANDONED, OWNER_LOST, EXHAUSTED, OUTSIDE } = RecoveryOutcome;
const owner = { ownerId: "worker", incarnationId: "life-1" };

type Terms = Parameters<CaseClients["processes"]["recoverProcesses"]>[0];

/** What a sweep says, by process. */
async function swept({ processes }: CaseClients, terms: Terms = {}) {
  const { processes: found } = await processes.recoverProcesses(terms);
  return Object.fromEntries(found.map(({ processId, outcome }) => [processId, outcome]));
}

async function claimed({ processes }: CaseClients, processId: string) {
  const { lease } = await processes.claimLease({ processId, owner });
  if (lease === undefined) throw new Error("claimed without a lease");
  return { leaseToken: lease.leaseToken, generation: lease.generation };
}

/** A process that a worker had and gave back. */
async function tried(
  clients: CaseClients,
  registration: Parameters<typeof register>[1],
): Promise<void> {
  const { processId } = await register(clients, registration);
  const lease = await claimed(clients, processId);
  await clients.processes.releaseLease({ processId, lease });
}

async function wish({ processes }: CaseClients, ...ids: readonly string[]): Promise<void> {
  for (const processId of ids) await processes.requestAbandon({ processId, requestedBy: "host" });
}

describe("recovery_sweep_by_disposition", () => {
  it("tells who goes on with each live process, and ends none by itself", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, engine("rerunnable"));
    await tried(clients, engine("rerunnable-again"));
    await register(clients, engine("rerunnable-held"));
    await claimed(clients, "rerunnable-held");
    await tried(clients, engine("rerunnable-exhausted", { attemptsMax: 1 }));
    await register(clients, engine("rerunnable-waiting"));
    const wait = { signalName: "go", eventType: "signal.go", ordinal: 1n };
    await clients.processes.setProcessWait({ processId: "rerunnable-waiting", wait });
    await register(clients, engine("owner-bound-new", { disposition: OWNER_BOUND }));
    await tried(clients, engine("owner-bound-lost", { disposition: OWNER_BOUND }));
    await register(clients, external("outside"));
    const expected = {
      rerunnable: CLAIMABLE,
      "rerunnable-again": CLAIMABLE,
      "rerunnable-held": HELD,
      "rerunnable-exhausted": EXHAUSTED,
      "rerunnable-waiting": WAITING,
      "owner-bound-new": CLAIMABLE,
      "owner-bound-lost": OWNER_LOST,
      outside: OUTSIDE,
    };
    expect(await swept(clients)).toEqual(expected);
    expect(await swept(clients)).toEqual(expected);
  });

  it("carries out a wish to abandon what no worker will ever be given, and no other", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, external("outside"));
    await tried(clients, engine("exhausted", { attemptsMax: 1 }));
    await register(clients, engine("rerunnable"));
    await register(clients, engine("held", { disposition: OWNER_BOUND }));
    await claimed(clients, "held");
    await wish(clients, "outside", "exhausted", "rerunnable", "held");
    const all = ["exhausted", "held", "outside", "rerunnable"];
    const states = async () => {
      const found = all.map(async (id) => (await readProcess(clients, id)).state);
      return await Promise.all(found);
    };
    const { RUNNING } = ProcessState;
    expect(await states()).toEqual([RUNNING, RUNNING, RUNNING, RUNNING]);
    const outcomes = { outside: ABANDONED, exhausted: ABANDONED };
    const others = { rerunnable: CLAIMABLE, held: HELD };
    expect(await swept(clients, { validateOnly: true })).toEqual({ ...outcomes, ...others });
    expect(await states()).toEqual([RUNNING, RUNNING, RUNNING, RUNNING]);
    expect(await swept(clients)).toEqual({ ...outcomes, ...others });
    const { ABANDONED: GONE } = ProcessState;
    expect(await states()).toEqual([GONE, RUNNING, GONE, RUNNING]);
    expect(await swept(clients)).toEqual(others);
    const { end, lastSequence } = await readProcess(clients, "exhausted");
    expect(lastSequence).toBe(1n);
    expect(end?.output?.output).toMatchObject({
      case: "abandoned",
      value: { writer: AbandonWriter.RECONCILED_REQUEST, owner },
    });
    const outside = (await readProcess(clients, "outside")).end?.output?.output;
    const writer = AbandonWriter.RECONCILED_REQUEST;
    expect(outside).toMatchObject({ case: "abandoned", value: { writer } });
  });

  it("goes by kind and label, in pages under the bound of the first one", async () => {
    const clients = clientsOf(deployment.url);
    const labels = { team: "x" };
    for (const id of ["b", "d", "f"]) await register(clients, external(id, { labels }));
    await register(clients, external("e"));
    await register(clients, engine("g", { labels }));
    const terms = { kind: "external", labels, pageSize: 2 };
    const first = await clients.processes.recoverProcesses(terms);
    expect(first.processes).toMatchObject([
      { processId: "b", disposition: EXTERNALLY_OWNED },
      { processId: "d", outcome: OUTSIDE },
    ]);
    for (const id of ["a", "h"]) await register(clients, external(id, { labels }));
    const { nextPageToken: pageToken } = first;
    const second = await clients.processes.recoverProcesses({ ...terms, pageToken });
    expect(second.processes.map(({ processId }) => processId)).toEqual(["f"]);
    expect(second.nextPageToken).toBe("");
    const engines = await clients.processes.recoverProcesses({ kind: "indexer" });
    expect(engines.processes).toMatchObject([{ processId: "g", disposition: RERUNNABLE }]);
  });

  it("ends a process once, however many sweep at whichever server", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      const ids = Array.from({ length: 20 }, (_, index) => `p-${index}`);
      for (const id of ids) await register(one, external(id));
      await wish(one, ...ids);
      const sweeps = await Promise.all([one, two, one, two].map((clients) => swept(clients)));
      const outcomes = sweeps.flatMap((sweep) => Object.values(sweep));
      expect(new Set(outcomes)).toEqual(new Set([ABANDONED]));
      for (const id of ids) {
        expect((await readProcess(two, id)).state).toBe(ProcessState.ABANDONED);
        expect(await historyOf(two, id)).toEqual([[1, "process.abandoned"]]);
      }
    } finally {
      await database.close();
    }
  });
});
