// The process registry: lists, sweeps and the end of retention.
import { timestampFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ProcessDisposition, ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import {
  engine,
  external,
  ownerWord,
  plainType,
  readProcess,
  register,
  json,
  success,
  wakeType,
} from "./support/processes.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

async function end({ processes }: CaseClients, processId: string): Promise<void> {
  await processes.completeProcess({ processId, output: success(null), proof: ownerWord() });
}

/** The cursor with which a watch begins. */
async function presentCursor({ processes }: CaseClients): Promise<string> {
  const giveUp = new AbortController();
  const watch = processes.watchProcesses({}, { signal: giveUp.signal });
  const first = await watch[Symbol.asyncIterator]().next();
  giveUp.abort();
  const message = first.done === true ? undefined : first.value.message;
  if (message?.case !== "bookmark") throw new Error("the watch began without a bookmark");
  return message.value.cursor;
}

const idsOf = ({ processes }: { readonly processes: readonly { readonly processId: string }[] }) =>
  processes.map(({ processId }) => processId);

it("list_processes_filters: state, kind, label, disposition, originator, claimable", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await register(clients, engine("a", { labels: { team: "x" } }));
  await register(clients, engine("b", { identity: { kind: "build" } }));
  await register(clients, external("c", { labels: { team: "x" } }));
  await register(clients, external("d"));
  await end(clients, "d");
  const list = async (filter: Parameters<typeof processes.listProcesses>[0]["filter"] & object) =>
    idsOf(await processes.listProcesses({ filter }));
  const { RUNNING, COMPLETED } = ProcessState;
  expect(await list({})).toEqual(["a", "b", "c"]);
  expect(await list({ states: [COMPLETED] })).toEqual(["d"]);
  expect(await list({ states: [RUNNING, COMPLETED] })).toEqual(["a", "b", "c", "d"]);
  expect(await list({ labels: { team: "x" } })).toEqual(["a", "c"]);
  expect(await list({ kind: "build" })).toEqual(["b"]);
  expect(await list({ dispositions: [ProcessDisposition.EXTERNALLY_OWNED] })).toEqual(["c"]);
  expect(await list({ originatorSessionId: "session-1" })).toEqual(["a", "b"]);
  expect(await list({ claimable: true })).toEqual(["a", "b"]);
  expect(await list({ claimable: false })).toEqual(["c"]);
});

it("live_reference_summary: counts only non-terminal, by who wanted them", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const ofSession = { originator: { case: "session", value: { sessionId: "s" } } } as const;
  for (const id of ["a", "b"]) await register(clients, external(id, { provenance: ofSession }));
  await register(clients, external("c"));
  const live = async () =>
    idsOf(await processes.listProcesses({ filter: { originatorSessionId: "s" } }));
  expect(await live()).toEqual(["a", "b"]);
  await end(clients, "a");
  expect(await live()).toEqual(["b"]);
  await end(clients, "b");
  expect(await live()).toEqual([]);
});

it("a page of a list looks at no more processes than it has room for", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  for (const id of ["b", "c", "d"]) await register(clients, engine(id));
  for (const id of ["a", "e"]) await register(clients, external(id));
  const filter = { dispositions: [ProcessDisposition.EXTERNALLY_OWNED] };
  const pages: (readonly string[])[] = [];
  let pageToken = "";
  do {
    const page = await processes.listProcesses({ filter, pageSize: 2, pageToken });
    pages.push(idsOf(page));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(pages).toEqual([["a"], [], ["e"]]);
});

it("a list shows each process as a read does, without input, event types and output", async () => {
  const clients = clientsOf(deployment.url);
  await register(clients, external("p", { eventTypes: [plainType("a")], labels: { l: "v" } }));
  await clients.processes.appendEvent({ processId: "p", eventType: "a" });
  await clients.processes.cancelProcess({ processId: "p", reason: "why" });
  const { processes, asOf } = await clients.processes.listProcesses({});
  const { input, eventTypes, eventCounts, ...rest } = await readProcess(clients, "p");
  expect([input !== undefined, eventTypes.length, eventCounts["a"]]).toEqual([true, 6, 1n]);
  expect(processes).toMatchObject([rest]);
  expect(processes[0]).toMatchObject({ eventTypes: [], eventCounts: {} });
  expect(asOf).toBeDefined();
});

