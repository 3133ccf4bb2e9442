// Every call in every situation of a runtime. The tables are the contract, written out by hand:
// what is refused names its reason and changes nothing, what is done leads where it must.
//
// A cell is the situation afterwards, `=` for an answer that changes nothing, `rej` for a rejection
// (an outcome that changes nothing), a letter for the reason of a refusal, or `-` where the call
// has no subject.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientsOf, type Deployment, openDeployment } from "./support/deployment.ts";
import {
  ACTION_CALLS,
  type Answer,
  CHANGE_CALLS,
  type Call,
  READ_CALLS,
} from "./support/situation-calls.ts";
import { REPORT_CALLS } from "./support/situation-reports.ts";
import { columnOf, readTable, type TableRow } from "./support/situation-table.ts";
import {
  headOf,
  runtimeIn,
  type SituatedRuntime,
  type Situation,
  situationAt,
  SITUATIONS,
} from "./support/situations.ts";
import { typedErrorOf } from "./support/verdict.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const REASONS = {
  rej: "rejected",
  C: "NO_CURRENT_RUN",
  D: "RUNTIME_DESTROYED",
  E: "RUN_ENDED",
  F: "RUN_IN_FLIGHT",
  H: "LEASE_HELD",
  K: "INPUT_ALREADY_ADMITTED",
  L: "LEASE_LOST",
  N: "STREAM_NOT_FOUND",
  O: "OPERATION_NOT_FOUND",
  Q: "EXECUTOR_NOT_FOUND",
  R: "INPUT_REJECTED",
  S: "INVALID_STATE",
  U: "RUNTIME_NOT_REGISTERED",
  X: "RUN_NOT_FOUND",
};

/** Changes (decision 3). A known key is recognised before the state is looked at (decision 1). */
const CHANGES = readTable(
  `
                           never  unreg  idle   att    run    ret    drain  stop   dest
  ensureRuntime            idle   idle   =      =      =      =      =      =      D
  ingest                   U      U      idle   att    run    rej    rej    rej    rej
  ingest,ensure            idle   idle   idle   att    run    rej    rej    rej    rej
  ingest,known             U      U      =      =      =      =      =      =      =
  ingestBatch              U      U      idle   att    run    rej    rej    rej    rej
  ingestStream             U      U      idle   att    run    rej    rej    rej    rej
  ingestAndAwait           U      U      idle   att    run    R      R      R      R
  ingestAndRun             U      U      run    H      F      R      R      R      R
  ingestAndRun,ensure      run    run    run    H      F      R      R      R      R
  ingestAndRun,known       U      U      K      K      K      K      K      K      K
  publishEvent             U      U      idle   att    run    ret    drain  stop   D
  retire                   U      U      ret    ret    drain  =      =      S      D
  reset                    U      U      idle   att    F      idle   F      idle   D
  recycle                  U      U      idle   att    F      idle   F      S      D
  recover                  U      U      idle   att    F      ret    F      S      D
  recover,fence            U      U      idle   idle   idle   ret    ret    S      D
  stopRuntime              U      U      stop   stop   stop   stop   stop   =      D
  destroy                  U      U      dest   dest   dest   dest   dest   dest   D
  unregisterRuntime        U      U      unreg  unreg  F      unreg  F      unreg  =
  unregisterRuntime,fence  U      U      unreg  unreg  unreg  unreg  unreg  unreg  =
  cancelInputs             U      U      =      =      =      =      =      =      =
  setSilentIntents         U      U      idle   att    run    ret    drain  stop   D
  updatePeerIngress        U      U      idle   att    run    ret    drain  stop   D
  updatePeerIngress,same   U      U      =      =      =      =      =      =      D
  notifyDrainExited        U      U      =      =      =      =      =      =      =
  abortDrain               U      U      =      =      =      =      =      =      =
  interruptRun             U      U      C      C      run    C      drain  C      D
  registerOperation        U      U      idle   att    run    ret    drain  S      D
  completeOperation        U      U      O      O      O      O      O      O      O
  collectCompleted         U      U      =      =      =      =      =      =      =
  terminateOwner           U      U      =      =      =      =      =      =      =
  `,
  REASONS,
);

/** Reads: the history of a runtime can be read in every situation that has one. */
const READS = readTable(
  `
                           never  unreg  idle   att    run    ret    drain  stop   dest
  getRuntime               U      U      =      =      =      =      =      =      =
  getRuntime,at            U      =      =      =      =      =      =      =      =
  explainRuntime           U      =      =      =      =      =      =      =      =
  awaitInput               U      =      =      =      =      =      =      =      =
  getInput                 U      =      =      =      =      =      =      =      =
  listInputs               U      =      =      =      =      =      =      =      =
  watchRuntime             U      U      =      =      =      =      =      =      =
  watchRuntime,after       U      =      =      =      =      =      =      =      =
  loadBoundaryReceipt      =      =      =      =      =      =      =      =      =
  listBoundaryReceipts     U      =      =      =      =      =      =      =      =
  waitDrain                U      U      =      =      =      =      =      =      =
  getStream                N      =      =      =      =      =      =      =      =
  listCommits              N      =      =      =      =      =      =      =      =
  verifyRuntime            N      =      =      =      =      =      =      =      =
  getOperation             U      O      O      O      O      O      O      O      O
  listOperations           U      =      =      =      =      =      =      =      =
  listCompletions          U      =      =      =      =      =      =      =      =
  waitAll                  U      =      =      =      =      =      =      =      =
  waitCompletions          U      U      =      =      =      =      =      =      =
  `,
  REASONS,
);

