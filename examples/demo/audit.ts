// The accounts of the demo, drawn up from what the server has stored: what became of every input,
// and whether anything that was acknowledged is missing, was consumed twice, or came out wrong.
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  InputState,
  type InputStatus,
  type RunBoundaryReceipt,
} from "../../gen/keelson/runtime/v1/messages_pb.ts";
import type { DemoClient } from "./client.ts";
import type { Acknowledgement } from "./ingest.ts";
import { jobOf, perform } from "./text-job/tasks.ts";

/** What became of everything. */
export interface Accounts {
  readonly accepted: number;
  readonly consumed: number;
  readonly superseded: number;
  readonly coalesced: number;
  readonly abandoned: number;
  /** Not over; there should be none. */
  readonly live: number;
  readonly lost: number;
  readonly consumedTwice: number;
  readonly receipts: number;
  readonly receiptsLoaded: number;
  readonly runtimes: number;
  readonly chainsVerified: number;
  readonly commits: number;
  readonly results: number;
  readonly resultsRight: number;
}

const PAGE_SIZE = 500;

async function readInputs(client: DemoClient, runtimeId: string): Promise<readonly InputStatus[]> {
  const inputs: InputStatus[] = [];
  let pageToken = "";
  do {
    const request = { runtimeId, includePayload: true, pageSize: PAGE_SIZE, pageToken };
    const page = await client.call((runtimes, limits) => runtimes.listInputs(request, limits));
    inputs.push(...page.inputs);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return inputs;
}

async function readReceipts(
  client: DemoClient,
  runtimeId: string,
): Promise<readonly RunBoundaryReceipt[]> {
  const receipts: RunBoundaryReceipt[] = [];
  let pageToken = "";
  do {
    const request = { runtimeId, pageSize: PAGE_SIZE, pageToken };
    const page = await client.call((runtimes, limits) => {
      return runtimes.listBoundaryReceipts(request, limits);
    });
    receipts.push(...page.receipts);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return receipts;
}

/** Whether a receipt is also there when it is asked for by its name. */
async function isLoaded(client: DemoClient, receipt: RunBoundaryReceipt): Promise<boolean> {
  const { runtimeId, runId, sequence, commitHash } = receipt;
  const loaded = await client.call((runtimes, limits) => {
    return runtimes.loadBoundaryReceipt({ runtimeId, runId, sequence }, limits);
  });
  return loaded.receipt?.commitHash === commitHash;
}

function byName(left: readonly [string, unknown], right: readonly [string, unknown]): number {
  return left[0] < right[0] ? -1 : 1;
}

/** JSON text with the members of every object by name. */
function sorted(value: JsonValue | undefined): string {
  return JSON.stringify(value, (_name, member: unknown) => {
    const isObject = typeof member === "object" && member !== null && !Array.isArray(member);
    return isObject ? Object.fromEntries(Object.entries(member).toSorted(byName)) : member;
  });
}

/** Whether the stored result of a prompt is what the job comes to when it is done here. */
async function isResultRight(
  client: DemoClient,
  runtimeId: string,
  status: InputStatus,
): Promise<boolean> {
  const { inputId, input } = status;
  if (input?.kind.case !== "prompt") return true;
  const target = { case: "inputId" as const, value: inputId };
  const { completion } = await client.call((runtimes, limits) => {
    return runtimes.getInput({ runtimeId, target }, limits);
  });
  const outcome = completion?.outcome;
  const result = outcome?.case === "completed" ? outcome.value.result?.structured : undefined;
  if (result === undefined) return false;
  const expected = { results: [{ ...perform(jobOf(input.kind.value.text)) }] };
  return sorted(toJson(ValueSchema, result)) === sorted(expected);
}

function repeatedIn(receipts: readonly RunBoundaryReceipt[]): number {
  const all = receipts.flatMap((receipt) => receipt.contributingInputIds);
  return all.length - new Set(all).size;
}

async function accountsOf(
  client: DemoClient,
  runtimeId: string,
  acknowledged: readonly Acknowledgement[],
): Promise<Accounts> {
  const inputs = await readInputs(client, runtimeId);
  const receipts = await readReceipts(client, runtimeId);
  const verified = await client.call((runtimes, limits) => {
    return runtimes.verifyRuntime({ runtimeId }, limits);
  });
  const having = (state: InputState): readonly InputStatus[] =>
    inputs.filter((input) => input.state === state);
  const consumed = having(InputState.CONSUMED);
  const prompts = consumed.filter((status) => status.input?.kind.case === "prompt");
  const keys = new Map(inputs.map((input) => [input.inputId, input.idempotencyKey]));
  const applied = new Set(receipts.flatMap((receipt) => receipt.contributingInputIds));
  const loaded = await Promise.all(receipts.map((receipt) => isLoaded(client, receipt)));
  const right = await Promise.all(prompts.map((input) => isResultRight(client, runtimeId, input)));
  const [superseded, coalesced, abandoned] = [
    having(InputState.SUPERSEDED).length,
    having(InputState.COALESCED).length,
    having(InputState.ABANDONED).length,
  ];
  const unproven = consumed.filter((input) => !applied.has(input.inputId)).length;
  return {
    accepted: inputs.length,
    consumed: consumed.length,
    superseded,
    coalesced,
    abandoned,
    live: inputs.length - consumed.length - superseded - coalesced - abandoned,
    lost: acknowledged.filter(({ inputId, key }) => keys.get(inputId) !== key).length + unproven,
    consumedTwice: repeatedIn(receipts),
    receipts: receipts.length,
    receiptsLoaded: loaded.filter(Boolean).length,
    runtimes: 1,
    chainsVerified: verified.valid ? 1 : 0,
    commits: Number(verified.commitCount),
    results: prompts.length,
    resultsRight: right.filter(Boolean).length,
  };
}

function added(left: Accounts, right: Accounts): Accounts {
  return {
    accepted: left.accepted + right.accepted,
    consumed: left.consumed + right.consumed,
    superseded: left.superseded + right.superseded,
    coalesced: left.coalesced + right.coalesced,
    abandoned: left.abandoned + right.abandoned,
    live: left.live + right.live,
    lost: left.lost + right.lost,
    consumedTwice: left.consumedTwice + right.consumedTwice,
    receipts: left.receipts + right.receipts,
    receiptsLoaded: left.receiptsLoaded + right.receiptsLoaded,
    runtimes: left.runtimes + right.runtimes,
    chainsVerified: left.chainsVerified + right.chainsVerified,
    commits: left.commits + right.commits,
    results: left.results + right.results,
    resultsRight: left.resultsRight + right.resultsRight,
  };
}

const EMPTY: Accounts = {
  accepted: 0,
  consumed: 0,
  superseded: 0,
  coalesced: 0,
  abandoned: 0,
  live: 0,
  lost: 0,
  consumedTwice: 0,
  receipts: 0,
  receiptsLoaded: 0,
  runtimes: 0,
  chainsVerified: 0,
  commits: 0,
  results: 0,
  resultsRight: 0,
};

/** Draws up the accounts of all runtimes. */
export async function drawUpAccounts(
  client: DemoClient,
  runtimeIds: readonly string[],
  acknowledged: readonly Acknowledgement[],
): Promise<Accounts> {
  const each = runtimeIds.map((runtimeId) => {
    const own = acknowledged.filter((one) => one.runtimeId === runtimeId);
    return accountsOf(client, runtimeId, own);
  });
  return (await Promise.all(each)).reduce(added, EMPTY);
}

/** Whether everything that was promised holds. */
export function isSound(accounts: Accounts): boolean {
  const { accepted, consumed, superseded, coalesced, abandoned, live } = accounts;
  return (
    accepted > 0 &&
    accepted === consumed + superseded + coalesced + abandoned &&
    live === 0 &&
    accounts.lost === 0 &&
    accounts.consumedTwice === 0 &&
    accounts.receiptsLoaded === accounts.receipts &&
    accounts.chainsVerified === accounts.runtimes &&
    accounts.resultsRight === accounts.results
  );
}