it("list_non_terminal_excludes_terminal: by name, under the bound of the first page", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  for (const id of ["e", "c", "a", "d"]) await register(clients, external(id));
  await end(clients, "c");
  const first = await processes.listNonTerminal({ pageSize: 2 });
  expect(idsOf(first)).toEqual(["a", "d"]);
  await register(clients, external("b"));
  await register(clients, external("z"));
  const second = await processes.listNonTerminal({ pageSize: 2, pageToken: first.nextPageToken });
  expect(idsOf(second)).toEqual(["e"]);
  expect(second.nextPageToken).toBe("");
  const sweep = await processes.listNonTerminal({});
  expect(idsOf(sweep)).toEqual(["a", "b", "d", "e", "z"]);
  const empty = await clientsOf(deployment.url).processes.listNonTerminal({});
  expect(idsOf(empty)).toEqual([]);
  const pageToken = first.nextPageToken;
  const foreign = clientsOf(deployment.url).processes.listNonTerminal({ pageToken });
  expect(await wireErrorOf(foreign)).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
});

it("prune_by_cutoff_and_filter: what is live stays, what is gone is not unknown", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const eventTypes = [plainType("step")];
  await register(clients, external("live"));
  await register(clients, external("a", { labels: { keep: "no" }, eventTypes }));
  await register(clients, external("b", { labels: { keep: "yes" } }));
  await processes.appendEvent({ processId: "a", eventType: "step" });
  for (const id of ["a", "b"]) await end(clients, id);
  const updatedBefore = timestampFromMs(Date.now() + 60_000);
  const tooEarly = await processes.pruneProcesses({ updatedBefore: timestampFromMs(1) });
  expect(tooEarly.prunedProcessIds).toEqual([]);
  const terms = { updatedBefore, labels: { keep: "no" } };
  const planned = await processes.pruneProcesses({ ...terms, validateOnly: true });
  expect(planned).toMatchObject({ prunedProcessIds: ["a"], prunedEventCount: 2n });
  const done = await processes.pruneProcesses(terms);
  expect(done).toMatchObject({ prunedProcessIds: ["a"], prunedEventCount: 2n, nextPageToken: "" });
  const again = await processes.pruneProcesses(terms);
  expect(again).toMatchObject({ prunedProcessIds: [], prunedEventCount: 0n });
  for (const call of [
    processes.getProcess({ processId: "a" }),
    processes.listEvents({ processId: "a" }),
    processes.awaitProcess({ processId: "a" }),
    processes.cancelProcess({ processId: "a" }),
    processes.registerProcess({ registration: external("a") }),
  ]) {
    expect(await wireErrorOf(call)).toMatchObject({ reason: "NO_LONGER_RETAINED" });
  }
  const unknown = processes.getProcess({ processId: "nobody" });
  expect(await wireErrorOf(unknown)).toMatchObject({ reason: "PROCESS_NOT_FOUND" });
  const { FAILED, COMPLETED } = ProcessState;
  const failed = await processes.pruneProcesses({ updatedBefore, states: [FAILED] });
  expect(failed.prunedProcessIds).toEqual([]);
  const rest = await processes.pruneProcesses({ updatedBefore, states: [COMPLETED] });
  expect(rest.prunedProcessIds).toEqual(["b"]);
  expect(idsOf(await processes.listProcesses({}))).toEqual(["live"]);
});

it("prune_by_watermark: goes no further than whoever watches has seen", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const cursor = await presentCursor(clients);
  await register(clients, external("late"));
  await end(clients, "late");
  const updatedBefore = timestampFromMs(Date.now() + 60_000);
  const held = await processes.pruneProcesses({ updatedBefore, watchedCursor: cursor });
  expect(held.prunedProcessIds).toEqual([]);
  const free = await processes.pruneProcesses({ updatedBefore });
  expect(free.prunedProcessIds).toEqual(["late"]);
  const broken = processes.pruneProcesses({ updatedBefore: timestampNow(), watchedCursor: "x" });
  expect(await wireErrorOf(broken)).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
});

