// Grants that go from session to session and wakes that go to runtimes, while the servers that
// carry them are killed: every grant is in one place, every wake came once.
import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import {
  OrphanPolicy,
  ProcessDisposition,
  type ProcessRegistrationSchema,
  WakeDeliveryState,
} from "../../gen/keelson/process/v1/messages_pb.ts";
import type { TransferHandleGrantsRequestSchema } from "../../gen/keelson/process/v1/service_pb.ts";
import type { Cluster } from "./support/cluster.ts";
import { type Endpoints, reasonOf } from "./support/endpoints.ts";
import { onCluster } from "./support/small-scene.ts";
import { eventually, pauseFor } from "./support/waiting.ts";

const TWO = { replicas: ["first", "second"] };
const SESSIONS = ["north", "east", "south", "west"];
const PROCESSES = Array.from({ length: 8 }, (_process, index) => `process-${index}`);
const ROUNDS = 12;
const KILLS = 6;
const SETTLED_MS = 60_000;

const NEWS = {
  name: "news",
  semantics: { wake: { input: { selector: { case: "payload", value: {} } } } },
} as const;

/** Where the grant of a process is before a round. */
function sessionAt(index: number, round: number): string {
  return SESSIONS[(index + round * (1 + (index % 3))) % SESSIONS.length] ?? "";
}

async function prepare(endpoints: Endpoints): Promise<void> {
  for (const [index, processId] of PROCESSES.entries()) {
    const registration: MessageInitShape<typeof ProcessRegistrationSchema> = {
      processId,
      input: { kind: { case: "external", value: {} } },
      eventTypes: [NEWS],
      provenance: { originator: { case: "host", value: {} } },
      disposition: ProcessDisposition.EXTERNALLY_OWNED,
    };
    await endpoints.call(({ processes }, limits) => {
      return processes.registerProcess({ registration }, limits);
    });
    const scope = { sessionId: sessionAt(index, 0) };
    await endpoints.call(({ processes }, limits) => {
      return processes.grantHandle({ scope, processId }, limits);
    });
  }
}

/** Moves a grant; one that has just come back may still be on its way out. */
async function move(
  endpoints: Endpoints,
  request: MessageInitShape<typeof TransferHandleGrantsRequestSchema>,
): Promise<void> {
  await eventually("the grant can be moved", SETTLED_MS, async () => {
    try {
      await endpoints.call(({ processes }, limits) => {
        return processes.transferHandleGrants(request, limits);
      });
      return true;
    } catch (error) {
      if (reasonOf(error) === "HANDLE_IN_TRANSFER") return false;
      throw error;
    }
  });
}

/** Moves the grant of one process on and on, and tells the session that gets it. */
async function wander(endpoints: Endpoints, index: number): Promise<void> {
  const processId = PROCESSES[index] ?? "";
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = { sessionId: sessionAt(index, round) };
    const to = { sessionId: sessionAt(index, round + 1) };
    const requestId = `move-${index}-${round}`;
    await move(endpoints, { from, to, processIds: [processId], requestId });
    const news = {
      processId,
      eventType: "news",
      payload: fromJson(ValueSchema, `round ${round}`),
      replayKey: `news-${round}`,
      wakeRuntimeId: to.sessionId,
    };
    await endpoints.call(({ processes }, limits) => processes.appendEvent(news, limits));
  }
}

/** Kills one server after the other while the work lasts. */
async function haunt({ replicas }: Cluster, isOver: () => boolean): Promise<number> {
  let kills = 0;
  while (!isOver() || kills < KILLS) {
    const replica = replicas[kills % replicas.length];
    await pauseFor(300);
    await replica?.kill();
    await replica?.start();
    kills += 1;
  }
  return kills;
}

async function ownersOf(endpoints: Endpoints, processId: string): Promise<string> {
  const { grants } = await endpoints.call(({ processes }, limits) => {
    return processes.listProcessGrants({ processId }, limits);
  });
  return grants
    .map(({ scope, transferringTo }) => {
      return `${scope?.sessionId}${transferringTo === undefined ? "" : " (leaving)"}`;
    })
    .join();
}

