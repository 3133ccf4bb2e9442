// A server that stands still for so long that the others count it as gone, with commits that it had
// decided and not sent yet: what it lands on waking up is told behind every cursor that a watch at
// another server was given meanwhile.
import { expect, test } from "vitest";
import { ProcessDisposition } from "../../gen/keelson/process/v1/messages_pb.ts";
import { startCluster } from "./support/cluster.ts";
import { type Endpoint, makeEndpoints } from "./support/endpoints.ts";
import { eventually, pauseFor } from "./support/waiting.ts";

/** More than a server sends to the database before it waits for the first answers. */
const PROCESSES = Array.from({ length: 900 }, (_process, index) => `p-${index}`);
const REGISTERED_AT_ONCE = 50;
const STUCK_MS = 2_000;
/** Longer than a silent server holds up the cursors of the others. */
const ASLEEP_MS = 75_000;
const LANDED_MS = 30_000;
const HEARD_MS = 60_000;

async function register({ processes }: Endpoint, processId: string): Promise<void> {
  await processes.registerProcess({
    registration: {
      processId,
      input: { kind: { case: "external", value: {} } },
      eventTypes: [{ name: "step" }],
      provenance: { originator: { case: "host", value: {} } },
      disposition: ProcessDisposition.EXTERNALLY_OWNED,
    },
  });
}

/** Follows the namespace from a cursor on; answers the last cursor once the signal fires. */
async function follow(
  { processes }: Endpoint,
  afterCursor: string,
  stepped: Set<string>,
  signal: AbortSignal,
): Promise<string> {
  let cursor = afterCursor;
  try {
    for await (const { message } of processes.watchProcesses({ afterCursor }, { signal })) {
      if (message.case === "bookmark") ({ cursor } = message.value);
      if (message.case !== "change" || message.value.process === undefined) continue;
      const { processId, lastSequence } = message.value.process;
      if (lastSequence > 0n) stepped.add(processId);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return cursor;
}

/** The processes that have logged their step by now. */
async function steppedAt({ processes }: Endpoint): Promise<readonly string[]> {
  const page = await processes.listNonTerminal({ pageSize: 1_000 });
  return page.processes.flatMap(({ processId, lastSequence }) =>
    lastSequence > 0n ? [processId] : [],
  );
}

test("what a server lands on waking up is told behind the cursors given meanwhile", async () => {
  const cluster = await startCluster({ replicas: ["sleeper", "other"] });
  const ending = new AbortController();
  const protocol = { protocol: "grpc", signal: ending.signal } as const;
  const [sleeper, other] = cluster.urls.map((url) => makeEndpoints([url], protocol).next());
  if (sleeper === undefined || other === undefined) throw new Error("a server is missing");
  let isHealthy = false;
  try {
    for (let start = 0; start < PROCESSES.length; start += REGISTERED_AT_ONCE) {
      const some = PROCESSES.slice(start, start + REGISTERED_AT_ONCE);
      await Promise.all(some.map((processId) => register(sleeper, processId)));
    }
    const told = new Set<string>();
    const asleep = new AbortController();
    const following = follow(other, "", told, asleep.signal);
    await cluster.database.pause();
    // Nobody is answered; what comes of it is read in the end.
    const steps = PROCESSES.map((processId) =>
      sleeper.processes.appendEvent({ processId, eventType: "step" }).catch(() => undefined),
    );
    await pauseFor(STUCK_MS);
    cluster.replicas[0]?.pause();
    await cluster.database.resume();
    await pauseFor(ASLEEP_MS);
    asleep.abort();
    const cursor = await following;
    const before = new Set(told);
    cluster.replicas[0]?.resume();
    await Promise.all(steps);
    const lateOnes = async (): Promise<readonly string[]> =>
      (await steppedAt(other)).filter((processId) => !before.has(processId));
    await eventually("something landed late", LANDED_MS, async () => (await lateOnes()).length > 0);
    const heard = new AbortController();
    const resumed = follow(other, cursor, told, heard.signal);
    await eventually("the watch was told of everything", HEARD_MS, async () =>
      (await steppedAt(other)).every((processId) => told.has(processId)),
    );
    heard.abort();
    await resumed;
    const late = await lateOnes();
    process.stdout.write(`${late.length} of ${told.size} landed late\n`);
    expect(late.every((processId) => told.has(processId))).toBe(true);
    isHealthy = true;
  } finally {
    ending.abort();
    await cluster.dispose(!isHealthy);
  }
});
