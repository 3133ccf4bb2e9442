// The stage of the cases in which a server is killed between two steps of its own: one server whose
// every word with its database goes through a gate. All cases of a file share it; each has runtimes
// of its own.
import { join } from "node:path";
import { afterAll, afterEach, beforeAll } from "vitest";
import { makeEmbeddedFixture } from "../../storage/embedded-fixture.ts";
import { startCluster } from "./cluster.ts";
import { type DatabaseGate, openDatabaseGate, type Place, type Sought } from "./database-gate.ts";
import { makeHistoryRecorder } from "./history-recorder.ts";
import type { Replica } from "./replica-process.ts";
import { makeScene, type SmallScene } from "./small-scene.ts";
import { eventually } from "./waiting.ts";

/** Where the server is to die, and what is to be so while it stands there. */
export interface Death {
  readonly place: Place;
  readonly sought: Sought;
  /** Called while the server stands there, with the message that it stands at. */
  readonly look?: (message: Buffer) => void | Promise<void>;
}

/** One server, the gate to its database, and a client. */
export interface GatedStage extends SmallScene {
  readonly server: Pick<Replica, "start" | "kill">;
  readonly stopAt: DatabaseGate["stopAt"];
  /**
   * Begins the work, waits until the server stands at the place, kills it there, starts it again
   * and answers what the work came to. Throws when the server never came there.
   */
  readonly dyingAt: <Answer>(death: Death, work: () => Promise<Answer>) => Promise<Answer>;
  /** The types of the events of a runtime that begin so, in order. */
  readonly historyOf: (runtimeId: string, prefix: string) => Promise<readonly string[]>;
}

/** A stage, and how it is taken down; the files stay when they are wanted for looking at. */
interface OpenStage {
  readonly stage: GatedStage;
  readonly dispose: (keepsFiles: boolean) => Promise<void>;
}

const REACH_DEADLINE_MS = 30_000;

/** Starts the database, the gate and the server. */
async function openGatedStage(environment: Readonly<Record<string, string>>): Promise<OpenStage> {
  const fixture = await makeEmbeddedFixture();
  const database = await fixture.start();
  const gate = await openDatabaseGate(database.socketPath);
  const replicas = ["gated"];
  const cluster = await startCluster({ replicas, databaseUri: gate.uri, environment });
  const [server] = cluster.replicas;
  if (server === undefined) throw new Error("a cluster without a server");
  const recorder = makeHistoryRecorder(join(cluster.directory, "logs", "clients.jsonl"), []);
  const ending = new AbortController();
  const scene = makeScene(cluster, recorder, ending.signal);

  async function kill(): Promise<void> {
    await server?.kill();
    gate.cut();
  }

  const stage: GatedStage = {
    ...scene,
    server: { start: server.start, kill },
    stopAt: gate.stopAt,
    dyingAt: async ({ place, sought, look }, work) => {
      const stop = gate.stopAt(place, sought);
      const working = work();
      // Its failure is told by whoever awaits it; until then it is nobody's.
      working.catch(() => undefined);
      try {
        await eventually("the server stands at the place", REACH_DEADLINE_MS, stop.isReached);
        await look?.(await stop.reached);
        await kill();
      } finally {
        stop.lift();
      }
      await server.start();
      return await working;
    },
    historyOf: async (runtimeId, prefix) => {
      const { commits } = await scene.client.endpoints.call(({ admin }, limits) => {
        const request = { stream: { kind: "runtime", id: runtimeId }, pageSize: 1_000 };
        return admin.listCommits(request, limits);
      });
      const types = commits.flatMap(({ canonicalJson }) => {
        return [...canonicalJson.matchAll(/"type":"([a-z_]+)"/g)].map(([, type]) => type ?? "");
      });
      return types.filter((type) => type.startsWith(prefix));
    },
  };
  const dispose = async (keepsFiles: boolean): Promise<void> => {
    ending.abort();
    recorder.close();
    if (keepsFiles) process.stdout.write(`files are kept in ${cluster.directory}\n`);
    await cluster.dispose(keepsFiles);
    gate.close();
    await fixture.remove();
  };
  return { stage, dispose };
}

/** The stage of all cases of a file; to be asked for while they are played. */
export function useGatedStage(
  environment: Readonly<Record<string, string>> = {},
): () => GatedStage {
  let opened: OpenStage | undefined;
  let hasFailed = false;

  beforeAll(async () => {
    opened = await openGatedStage(environment);
  });

  afterEach(({ task }) => {
    if (task.result?.state === "fail") hasFailed = true;
  });

  afterAll(() => opened?.dispose(hasFailed));

  return () => {
    if (opened === undefined) throw new Error("the stage is not open yet");
    return opened.stage;
  };
}
