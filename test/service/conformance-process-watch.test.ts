// The process registry: watching one process and all of a namespace, live and from a position on.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  ProcessWatchEndReason,
  type WatchEventsResponse,
  type WatchProcessesResponse,
} from "../../gen/keelson/process/v1/service_pb.ts";
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
  success,
} from "./support/processes.ts";
import { readStream } from "./support/read-stream.ts";
import { openSharedDatabase } from "./support/shared-database.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const processId = "p";

type EventMessage = WatchEventsResponse["message"];
type ChangeMessage = WatchProcessesResponse["message"];

function watchEvents(
  { processes }: CaseClients,
  terms: { readonly afterSequence?: bigint; readonly eventTypes?: string[] } = {},
) {
  return readStream<EventMessage>((signal) =>
    processes.watchEvents({ processId, ...terms }, { signal }),
  );
}

function watchProcesses(
  { processes }: CaseClients,
  terms: Parameters<typeof processes.watchProcesses>[0] = {},
) {
  return readStream<ChangeMessage>((signal) => processes.watchProcesses(terms, { signal }));
}

async function append({ processes }: CaseClients, ...eventTypes: readonly string[]): Promise<void> {
  for (const eventType of eventTypes) await processes.appendEvent({ processId, eventType });
}

const types = [plainType("a"), plainType("b")];

function sequencesOf(messages: readonly EventMessage[]): readonly number[] {
  return messages.flatMap((message) =>
    message.case === "event" ? [Number(message.value.sequence)] : [],
  );
}

const isSequence = (sequence: number) => (message: EventMessage) =>
  message.case === "event" && message.value.sequence === BigInt(sequence);

describe("a watch of one process", () => {
  it("goes on live where the history ends, without gap and without repetition", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, external(processId, { eventTypes: types }));
    await append(clients, "a", "b", "a");
    const watch = watchEvents(clients, { afterSequence: 1n });
    expect(await watch.next()).toMatchObject({ case: "bookmark", value: { sequence: 1n } });
    await append(clients, "b", "a");
    expect(sequencesOf(await watch.until(isSequence(5)))).toEqual([2, 3, 4, 5]);
    watch.giveUp();
  });

  it("begins with the present, sends what is asked for, and tells how far it is", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, external(processId, { eventTypes: types }));
    await append(clients, "a");
    const watch = watchEvents(clients, { eventTypes: ["b"] });
    expect(await watch.next()).toMatchObject({ case: "bookmark", value: { sequence: 1n } });
    await append(clients, "a", "b");
    expect(sequencesOf(await watch.until(isSequence(3)))).toEqual([3]);
    watch.giveUp();
  });

  it("hears at one replica what is appended at another", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      await register(one, external(processId, { eventTypes: types }));
      const watch = watchEvents(two);
      await watch.next();
      await append(one, "a", "b", "a");
      expect(sequencesOf(await watch.until(isSequence(3)))).toEqual([1, 2, 3]);
      const ending = watch.until((message) => message.case === "end");
      await database.restart();
      const reason = ProcessWatchEndReason.SERVER_DRAINING;
      const value = { reason, resumeAfterSequence: 3n };
      expect((await ending).at(-1)).toMatchObject({ case: "end", value });
    } finally {
      await database.close();
    }
  });

  it("watched_decorator_preserves_registry_semantics", async () => {
    const clients = clientsOf(deployment.url);
    const { processes } = clients;
    const answersOf = async (id: string): Promise<readonly unknown[]> => {
      const request = { processId: id, eventType: "a", replayKey: "k" };
      await register(clients, external(id, { eventTypes: types }));
      const undeclared = processes.appendEvent({ processId: id, eventType: "other" });
      const refusal = await wireErrorOf(undeclared);
      const first = await processes.appendEvent(request);
      const again = await processes.appendEvent(request);
      await end(clients, id);
      const late = await wireErrorOf(processes.requestAbandon({ processId: id, requestedBy: "x" }));
      const { state, revision } = await readProcess(clients, id);
      const replayed = [first.replayed, again.replayed];
      return [refusal.reason, replayed, late.reason, state, revision];
    };
    await register(clients, external(processId, { eventTypes: types }));
    const feed = watchProcesses(clients);
    await feed.next();
    const watch = watchEvents(clients);
    await watch.next();
    const waiting = processes.awaitProcess({ processId });
    const watched = await answersOf(processId);
    expect(await answersOf("unwatched")).toEqual(watched);
    expect((await waiting).outcome.case).toBe("ended");
    expect(sequencesOf(await watch.until(isSequence(2)))).toEqual([1, 2]);
    watch.giveUp();
    feed.giveUp();
  });

  it("is refused for what nobody knows", async () => {
    const watch = watchEvents(clientsOf(deployment.url));
    expect(await wireErrorOf(watch.next())).toMatchObject({
      code: Code.NotFound,
      reason: "PROCESS_NOT_FOUND",
    });
  });
});

