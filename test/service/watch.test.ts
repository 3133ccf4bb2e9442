// Watching: out of the history and live, each event once, with bookmarks and a clear end.
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RESERVED_FAMILIES } from "../../src/core/runtime/decide.ts";
import { RuntimeEventCategory, RuntimeState } from "../../gen/keelson/runtime/v1/messages_pb.ts";
import {
  WatchEndReason,
  type WatchRuntimeResponse,
} from "../../gen/keelson/runtime/v1/service_pb.ts";
import {
  type CaseClients,
  clientsOf,
  type Deployment,
  openDeployment,
} from "./support/deployment.ts";
import { executorOf, prompt } from "./support/inputs.ts";
import { wireErrorOf } from "./support/wire-error.ts";

let deployment: Deployment;

beforeAll(async () => {
  deployment = await openDeployment();
});

afterAll(() => deployment.close());

const runtimeId = "r";

/** What a watch asks for besides the runtime. */
interface WatchTerms {
  readonly after?: { readonly revision: bigint; readonly index?: number };
  readonly categories?: RuntimeEventCategory[];
  readonly includeInitial?: boolean;
}

type Message = WatchRuntimeResponse["message"];

/** A watch whose messages can be taken one by one, and given up. */
function watch({ runtimes }: CaseClients, request: WatchTerms = {}) {
  const giveUp = new AbortController();
  const stream = runtimes.watchRuntime({ runtimeId, ...request }, { signal: giveUp.signal });
  const messages = stream[Symbol.asyncIterator]();
  const next = async (): Promise<Message> => {
    const step: IteratorResult<WatchRuntimeResponse, unknown> = await messages.next();
    if (step.done) throw new Error("the watch is over");
    return step.value.message;
  };
  /** Messages up to and including the first one that matches. */
  const until = async (isLast: (message: Message) => boolean): Promise<Message[]> => {
    const seen: Message[] = [];
    do seen.push(await next());
    while (!isLast(seen.at(-1) ?? { case: undefined }));
    return seen;
  };
  return { next, until, giveUp: () => giveUp.abort() };
}

function codesOf(messages: readonly Message[]): readonly string[] {
  return messages.flatMap((message) => (message.case === "event" ? [message.value.eventCode] : []));
}

const hasCode = (code: string) => (message: Message) =>
  message.case === "event" && message.value.eventCode === code;

async function liveThroughOneRun(clients: CaseClients): Promise<void> {
  await clients.runtimes.ensureRuntime({ runtimeId });
  await clients.runtimes.ingest({ runtimeId, input: prompt("x", { inputId: "i" }) });
  const executor = executorOf(clients, runtimeId);
  await executor.complete(await executor.takeRun(), "done");
}

const WHOLE_LIFE = [
  "topology.runtime_created",
  "input.accepted",
  "input.queued",
  "executor.lease_granted",
  "run.started",
  "input.staged",
  "run.boundary_committed",
  "input.applied",
  "run.completed",
  "input.consumed",
];

describe("a watch from the beginning", () => {
  it("sends the whole history and then says that it is at the present", async () => {
    const clients = clientsOf(deployment.url);
    await liveThroughOneRun(clients);
    const watching = watch(clients, { after: { revision: 0n } });
    const first = await watching.next();
    expect(first).toMatchObject({ case: "bookmark", value: { revision: 0n } });
    const seen = await watching.until((message) => message.case === "bookmark");
    expect(codesOf(seen).filter((code) => WHOLE_LIFE.includes(code))).toEqual(WHOLE_LIFE);
    const { runtime } = await clients.runtimes.getRuntime({ runtimeId });
    expect(seen.at(-1)).toMatchObject({ value: { revision: runtime?.revision } });
    watching.giveUp();
  });

  it("goes on live where the history ends, without gap and without repetition", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const send = async (from: number, count: number): Promise<void> => {
      for (let index = from; index < from + count; index += 1) {
        await runtimes.ingest({ runtimeId, input: prompt("x", { inputId: `i-${index}` }) });
      }
    };
    await send(0, 20);
    const categories = [RuntimeEventCategory.INPUT_LIFECYCLE];
    const watching = watch(clients, { after: { revision: 0n }, categories });
    const sending = send(20, 20);
    const seen = await watching.until(
      (message) =>
        message.case === "event" &&
        message.value.eventCode === "input.queued" &&
        message.value.event.case === "inputLifecycle" &&
        message.value.event.value.inputId === "i-39",
    );
    await sending;
    const accepted = seen.flatMap((message) =>
      message.case === "event" &&
      message.value.eventCode === "input.accepted" &&
      message.value.event.case === "inputLifecycle"
        ? [message.value.event.value.inputId]
        : [],
    );
    expect(accepted).toEqual(Array.from({ length: 40 }, (_, index) => `i-${index}`));
    watching.giveUp();
  });
});

