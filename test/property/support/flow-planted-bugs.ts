// Bugs that must not go unnoticed, each the way the core or the flows could have it by mistake.
import { grantsAggregate } from "../../../src/core/grants/aggregate.ts";
import { grantKeyOf } from "../../../src/core/grants/grant-keys.ts";
import { processAggregate } from "../../../src/core/process/aggregate.ts";
import type { LeaseProof } from "../../../src/core/process/commands.ts";
import { standingOf } from "../../../src/core/process/holders.ts";
import type { ProcessState } from "../../../src/core/process/state.ts";
import { incarnationIdOf, ownerIdOf } from "../../../src/core/shared/ids.ts";
import { emptyOrderedMap } from "../../../src/core/shared/ordered-map.ts";
import { flowEnvelope } from "../../../src/flows/flow-streams.ts";
import type { FlowBug } from "./flow-story.ts";
import { SOUND_AGGREGATES } from "./flow-world.ts";

/** The source lets the grants go first, and then the target is told. */
const nonAtomicTransfer: FlowBug = {
  plantStreams: (streams) => ({
    ...streams,
    grants: {
      ...streams.grants,
      submit: async (stream, envelope) => {
        const committed = await streams.grants.submit(stream, envelope);
        const { reply } = committed;
        if (envelope.command.type !== "begin_transfer" || reply.type !== "moved") return committed;
        const { serial = 0 } = reply;
        const settle = { type: "settle_transfer" as const, serial, verdict: "accepted" as const };
        await streams.grants.submit(stream, flowEnvelope(settle));
        return committed;
      },
    },
  }),
};

/** A target takes whatever comes, as often as it comes. */
const noHighWaterMark: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    grants: {
      ...grantsAggregate,
      decide: (state, command, context) =>
        command.type === "accept_transfer"
          ? grantsAggregate.decide({ ...state, sources: emptyOrderedMap() }, command, context)
          : grantsAggregate.decide(state, command, context),
    },
  },
};

/** The wake is sent after the commit by whoever made it, and stands nowhere else. */
const wakeOutsideTheCommit: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    processes: {
      ...processAggregate,
      summarize: (state) => {
        const { state: name, labels, gone } = processAggregate.summarize(state);
        return { state: name, labels, gone };
      },
    },
  },
};

/** Whether a process is an orphan is looked up beside it, a moment before it is cancelled. */
const orphanDecidedByView: FlowBug = {
  plantStreams: (streams, database) => ({
    ...streams,
    processes: {
      ...streams.processes,
      submit: async (stream, envelope) => {
        const { command } = envelope;
        if (command.type !== "release_hold" || command.deletion?.cancelOrphans !== true) {
          return await streams.processes.submit(stream, envelope);
        }
        const { deletion, ...release } = command;
        const released = await streams.processes.submit(stream, { ...envelope, command: release });
        const { state } = database.fold(processAggregate, stream);
        const { holderCount, terminal } = standingOf(state);
        if (holderCount === 0 && !terminal) {
          const { processId } = command;
          const { reason } = deletion;
          const cancel = { type: "request_cancel" as const, processId, reason };
          await streams.processes.submit(stream, flowEnvelope(cancel));
        }
        return released;
      },
    },
  }),
};

/** A grant is shown before the process knows of it. */
const grantBeforeHolder: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    grants: {
      ...grantsAggregate,
      evolve: (state, event, position) => {
        const next = grantsAggregate.evolve(state, event, position);
        if (event.type !== "handle_granted") return next;
        const key = grantKeyOf(event.frameId, event.processId);
        const grant = next.grants.get(key);
        if (grant === undefined) return next;
        return { ...next, grants: next.grants.with(key, { ...grant, pending: false }) };
      },
    },
  },
};

/** A late message of a hold that is over counts as if it came in time. */
const holdWithoutMark: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    processes: {
      ...processAggregate,
      decide: (state, command, context) => {
        if (command.type !== "hold") return processAggregate.decide(state, command, context);
        const held = state.holders.get(command.sessionId);
        const mark = Math.max(command.mark, held?.held === false ? held.mark + 1 : 0);
        return processAggregate.decide(state, { ...command, mark }, context);
      },
    },
  },
};

/** A state in which the hold of a proof is the present one. */
function heldBy(state: ProcessState, { leaseToken, generation }: LeaseProof): ProcessState {
  const owner = { ownerId: ownerIdOf("anybody"), incarnationId: incarnationIdOf("any life") };
  const lease = state.lease ?? { owner, ttlMs: 1000, claimedAt: 0 };
  return { ...state, lease: { ...lease, leaseToken, generation } };
}

/** Whoever ever held the process may end it. */
const unfencedCompletion: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    processes: {
      ...processAggregate,
      decide: (state, command, context) => {
        const isFenced = command.type === "complete_process" && command.by.type === "lease";
        const seen = isFenced && state.end === null ? heldBy(state, command.by) : state;
        return processAggregate.decide(seen, command, context);
      },
    },
  },
};

/** Whoever ever held the process may append. */
const unfencedAppend: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    processes: {
      ...processAggregate,
      decide: (state, command, context) => {
        const lease = command.type === "append_event" ? command.lease : undefined;
        const seen = lease !== undefined && state.end === null ? heldBy(state, lease) : state;
        return processAggregate.decide(seen, command, context);
      },
    },
  },
};

/** A hold that lapsed gives its generation to the next one. */
const generationUsedAgain: FlowBug = {
  aggregates: {
    ...SOUND_AGGREGATES,
    processes: {
      ...processAggregate,
      decide: (state, command, context) => {
        if (command.type !== "claim_lease") return processAggregate.decide(state, command, context);
        const generation = Math.max(0, state.generation - 1);
        return processAggregate.decide({ ...state, generation }, command, context);
      },
    },
  },
};

/** The bugs by name. */
export const FLOW_BUGS: readonly (readonly [name: string, bug: FlowBug])[] = [
  ["a transfer that is not atomic", nonAtomicTransfer],
  ["a target without a high-water mark", noHighWaterMark],
  ["a wake outside of the commit", wakeOutsideTheCommit],
  ["an orphan decided by a view", orphanDecidedByView],
  ["a grant before its holder", grantBeforeHolder],
  ["a hold without its mark", holdWithoutMark],
  ["a completion that is not fenced", unfencedCompletion],
  ["an append that is not fenced", unfencedAppend],
  ["a generation that is used again", generationUsedAgain],
];