it("prune_takes_lease_acks_and_events_along", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  const lease = async (processId: string) => {
    const owner = { ownerId: "worker", incarnationId: "1" };
    const { lease: held } = await processes.claimLease({ processId, owner });
    if (held === undefined) throw new Error("the claim was answered without a lease");
    return { leaseToken: held.leaseToken, generation: held.generation };
  };
  const eventTypes = [wakeType("news")];
  await register(clients, engine("p", { eventTypes }));
  const proof = await lease("p");
  const append = { processId: "p", eventType: "news", payload: json({ text: "x" }) };
  await processes.appendEvent({ ...append, replayKey: "key", lease: proof });
  await processes.ackWake({ processId: "p", sequence: 1n });
  await processes.completeProcess({
    processId: "p",
    output: success(null),
    proof: { case: "lease", value: proof },
  });
  const updatedBefore = timestampFromMs(Date.now() + 60_000);
  const done = await processes.pruneProcesses({ updatedBefore });
  expect(done).toMatchObject({ prunedProcessIds: ["p"], prunedEventCount: 2n });
  for (const call of [
    () => processes.renewLease({ processId: "p", lease: proof }),
    () => processes.releaseLease({ processId: "p", lease: proof }),
    () => lease("p"),
    () => processes.listWakeEvents({ processId: "p" }),
    () => processes.ackWake({ processId: "p", sequence: 1n }),
    () => processes.appendEvent({ ...append, replayKey: "key" }),
    () => processes.waitEvent({ processId: "p", eventType: "news" }),
    () => processes.listProcessGrants({ processId: "p" }),
  ]) {
    expect(await wireErrorOf(call())).toMatchObject({ reason: "NO_LONGER_RETAINED" });
  }
});

it("a list at one replica shows what the other acknowledged before its time", async () => {
  const database = openSharedDatabase();
  try {
    const [one, two] = [await database.serve(), await database.serve()];
    const { process } = await one.processes.registerProcess({ registration: external("p") });
    const registeredAt = process?.createdAt?.seconds ?? 0n;
    for (;;) {
      const { processes, asOf } = await two.processes.listProcesses({});
      if (idsOf({ processes }).includes("p")) break;
      expect((asOf?.seconds ?? 0n) <= registeredAt).toBe(true);
    }
  } finally {
    await database.close();
  }
});

it("a page out of a long history costs the page", async () => {
  const clients = clientsOf(deployment.url);
  const { processes } = clients;
  await register(clients, external("p", { eventTypes: [plainType("a"), plainType("b")] }));
  const appends = Array.from({ length: 3_000 }, (_, index) => ({
    processId: "p",
    eventType: index % 100 === 0 ? "b" : "a",
    replayKey: `key-${index}`,
  }));
  await Promise.all(appends.map((request) => processes.appendEvent(request)));
  const middle = await processes.listEvents({
    processId: "p",
    afterSequence: 1_500n,
    pageSize: 10,
  });
  expect(middle.events.map((event) => Number(event.sequence))).toEqual(
    Array.from({ length: 10 }, (_, index) => 1_501 + index),
  );
  expect(middle).toMatchObject({ nextAfterSequence: 1_510n, isEnd: false, lastSequence: 3_000n });
  const rare = await processes.listEvents({ processId: "p", eventTypes: ["b"], pageSize: 1000 });
  expect(rare.events).toHaveLength(30);
  expect(rare.isEnd).toBe(true);
  const rareSequences = rare.events.map(({ sequence }) => sequence);
  for (const [index, afterSequence] of rareSequences.entries()) {
    const { event } = await processes.waitEvent({
      processId: "p",
      eventType: "b",
      afterSequence,
      timeout: {},
    });
    expect(event?.sequence).toBe(rareSequences[index + 1]);
  }
  const first = appends[0];
  if (first === undefined) throw new Error("nothing was appended");
  expect(await processes.appendEvent(first)).toMatchObject({ replayed: true });
});