async function undelivered(endpoints: Endpoints): Promise<number> {
  let count = 0;
  for (const processId of PROCESSES) {
    const { events } = await endpoints.call(({ processes }, limits) => {
      return processes.listWakeEvents({ processId, pageSize: 1000 }, limits);
    });
    const waiting = events.filter(({ wake }) => wake?.state !== WakeDeliveryState.DELIVERED);
    count += waiting.length;
  }
  return count;
}

/** The keys of all inputs of a runtime, in order of admission. */
async function keysAt(endpoints: Endpoints, runtimeId: string): Promise<readonly string[]> {
  const { inputs } = await endpoints.call(({ runtimes }, limits) => {
    return runtimes.listInputs({ runtimeId, pageSize: 1000 }, limits);
  });
  return inputs.map(({ idempotencyKey }) => idempotencyKey);
}

test("grants that move and wakes that are sent survive the killing of servers", async () => {
  await onCluster(TWO, async ({ cluster, client, ensure }) => {
    const { endpoints } = client;
    for (const session of SESSIONS) await ensure(session);
    await prepare(endpoints);
    let isOver = false;
    const haunting = haunt(cluster, () => isOver);
    await Promise.all(PROCESSES.map((_process, index) => wander(endpoints, index)));
    isOver = true;
    expect(await haunting).toBeGreaterThanOrEqual(KILLS);

    await eventually("every transfer is over", SETTLED_MS, async () => {
      const owners = await Promise.all(PROCESSES.map((name) => ownersOf(endpoints, name)));
      return owners.every((owner, index) => owner === sessionAt(index, ROUNDS));
    });
    await eventually("every wake is delivered", SETTLED_MS, async () => {
      return (await undelivered(endpoints)) === 0;
    });
    const violations: string[] = [];
    for (const session of SESSIONS) {
      const expected = PROCESSES.map((processId, index) =>
        Array.from({ length: ROUNDS }, (_round, round) => round)
          .filter((round) => sessionAt(index, round + 1) === session)
          .map((round) => `process:${processId}:event:${round + 1}:wake`),
      );
      const keys = await keysAt(endpoints, session);
      for (const [index, wanted] of expected.entries()) {
        const came = keys.filter((key) => key.startsWith(`process:${PROCESSES[index]}:`));
        if (came.join() !== wanted.join()) {
          violations.push(`${session}: ${came.join()} instead of ${wanted.join()}`);
        }
      }
    }
    expect(violations).toEqual([]);
  });
});

test("a deletion that a killed server began cancels every orphan once", async () => {
  await onCluster(TWO, async ({ cluster, client, ensure }) => {
    const { endpoints } = client;
    const [first] = cluster.replicas;
    await ensure("north");
    await prepare(endpoints);
    for (const [index, processId] of PROCESSES.entries()) {
      const from = { sessionId: sessionAt(index, 0) };
      const to = { sessionId: "gathering" };
      await move(endpoints, { from, to, processIds: [processId] });
    }
    const deletion = {
      sessionId: "gathering",
      orphanPolicy: OrphanPolicy.CANCEL,
      requestId: "delete-gathering",
    };
    const asked = client.endpoints.call(({ processes }, limits) => {
      return processes.deleteSessionProcessState(deletion, limits);
    });
    await first?.kill();
    const { report } = await asked;
    expect(report).toMatchObject({
      revokedHandleCount: PROCESSES.length,
      orphanedProcessIds: PROCESSES,
      cancelledProcessIds: PROCESSES,
      preservedProcessIds: [],
    });
    for (const processId of PROCESSES) {
      const { events } = await endpoints.call(({ processes }, limits) => {
        return processes.listEvents({ processId }, limits);
      });
      expect(events.map(({ eventType }) => eventType)).toEqual(["process.cancel_requested"]);
    }
  });
});