describe("a watch from a position", () => {
  it("resumes behind an event in the middle of a commit", async () => {
    const clients = clientsOf(deployment.url);
    await liveThroughOneRun(clients);
    const whole = watch(clients, { after: { revision: 0n } });
    const seen = await whole.until(hasCode("input.consumed"));
    whole.giveUp();
    const events = seen.flatMap((message) => (message.case === "event" ? [message.value] : []));
    const middle = events.findIndex((event) => event.eventCode === "run.started");
    const { revision = 0n, index = 0 } = events[middle] ?? {};
    const resumed = watch(clients, { after: { revision, index } });
    const rest = await resumed.until(hasCode("input.consumed"));
    resumed.giveUp();
    const ids = rest.flatMap((message) =>
      message.case === "event" ? [message.value.eventId] : [],
    );
    expect(ids).toEqual(events.slice(middle + 1).map((event) => event.eventId));
  });

  it("sends no bookmark that lies before the position", async () => {
    const clients = clientsOf(deployment.url);
    await liveThroughOneRun(clients);
    const { runtime } = await clients.runtimes.getRuntime({ runtimeId });
    const { revision = 0n } = runtime ?? {};
    const resumed = watch(clients, { after: { revision, index: 0 } });
    const [first, ...others] = await resumed.until((message) => message.case === "bookmark");
    resumed.giveUp();
    expect(first?.case).toBe("event");
    expect(others.at(-1)).toMatchObject({ value: { revision } });
  });

  it("beyond the present is refused", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const error = await wireErrorOf(watch(clients, { after: { revision: 9n } }).next());
    expect(error).toMatchObject({ code: Code.NotFound, reason: "REVISION_NOT_FOUND" });
  });
});

describe("a watch from the present", () => {
  it("shows the runtime first when asked to, and then what happens", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const watching = watch(clients, { includeInitial: true });
    expect(await watching.next()).toMatchObject({
      case: "initial",
      value: { runtime: { runtimeId, revision: 1n, state: RuntimeState.IDLE } },
    });
    expect(await watching.next()).toMatchObject({ case: "bookmark", value: { revision: 1n } });
    await runtimes.retire({ runtimeId, reason: "enough" });
    const seen = await watching.until(hasCode("runtime.state_changed"));
    expect(codesOf(seen)).toEqual(["topology.runtime_retired", "runtime.state_changed"]);
    expect(seen[0]).toMatchObject({
      value: { revision: 2n, index: 0, event: { value: { reason: "enough" } } },
    });
    watching.giveUp();
  });

  it("sends the events that clients publish, and no others when asked for these", async () => {
    const clients = clientsOf(deployment.url);
    const { runtimes } = clients;
    await runtimes.ensureRuntime({ runtimeId });
    const watching = watch(clients, { categories: [RuntimeEventCategory.PUBLISHED] });
    await watching.next();
    await runtimes.ingest({ runtimeId, input: prompt("x") });
    const { eventId, revision } = await runtimes.publishEvent({
      runtimeId,
      eventCode: "billing.charged",
      correlationId: "c",
    });
    const message = await watching.next();
    expect(message).toMatchObject({
      case: "event",
      value: {
        eventId,
        revision,
        eventCode: "billing.charged",
        correlationId: "c",
        published: true,
      },
    });
    watching.giveUp();
  });

  it("ends when the runtime is destroyed, and says where", async () => {
    const clients = clientsOf(deployment.url);
    await clients.runtimes.ensureRuntime({ runtimeId });
    const watching = watch(clients);
    await watching.next();
    const { revision } = await clients.runtimes.destroy({ runtimeId });
    const seen = await watching.until((message) => message.case === "end");
    expect(seen.at(-1)).toMatchObject({
      value: { reason: WatchEndReason.RUNTIME_DESTROYED, resumeAfter: { revision } },
    });
  });

  it("of a runtime that nobody ensured is refused", async () => {
    const error = await wireErrorOf(watch(clientsOf(deployment.url)).next());
    expect(error).toMatchObject({ code: Code.NotFound, reason: "RUNTIME_NOT_REGISTERED" });
  });
});

describe("publishing", () => {
  it.each([...RESERVED_FAMILIES])("under the family %s is refused", async (family) => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    const error = await wireErrorOf(
      runtimes.publishEvent({ runtimeId, eventCode: `${family}.mine` }),
    );
    expect(error).toMatchObject({ code: Code.InvalidArgument, reason: "EVENT_CODE_RESERVED" });
  });

  it("again with the same request id is the same event", async () => {
    const { runtimes } = clientsOf(deployment.url);
    await runtimes.ensureRuntime({ runtimeId });
    const request = { runtimeId, eventCode: "my.event", requestId: "q" };
    const first = await runtimes.publishEvent(request);
    expect(await runtimes.publishEvent(request)).toEqual(first);
  });
});
