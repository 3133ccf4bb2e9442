import { describe, expect, it } from "vitest";
import {
  epochIdOf,
  executorIdOf,
  incarnationIdOf,
  namespaceOf,
  runIdOf,
  runtimeIdOf,
  streamNameOf,
} from "../core/shared/ids.ts";
import type { ExecutorMessage } from "./messages.ts";
import {
  freeSlots,
  holderKey,
  isBusy,
  mailReady,
  makeSession,
  nextSign,
  remainingMs,
  tell,
} from "./session.ts";

function session(slots: number, polls = false) {
  const terms = {
    namespace: namespaceOf("default"),
    executorId: executorIdOf("e"),
    incarnationId: incarnationIdOf("i"),
    target: { kind: "pool", pool: "p" } as const,
    slots,
    leaseTtlMs: 30_000,
    polls,
    capabilities: new Set<string>(),
  };
  return makeSession(terms, 1000);
}

const stream = streamNameOf("runtime/default/r");
const runtimeId = runtimeIdOf("r");
const runId = runIdOf("run");
const signal = new AbortController().signal;

const steer = (count: number): ExecutorMessage => {
  return { type: "steer_available", runtimeId, runId, count };
};
const granted: ExecutorMessage = {
  type: "lease_granted",
  runtimeId,
  generation: 1,
  epochId: epochIdOf("epoch"),
};

describe("free slots", () => {
  it("are taken by runs held and by runs asked for", () => {
    const attached = session(3);
    attached.asking.add(stream);
    attached.held.set(stream, { runId, stream, release: () => undefined, delivery: "done" });
    expect(freeSlots(attached)).toBe(1);
  });

  it("are none at the end of a session", () => {
    const attached = session(3);
    attached.ending = true;
    expect(freeSlots(attached)).toBe(0);
  });

  it("are one at a time for a poller, and only while it waits", () => {
    const polling = session(3, true);
    expect(freeSlots(polling)).toBe(0);
    polling.pollWaits = true;
    expect(freeSlots(polling)).toBe(1);
    polling.asking.add(stream);
    expect(freeSlots(polling)).toBe(0);
  });
});

describe("the mailbox", () => {
  it("keeps the newest count of steering inputs alone", () => {
    const attached = session(1);
    for (const count of [1, 2, 3]) tell(attached, steer(count));
    expect(attached.mailbox).toEqual([steer(3)]);
  });

  it("of a poller takes no messages that its answers have no place for", () => {
    const polling = session(1, true);
    tell(polling, granted);
    tell(polling, { type: "close_stream", reason: "replaced" });
    expect(polling.mailbox).toEqual([]);
  });

  it("that nobody empties ends the session with a word", () => {
    const attached = session(1);
    for (let count = 0; count < 20_000; count += 1) tell(attached, granted);
    expect(attached.closed).toBe(true);
    expect(attached.mailbox).toHaveLength(10_002);
    expect(attached.mailbox.at(-1)).toEqual({ type: "close_stream", reason: "unresponsive" });
  });

  it("remembers how a run was lost", () => {
    const attached = session(1);
    const loss = {
      type: "lease_lost",
      runtimeId,
      runId,
      generation: 1,
      currentGeneration: 2,
      reason: "fenced",
    } as const;
    tell(attached, loss);
    expect(attached.losses.get(runId)).toEqual(loss);
  });
});

describe("waiting", () => {
  it("ends with mail", async () => {
    const attached = session(1);
    const ready = mailReady(attached, signal);
    tell(attached, steer(1));
    await ready;
    await mailReady(attached, signal);
    expect(attached.wake).toBeNull();
  });

  it("ends when the caller is gone, and leaves nothing behind", async () => {
    const attached = session(1);
    const caller = new AbortController();
    const ready = mailReady(attached, caller.signal);
    caller.abort();
    await ready;
    expect(attached.wake).toBeNull();
    await nextSign(attached, caller.signal);
    expect(attached.wake).toBeNull();
  });

  it("of an older waiter ends when a newer one comes", async () => {
    const attached = session(1);
    const older = nextSign(attached, signal);
    const newer = nextSign(attached, signal);
    await older;
    expect(attached.wake).not.toBeNull();
    attached.wake?.();
    await newer;
    expect(attached.wake).toBeNull();
  });
});

it("a session is busy while an assignment is on its way", () => {
  const attached = session(1);
  expect(isBusy(attached)).toBe(false);
  const held = { runId, stream, release: () => undefined, delivery: "under_way" } as const;
  attached.held.set(stream, { ...held });
  expect(isBusy(attached)).toBe(true);
});

it("leases live as long as their time to live after the last renewal", () => {
  const attached = session(1);
  expect(remainingMs(attached, 1000)).toBe(30_000);
  expect(remainingMs(attached, 11_000)).toBe(20_000);
  expect(remainingMs(attached, 99_000)).toBe(0);
});

it("holders of different namespaces and ids with separators never meet", () => {
  const keys = [
    { namespace: "a/b", executorId: "c", incarnationId: "d" },
    { namespace: "a", executorId: "b/c", incarnationId: "d" },
    { namespace: "a", executorId: "b", incarnationId: "c/d" },
    { namespace: "a%2Fb", executorId: "c", incarnationId: "d" },
  ].map(holderKey);
  expect(new Set(keys).size).toBe(4);
});
