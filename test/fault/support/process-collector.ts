// Reads everything about all processes, sessions and inboxes once all is quiet.
import { ProcessState } from "../../../gen/keelson/process/v1/messages_pb.ts";
import type { ProcessEvent } from "../../../gen/keelson/process/v1/messages_pb.ts";
import type { Endpoint } from "./endpoints.ts";
import { contentOf, outputText, stateName } from "./made-processes.ts";
import type {
  FinalHandles,
  FinalInbox,
  FinalProcess,
  FinalProcessEvent,
} from "./process-history.ts";

const PAGE_SIZE = 1_000;
const CALL = { timeoutMs: 30_000 };
const ALL_STATES = [
  ProcessState.RUNNING,
  ProcessState.COMPLETED,
  ProcessState.FAILED,
  ProcessState.CANCELLED,
  ProcessState.ABANDONED,
];

/** All items of pages. */
async function all<Item>(
  read: (
    pageToken: string,
  ) => Promise<{ readonly items: readonly Item[]; readonly nextPageToken: string }>,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let pageToken = "";
  do {
    const page = await read(pageToken);
    items.push(...page.items);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return items;
}

/** The names of all processes in one of the states; in any when none is given. */
export function listProcessIds(
  { processes }: Endpoint,
  states: readonly ProcessState[] = ALL_STATES,
): Promise<readonly string[]> {
  return all(async (pageToken) => {
    const filter = { states: [...states] };
    const request = { filter, pageSize: PAGE_SIZE, pageToken };
    const page = await processes.listProcesses(request, CALL);
    return { ...page, items: page.processes.map(({ processId }) => processId) };
  });
}

function eventOf(event: ProcessEvent): FinalProcessEvent {
  const { sequence, eventType, replayKey, payload, generation, revision, terminalState } = event;
  return {
    sequence: Number(sequence),
    eventType,
    key: replayKey,
    content: contentOf(payload),
    generation: Number(generation),
    revision: Number(revision),
    terminalState: stateName(terminalState),
    wakeRuntimeId: event.wake?.runtimeId ?? "",
  };
}

/** Reads everything about one process. */
export async function collectProcess(
  { processes }: Endpoint,
  processId: string,
): Promise<FinalProcess> {
  const { process } = await processes.getProcess({ processId }, CALL);
  if (process === undefined) throw new Error(`${processId} was not answered`);
  const { events } = await processes.listEvents({ processId, pageSize: PAGE_SIZE }, CALL);
  const grants = await all(async (pageToken) => {
    const page = await processes.listProcessGrants({ processId, pageToken }, CALL);
    return { ...page, items: page.grants };
  });
  const { end } = process;
  return {
    processId,
    revision: Number(process.revision),
    state: stateName(process.state),
    generation: Number(process.generation),
    ...(end && {
      end: {
        state: stateName(end.state),
        output: outputText(end.output),
        sequence: Number(end.sequence),
      },
    }),
    lastSequence: Number(process.lastSequence),
    events: events.map(eventOf),
    sessionIds: grants.map(({ scope }) => scope?.sessionId ?? ""),
  };
}

/** Reads the inputs of a runtime. */
export async function collectInbox({ runtimes }: Endpoint, runtimeId: string): Promise<FinalInbox> {
  const keys = await all(async (pageToken) => {
    const page = await runtimes.listInputs({ runtimeId, pageSize: PAGE_SIZE, pageToken }, CALL);
    return { ...page, items: page.inputs.map(({ idempotencyKey }) => idempotencyKey) };
  });
  return { runtimeId, keys };
}

/** Reads the grants of a session; what is on its way out of it counts, too. */
export async function collectHandles(
  { processes }: Endpoint,
  sessionId: string,
): Promise<FinalHandles> {
  const processIds = await all(async (pageToken) => {
    const request = { scope: { sessionId }, pageSize: PAGE_SIZE, pageToken };
    const page = await processes.listHandleGrants(request, CALL);
    return { ...page, items: page.entries.map(({ grant }) => grant?.processId ?? "") };
  });
  return { sessionId, processIds };
}
