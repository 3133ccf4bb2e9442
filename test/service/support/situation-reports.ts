/** The calls of executors in the tables, by the names of their rows. */
import { randomUUID } from "node:crypto";
import { RunApplyBoundary } from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import type { CaseClients } from "./deployment.ts";
import { identityOf, type RunClaim } from "./runs.ts";
import type { Answer, Call } from "./situation-calls.ts";
import type { SituatedRuntime } from "./situations.ts";
import { firstOf } from "./verdict.ts";

type Calls = Readonly<Record<string, Call>>;
type ClaimOf = (runtime: SituatedRuntime) => RunClaim;

const NOTHING: Answer = {};
const GENERATION_NEVER_GRANTED = 1_000n;

function existing(claim: RunClaim | undefined): RunClaim {
  if (!claim) throw new Error("the situation has no such run");
  const { runtimeId, runId, generation } = claim;
  return { runtimeId, runId, generation };
}

const CLAIMS: Readonly<Record<string, ClaimOf>> = {
  madeUp: ({ runtimeId }) => {
    return { runtimeId, runId: randomUUID(), generation: GENERATION_NEVER_GRANTED };
  },
  completed: ({ completion }) => existing(completion),
  another: ({ runtimeId, generation }) => {
    return { runtimeId, runId: randomUUID(), generation: generation ?? 0n };
  },
  fenced: ({ fenced }) => existing(fenced),
};

/** All reports about a run. */
function reportsAbout(name: string, claimOf: ClaimOf): readonly (readonly [string, Call])[] {
  const boundary = RunApplyBoundary.RUN_START;
  return [
    [
      `commitBoundary,${name}`,
      ({ executors }, runtime) => executors.commitBoundary({ ...claimOf(runtime), boundary }),
    ],
    [
      `completeRun,${name}`,
      ({ executors }, runtime) => executors.completeRun({ ...claimOf(runtime), takeNext: true }),
    ],
    [
      `failRun,${name}`,
      ({ executors }, runtime) => executors.failRun({ ...claimOf(runtime), recoverable: true }),
    ],
    [`cancelRun,${name}`, ({ executors }, runtime) => executors.cancelRun(claimOf(runtime))],
    [
      `releaseRun,${name}`,
      async ({ executors }, runtime) => {
        const { released } = await executors.releaseRun(claimOf(runtime));
        return released ? { reason: "released" } : NOTHING;
      },
    ],
  ];
}

/** Asks for what there is for an executor that names the runtime; there must be nothing. */
async function pollOnce({ executors }: CaseClients, runtimeId: string): Promise<Answer> {
  const identity = identityOf("third");
  const { assignment } = await executors.pollRun({
    ...identity,
    runtimeIds: [runtimeId],
    timeout: {},
  });
  await executors.detach(identity);
  return assignment ? { reason: "assigned" } : NOTHING;
}

/** The first message of a stream that names the runtime must be the heartbeat. */
async function attachOnce({ executors }: CaseClients, runtimeId: string): Promise<Answer> {
  const identity = identityOf("third");
  const request = { ...identity, runtimeIds: [runtimeId] };
  const { message } = await firstOf((signal) => executors.attach(request, { signal }));
  await executors.detach(identity);
  return message.case === "heartbeat" ? NOTHING : { reason: "no heartbeat" };
}

/** Everything that executors say. */
export const REPORT_CALLS: Calls = {
  ...Object.fromEntries(
    Object.entries(CLAIMS).flatMap(([name, claimOf]) => reportsAbout(name, claimOf)),
  ),
  "completeRun,repeated": async ({ executors }, { completion }) => {
    if (!completion) throw new Error("the situation has no completed run");
    await executors.completeRun(completion);
    return NOTHING;
  },
  "renewLeases,stranger": async ({ executors }) => {
    await executors.renewLeases(identityOf("nobody"));
    return NOTHING;
  },
  renewLeases: async ({ executors }, { holder, current }) => {
    const heldRunIds = current === undefined ? [] : [current.runId];
    const { unknownRunIds } = await executors.renewLeases({ ...holder, heldRunIds });
    return unknownRunIds.length === 0 ? NOTHING : { reason: "unknown" };
  },
  attach: (clients, { runtimeId }) => attachOnce(clients, runtimeId),
  pollRun: (clients, { runtimeId }) => pollOnce(clients, runtimeId),
  detach: async ({ executors }, { runtimeId }) => {
    const { released } = await executors.detach({
      ...identityOf("nobody"),
      runtimeIds: [runtimeId],
    });
    return released.length === 0 ? NOTHING : { reason: "released" };
  },
};
