// What the clients of the fault run over processes do: jobs that workers run, watched, awaited and
// cancelled, whose grants go from session to session; and sessions that are deleted while grants of
// their processes come and go.
import { externalOf, jobOf } from "./made-processes.ts";
import type { ProcessClient } from "./process-client.ts";
import { pauseFor } from "./waiting.ts";

/** What one client does until the scene closes. */
export type ProcessLoad = (client: ProcessClient) => Promise<void>;

/** Sessions that stay; each is also a runtime. */
export const SESSIONS = ["north", "east", "south", "west"] as const;

const PACE_MS = 40;
const JOBS_AT_ONCE = 5;
/** Long enough for a worker to learn that it is to cancel. */
const LONG_WORK_MS = 1_000;

function sessionAt(place: number): string {
  return SESSIONS[place % SESSIONS.length] ?? "";
}

async function untilClosed(
  { scene }: ProcessClient,
  round: (count: number) => Promise<void>,
): Promise<void> {
  for (let count = 0; !scene.closing.aborted; count += 1) {
    await round(count);
    await pauseFor(PACE_MS, scene.closing);
  }
}

/** Jobs for workers, a few together. */
export const jobLoad: ProcessLoad = async (client) => {
  const { name, random } = client;
  const pick = (count: number): number => Math.floor(random() * count);

  async function prepare(processId: string, place: number, isLong: boolean): Promise<void> {
    const steps = 1 + pick(4);
    const workMs = isLong ? LONG_WORK_MS : pick(150);
    const runtimeId = sessionAt(place + steps);
    await client.register(
      processId,
      jobOf(processId, { steps, workMs, yields: pick(4) === 0, runtimeId }),
    );
    await client.grant(processId, sessionAt(place));
  }

  /** Sends news, some of them again. */
  async function tell(processId: string, place: number): Promise<void> {
    for (const serial of [0, 1]) {
      await client.append(processId, `news-${serial}`, sessionAt(place + serial));
      if (pick(3) === 0) await client.append(processId, "news-0", sessionAt(place));
    }
  }

  await untilClosed(client, async (count) => {
    const place = pick(SESSIONS.length);
    const ids = Array.from({ length: JOBS_AT_ONCE }, (_job, index) => `${name}-${count}-${index}`);
    await Promise.all(ids.map((processId, index) => prepare(processId, place, index === 1)));
    const [first = "", second = ""] = ids;
    const following = client.follow(first);
    const awaiting = Promise.all(ids.map((processId) => client.awaitEnd(processId)));
    await Promise.all([
      tell(first, place),
      pick(2) === 0 ? client.cancel(second) : undefined,
      client.move(ids, sessionAt(place), sessionAt(place + 1)),
    ]);
    await client.move(ids, sessionAt(place + 1), sessionAt(place + 2));
    if (pick(2) === 0) await client.revoke(second, sessionAt(place + 2));
    await Promise.all([following, awaiting]);
  });
};

/** Sessions that are deleted: with orphans, with what others hold, and what is just granted. */
export const deletionLoad: ProcessLoad = async (client) => {
  await untilClosed(client, async (count) => {
    const [doomed, session] = [`${client.name}-doomed-${count}`, sessionAt(count)];
    const ids = ["orphan", "shared", "raced", "rescued"].map((what) => {
      return `${client.name}-${count}-${what}`;
    });
    const [orphan = "", shared = "", raced = "", rescued = ""] = ids;
    await Promise.all(
      ids.map(async (processId) => {
        await client.register(processId, externalOf(processId));
        await client.grant(processId, processId === rescued ? session : doomed);
      }),
    );
    await client.grant(shared, session);
    await client.move([rescued], session, doomed);
    await client.move([rescued], doomed, sessionAt(count + 1));
    await Promise.all([client.deleteSession(doomed), client.grant(raced, session)]);
    await client.append(orphan, "news", session);
    await Promise.all(ids.map((processId) => client.complete(processId, processId === orphan)));
    await Promise.all(ids.map((processId) => client.awaitEnd(processId)));
  });
};
