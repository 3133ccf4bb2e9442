// The stage of the cases in which a server is killed between two steps of its own: one server whose
// every word with its database goes through a gate. All cases of a file share it; each has runtimes
// of its own.
import { join } from "node:path";
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
  readonly look: (message: Buffer) => void | Promise<void>;
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
  /** Ends everything; the files stay when they are wanted for looking at. */
  readonly dispose: (keepsFiles: boolean) => Promise<void>;
}

const REACH_DEADLINE_MS = 30_000;

/** Starts the database, the gate and the server. */
export async function openGatedStage(
  environment: Readonly<Record<string, string>> = {},
): Promise<GatedStage> {
  const fixture = await makeEmbeddedFixture();
  const database = await fixture.start();
  const gate = await openDatabaseGate(database.socketPath);
  const cluster = await startCluster({
    replicas: ["gated"],
    databaseUri: gate.uri,
    environment,
  });
  const [server] = cluster.replicas;
  if (server === undefined) throw new Error("a cluster without a server");
  const recorder = makeHistoryRecorder(join(cluster.directory, "logs", "clients.jsonl"), []);
  const ending = new AbortController();

  async function kill(): Promise<void> {
    await server?.kill();
    gate.cut();
  }

  return {
    ...makeScene(cluster, recorder, ending.signal),
    server: { start: server.start, kill },
    stopAt: gate.stopAt,
    dyingAt: async ({ place, sought, look }, work) => {
      const stop = gate.stopAt(place, sought);
      const working = work();
      // Its failure is told by whoever awaits it; until then it is nobody's.
      working.catch(() => undefined);
      try {
        await eventually("the server stands at the place", REACH_DEADLINE_MS, stop.isReached);
        await look(await stop.reached);
        await kill();
      } finally {
        stop.lift();
      }
      await server.start();
      return await working;
    },
    dispose: async (keepsFiles) => {
      ending.abort();
      recorder.close();
      if (keepsFiles) process.stdout.write(`files are kept in ${cluster.directory}\n`);
      await cluster.dispose(keepsFiles);
      gate.close();
      await fixture.remove();
    },
  };
}
