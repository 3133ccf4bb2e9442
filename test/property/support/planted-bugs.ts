// Bugs that must not go unnoticed. Each is planted between an engine and its storage, or into the
// aggregate, the way the engine or the core could have it by mistake.
import { runtimeAggregate } from "../../../src/core/runtime/aggregate.ts";
import { emptyOrderedMap } from "../../../src/core/shared/ordered-map.ts";
import { chainHash, GENESIS_HASH } from "../../../src/engine/commit-codec.ts";
import { type Storage, StorageError, type StoredCommit } from "../../../src/engine/ports.ts";
import { ledgerAggregate } from "./ledger-aggregate.ts";
import type { PlantedBug } from "./planted-bug.ts";

const keyOf = (point: { readonly stream: string; readonly revision: number }): string =>
  `${point.stream}:${point.revision}`;

/** Whoever asks may consume, whatever his generation. */
const noFenceCheck: PlantedBug = {
  ledger: {
    ...ledgerAggregate,
    decide: (state, command, context) => {
      if (command.type !== "consume") return ledgerAggregate.decide(state, command, context);
      const { generation, holder } = command;
      return ledgerAggregate.decide({ ...state, generation, holder }, command, context);
    },
  },
  runtime: {
    ...runtimeAggregate,
    decide: (state, command, context) => {
      const { run } = state;
      const isWrite = "runId" in command && "generation" in command;
      if (!run || !isWrite) return runtimeAggregate.decide(state, command, context);
      const { runId, generation } = run;
      return runtimeAggregate.decide(state, { ...command, runId, generation }, context);
    },
  },
};

/** Every key is a new one. */
const noDedup: PlantedBug = {
  ledger: {
    ...ledgerAggregate,
    decide: (state, command, context) =>
      ledgerAggregate.decide({ ...state, serials: emptyOrderedMap() }, command, {
        ...context,
        found: { find: () => undefined },
      }),
  },
  runtime: {
    ...runtimeAggregate,
    decide: (state, command, context) =>
      runtimeAggregate.decide({ ...state, keys: emptyOrderedMap() }, command, {
        ...context,
        found: { find: () => undefined },
      }),
  },
};

/** The journal says that it stored what it has only begun to store. */
const acknowledgedBeforeCommit: PlantedBug = {
  wrapStorage: (storage) => ({
    ...storage,
    journal: {
      ...storage.journal,
      append: async (commits, timeoutMs) => {
        storage.journal.append(commits, timeoutMs).catch(() => undefined);
        return commits.map(() => "stored" as const);
      },
    },
  }),
};

/** The records of a checkpoint are written after it, by nobody who would wait for them. */
const checkpointBeforeRecords: PlantedBug = {
  wrapStorage: (storage) => {
    let waiting: (() => void)[] = [];
    return {
      ...storage,
      records: {
        ...storage.records,
        insert: async (rows) => {
          waiting.push(() => void storage.records.insert(rows).catch(() => undefined));
        },
      },
      checkpoints: {
        ...storage.checkpoints,
        put: async (checkpoint) => {
          await storage.checkpoints.put(checkpoint);
          for (const insert of waiting) insert();
          waiting = [];
        },
      },
    };
  },
};

/** What can be seen is taken for durable. */
const trustedBeforeDurable: PlantedBug = {
  wrapStorage: (storage) => ({
    ...storage,
    journal: { ...storage.journal, barrier: async () => "always the same life" },
  }),
};

/** Some commits are passed over without their events, and the chain is closed behind them. */
function foldOverHoles(storage: Storage): Storage {
  const { journal } = storage;
  const passedOver = new Set<string>();
  const shownHashes = new Map<string, Uint8Array>();
  let fresh = 0;

  function show(commit: StoredCommit): StoredCommit {
    const key = keyOf(commit);
    if (!shownHashes.has(key)) fresh += 1;
    if (!shownHashes.has(key) && fresh % 12 === 0) passedOver.add(key);
    const before = { stream: commit.stream, revision: commit.revision - 1 };
    const previous = commit.revision === 1 ? GENESIS_HASH : shownHashes.get(keyOf(before));
    const content = passedOver.has(key) ? { commandsText: "[]", eventsText: "[]" } : {};
    const shown = { ...commit, ...content };
    const hash = previous ? chainHash(previous, shown) : commit.hash;
    shownHashes.set(key, hash);
    return previous ? { ...shown, hash } : commit;
  }

  return {
    ...storage,
    journal: {
      ...journal,
      readAfter: async (points) => {
        const page = await journal.readAfter(points);
        return { ...page, commits: page.commits.map(show) };
      },
    },
  };
}

/** A write without an answer is taken for one that another replica was faster with. */
function decideAgain(storage: Storage): Storage {
  const { journal } = storage;
  const unknown = new Map<string, StoredCommit>();
  return {
    ...storage,
    journal: {
      ...journal,
      append: async (commits, timeoutMs) => {
        try {
          return await journal.append(commits, timeoutMs);
        } catch (error) {
          if (!(error instanceof StorageError)) throw error;
          for (const commit of commits) {
            unknown.set(keyOf(commit), { ...commit, commitId: "somebody else's" });
          }
          return commits.map(() => "taken" as const);
        }
      },
      readAt: async (points) => {
        const forged = points.flatMap((point) => unknown.get(keyOf(point)) ?? []);
        return forged.length > 0 ? forged : await journal.readAt(points);
      },
    },
  };
}

/** The bugs by name. */
export const PLANTED_BUGS: readonly (readonly [name: string, bug: PlantedBug])[] = [
  ["no fence check", noFenceCheck],
  ["acknowledgement before commit", acknowledgedBeforeCommit],
  ["no dedup", noDedup],
  ["a checkpoint before its records", checkpointBeforeRecords],
  ["a trusted commit that was read but not durable", trustedBeforeDurable],
  ["a hole folded over", { wrapStorage: foldOverHoles }],
  ["a re-decision after an unknown outcome", { wrapStorage: decideAgain }],
];