/** The name, revision and state of the process that a message tells of. */
function changeOf(message: ChangeMessage): readonly [string, number, ProcessState] | undefined {
  const process = message.case === "change" ? message.value.process : undefined;
  return process && [process.processId, Number(process.revision), process.state];
}

const tells = (id: string, state: ProcessState) => (message: ChangeMessage) =>
  changeOf(message)?.[0] === id && changeOf(message)?.[2] === state;

async function end({ processes }: CaseClients, id: string): Promise<void> {
  await processes.completeProcess({
    processId: id,
    output: success(null),
    proof: ownerWord(),
  });
}

async function firstCursor(watch: ReturnType<typeof watchProcesses>): Promise<string> {
  const first = await watch.next();
  if (first.case !== "bookmark") throw new Error("the watch began without a bookmark");
  return first.value.cursor;
}

const { RUNNING, COMPLETED } = ProcessState;

describe("process_change_feed_orders_resumes", () => {
  it("tells of every change in order per process, ends included, from a cursor on", async () => {
    const clients = clientsOf(deployment.url);
    const watch = watchProcesses(clients);
    const cursor = await firstCursor(watch);
    await register(clients, external("a", { eventTypes: types }));
    await register(clients, external("b"));
    await end(clients, "b");
    await end(clients, "a");
    const over = new Set<string>();
    const live = await watch.until((message) => {
      const [id, , state] = changeOf(message) ?? [];
      if (id !== undefined && state === COMPLETED) over.add(id);
      return over.size === 2;
    });
    watch.giveUp();
    for (const id of ["a", "b"]) {
      const revisions = live.map(changeOf).flatMap((told) => (told?.[0] === id ? [told[1]] : []));
      expect(revisions).toEqual(revisions.toSorted((left, right) => left - right));
      expect(revisions.at(-1)).toBe(2);
    }
    const again = watchProcesses(clients, { afterCursor: cursor });
    const told = new Set<string>();
    await again.until((message) => {
      const [id] = changeOf(message) ?? [];
      if (id !== undefined) told.add(id);
      return told.size === 2;
    });
    again.giveUp();
  });

  it("sends what is there first when asked to, by kind and label", async () => {
    const clients = clientsOf(deployment.url);
    await register(clients, engine("e", { labels: { team: "x" } }));
    await register(clients, engine("f"));
    await register(clients, external("g", { labels: { team: "x" } }));
    const terms = { includeInitial: true, kind: "indexer", labels: { team: "x" } };
    const watch = watchProcesses(clients, terms);
    const seen = await watch.until((message) => message.case === "bookmark");
    watch.giveUp();
    expect(seen.flatMap((message) => changeOf(message)?.[0] ?? [])).toEqual(["e"]);
    expect(seen[0]).toMatchObject({ case: "change", value: { initial: true } });
  });

  it("never_misses_concurrent_terminal_writers at two replicas, also when it resumes", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      const ids = Array.from({ length: 40 }, (_, index) => `p-${index}`);
      const first = watchProcesses(two);
      let cursor = await firstCursor(first);
      const writers = ids.map(async (id, index) => {
        const clients = index % 2 === 0 ? one : two;
        await register(clients, external(id));
        await end(clients, id);
      });
      const ended = new Set<string>();
      const note = (message: ChangeMessage): boolean => {
        const [id, , state] = changeOf(message) ?? [];
        if (id !== undefined && state === COMPLETED) ended.add(id);
        if (message.case === "bookmark") ({ cursor } = message.value);
        return ended.size >= 10;
      };
      await first.until(note);
      first.giveUp();
      await Promise.all(writers);
      const second = watchProcesses(one, { afterCursor: cursor });
      await second.until((message) => {
        note(message);
        return ended.size === ids.length;
      });
      second.giveUp();
      expect([...ended].toSorted()).toEqual(ids.toSorted());
    } finally {
      await database.close();
    }
  });

  it("a commit that lands late is told although younger ones were told before", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      const watch = watchProcesses(two);
      const cursor = await firstCursor(watch);
      await register(two, external("young"));
      await watch.until(tells("young", RUNNING));
      watch.giveUp();
      const held = database.hold();
      const late = register(one, external("late"));
      await held;
      const resumed = watchProcesses(two, { afterCursor: cursor });
      const seen = resumed.until(tells("late", RUNNING));
      database.release();
      await late;
      expect((await seen).length).toBeGreaterThan(0);
      resumed.giveUp();
    } finally {
      await database.close();
    }
  });

  it("whoever joins is told what others heard while a server holds up the cursor", async () => {
    const database = openSharedDatabase();
    try {
      const [one, two] = [await database.serve(), await database.serve()];
      const watch = watchProcesses(two);
      const cursor = await firstCursor(watch);
      one.cutOff();
      const held = database.hold();
      const stuck = register(one, external("stuck")).catch(() => undefined);
      await held;
      database.release();
      await register(two, external("told"));
      await watch.until(tells("told", RUNNING));
      const joining = watchProcesses(two, { afterCursor: cursor });
      const seen = await joining.until((message) => message.case === "bookmark");
      expect(seen.flatMap((message) => changeOf(message)?.[0] ?? [])).toContain("told");
      joining.giveUp();
      watch.giveUp();
      await database.restart();
      await stuck;
    } finally {
      await database.close();
    }
  });

  it("that falls too far behind is cut, and resumes without a gap", async () => {
    const database = openSharedDatabase();
    try {
      const server = await database.serve({ KEELSON_WATCH_BUFFER_EVENTS_MAX: "10" });
      const watch = watchProcesses(server);
      await firstCursor(watch);
      const names = Array.from({ length: 300 }, (_, index) => `p-${index}`);
      await Promise.all(names.map((name) => register(server, external(name))));
      const told = new Set<string>();
      const noteEnd = (message: ChangeMessage): boolean => {
        const [name] = changeOf(message) ?? [];
        if (name !== undefined) told.add(name);
        return message.case === "end" || names.every((one) => told.has(one));
      };
      let last = (await watch.until((message) => message.case === "end")).at(-1);
      const reason = ProcessWatchEndReason.SLOW_READER;
      expect(last).toMatchObject({ case: "end", value: { reason } });
      expect(await wireErrorOf(watch.next())).toMatchObject({ reason: "WATCH_OVERFLOW" });
      // What happened lately is told at once, and may be too much again.
      while (last?.case === "end") {
        const afterCursor = last.value.resumeAfterCursor;
        const resumed = watchProcesses(server, { afterCursor });
        last = (await resumed.until(noteEnd)).at(-1);
        resumed.giveUp();
      }
      expect(told.size).toBe(names.length);
    } finally {
      await database.close();
    }
  });

  it("ends with the cursor to resume after, and refuses a cursor that it never made", async () => {
    const database = openSharedDatabase();
    try {
      const server = await database.serve();
      const watch = watchProcesses(server);
      const cursor = await firstCursor(watch);
      const ending = watch.until((message) => message.case === "end");
      const restarted = await database.restart();
      const last = (await ending).at(-1);
      const reason = ProcessWatchEndReason.SERVER_DRAINING;
      expect(last).toMatchObject({ case: "end", value: { reason } });
      await register(restarted, external("later"));
      const resumeAfter = last?.case === "end" ? last.value.resumeAfterCursor : cursor;
      const resumed = watchProcesses(restarted, { afterCursor: resumeAfter });
      await resumed.until(tells("later", RUNNING));
      resumed.giveUp();
      const foreign = watchProcesses(clientsOf(deployment.url), { afterCursor: cursor });
      expect(await wireErrorOf(foreign.next())).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    } finally {
      await database.close();
    }
  });
});