/**
 * What executors say: about a run that never was, about the completed one (in other words, and in
 * the same), about another run under the generation of now, about the one taken away. An executor
 * that names the runtime waits where it cannot be served, and where somebody else is.
 */
const REPORTS = readTable(
  `
                           never  unreg  idle   att    run    ret    drain  stop   dest
  commitBoundary,madeUp    U      U      L      L      L      L      L      L      L
  completeRun,madeUp       U      U      L      L      L      L      L      L      L
  failRun,madeUp           U      U      L      L      L      L      L      L      L
  cancelRun,madeUp         U      U      L      L      L      L      L      L      L
  releaseRun,madeUp        U      U      =      =      =      =      =      =      =
  commitBoundary,completed -      U      E      E      E      E      E      E      E
  completeRun,completed    -      U      E      E      E      E      E      E      E
  failRun,completed        -      U      E      E      E      E      E      E      E
  cancelRun,completed      -      U      E      E      E      E      E      E      E
  releaseRun,completed     -      U      =      =      =      =      =      =      =
  completeRun,repeated     -      =      =      =      =      =      =      =      =
  commitBoundary,another   -      -      -      X      X      -      X      -      -
  completeRun,another      -      -      -      X      X      -      X      -      -
  failRun,another          -      -      -      X      X      -      X      -      -
  cancelRun,another        -      -      -      X      X      -      X      -      -
  releaseRun,another       -      -      -      X      X      -      X      -      -
  commitBoundary,fenced    -      -      -      -      -      -      -      L      L
  completeRun,fenced       -      -      -      -      -      -      -      L      L
  failRun,fenced           -      -      -      -      -      -      -      L      L
  cancelRun,fenced         -      -      -      -      -      -      -      L      L
  releaseRun,fenced        -      -      -      -      -      -      -      =      =
  attach                   =      =      -      =      =      -      =      =      =
  pollRun                  =      =      -      =      =      -      =      =      =
  renewLeases,stranger     Q      Q      Q      Q      Q      Q      Q      Q      Q
  renewLeases              -      -      -      =      =      -      =      -      -
  detach                   =      =      =      =      =      =      =      =      =
  `,
  REASONS,
);

type Calls = Readonly<Record<string, Call>>;

function callNamed(calls: Calls, name: string): Call {
  const call = calls[name];
  if (!call) throw new Error(`no call is named ${name}`);
  return call;
}

/** What a call meets, as the cells of the tables say it. */
async function cellOf(
  clients: ReturnType<typeof clientsOf>,
  runtime: SituatedRuntime,
  call: Call,
): Promise<string> {
  const { runtimeId } = runtime;
  const before = await headOf(clients, runtimeId);
  const answer = await call(clients, runtime).catch((error: unknown): Answer => {
    return { reason: typedErrorOf(error).reason };
  });
  const after = await headOf(clients, runtimeId);
  const { reason, revision } = answer;
  if (reason !== undefined) return after === before ? reason : "a refusal that changed";
  if (after === before) return answer.isRejection === true ? "rejected" : "=";
  return revision === undefined ? "a change" : await situationAt(clients, runtimeId, revision);
}

function changes(cell: string): boolean {
  return (SITUATIONS as readonly string[]).includes(cell);
}

/** The cells of a column that a predicate takes. */
function cellsWhere(
  rows: readonly TableRow[],
  situation: Situation,
  takes: (cell: string) => boolean,
): Readonly<Record<string, string>> {
  const cells = Object.entries(columnOf(rows, situation));
  return Object.fromEntries(cells.filter(([, cell]) => takes(cell)));
}

async function cellsOf(
  situation: Situation,
  expected: Readonly<Record<string, string>>,
  calls: Calls,
): Promise<Readonly<Record<string, string>>> {
  const clients = clientsOf(deployment.url);
  const runtime = await runtimeIn(clients, situation, "r");
  const actual: [string, string][] = [];
  for (const name of Object.keys(expected)) {
    actual.push([name, await cellOf(clients, runtime, callNamed(calls, name))]);
  }
  await runtime.leave();
  return Object.fromEntries(actual);
}

describe.each(SITUATIONS)("a runtime that is %s", (situation) => {
  it("refuses what is not possible, and is as it was", async () => {
    const expected = cellsWhere(CHANGES, situation, (cell) => !changes(cell));
    expect(await cellsOf(situation, expected, CHANGE_CALLS)).toEqual(expected);
  });

  it("goes where an action leads", async () => {
    const expected = cellsWhere(CHANGES, situation, changes);
    const names = Object.keys(expected);
    const found = await Promise.all(
      names.map((name) => cellsOf(situation, { [name]: "" }, CHANGE_CALLS)),
    );
    expect(Object.assign({}, ...found)).toEqual(expected);
  });

  it("refuses the same, and changes nothing, when an action is only validated", async () => {
    const actions = columnOf(CHANGES, situation);
    const expected = Object.fromEntries(
      Object.keys(ACTION_CALLS).map((name) => {
        const cell = actions[name] ?? "";
        return [name, changes(cell) ? "=" : cell];
      }),
    );
    expect(await cellsOf(situation, expected, ACTION_CALLS)).toEqual(expected);
  });

  it("can be read", async () => {
    const expected = columnOf(READS, situation);
    expect(await cellsOf(situation, expected, READ_CALLS)).toEqual(expected);
  });

  it("fences its executors", async () => {
    const expected = columnOf(REPORTS, situation);
    expect(await cellsOf(situation, expected, REPORT_CALLS)).toEqual(expected);
  });
});
