import { describe, expect, it } from "vitest";
import {
  executor,
  externalEvent,
  prompt,
  registeredStory,
  type Story,
} from "../core/runtime/testing/story.ts";
import { runtimeAggregate } from "../core/runtime/aggregate.ts";
import type { RuntimeEvent } from "../core/runtime/events.ts";
import { type Notice, noticesOf } from "./notices.ts";

/** A notice as short as it can be told. */
function brief({ to, message, leaves, cutOff }: Notice): string {
  const who = `${to.executorId}@${to.generation}`;
  switch (message.type) {
    case "control":
      return `${who} ${message.control} ${message.runId ?? "-"}`;
    case "lease_lost":
      return [
        `${who} lost ${message.reason} ${message.runId ?? "-"}`,
        ...(leaves ? ["leaves"] : []),
        ...(cutOff ? ["cut off"] : []),
      ].join(" ");
    case "steer_available":
      return `${who} steer ${message.count}`;
    default:
      return `${who} ${message.type}`;
  }
}

/** What is told of everything committed since a revision, as if it were one commit. */
function toldSince(story: Story, revision: number): string[] {
  const commits = story.commits.slice(revision);
  const before = commits[0]?.before ?? story.state;
  const events: RuntimeEvent[] = commits.flatMap((commit) => [...commit.events]);
  return noticesOf({ events, before, after: story.state }).map(brief);
}

const told = (story: Story): string[] => toldSince(story, story.commits.length - 1);

const lapse = { type: "lapse_lease", ...executor("worker") } as const;

function running(): { readonly story: Story; readonly runId: string } {
  const story = registeredStory();
  story.ingest("a", prompt("a"));
  story.ingest("b", prompt("b"));
  return { story, runId: story.assign().runId };
}

describe("an executor of a pool", () => {
  it("is not told of leases that come and go with its runs", () => {
    const { story } = running();
    expect(told(story)).toEqual([]);
    story.boundary();
    story.complete();
    expect(told(story)).toEqual([]);
  });

  it("is told that its lease lapsed, with the run it had", () => {
    const { story, runId } = running();
    story.acknowledge();
    story.try(lapse);
    expect(told(story)).toEqual([`worker@1 lost lapsed ${runId}`]);
  });

  it("is told once when a lapse takes an unacknowledged run back", () => {
    const { story, runId } = running();
    story.try(lapse);
    expect(told(story)).toEqual([`worker@1 lost lapsed ${runId}`]);
  });

  it("is told that a run was taken back", () => {
    const { story, runId } = running();
    story.now += 20_000;
    story.try({ type: "tick", acknowledgeTimeoutMs: 10_000 });
    expect(told(story)).toEqual([`worker@1 lost taken_back ${runId}`]);
  });

  it("is told to stop, with the run that it has to drop", () => {
    const { story, runId } = running();
    story.try({ type: "stop" });
    expect(told(story)).toEqual([`worker@1 lost fenced ${runId}`, `worker@1 stop ${runId}`]);
  });

  it("is told to interrupt and to retire", () => {
    const { story, runId } = running();
    story.try({ type: "interrupt_run" });
    expect(told(story)).toEqual([`worker@1 interrupt ${runId}`]);
    story.try({ type: "retire", abandonIfUnattached: false });
    expect(told(story)).toEqual([`worker@1 retire ${runId}`]);
  });

  it("is told once per commit how much waits to steer", () => {
    const { story } = running();
    const revision = story.commits.length;
    story.ingest("s1", externalEvent("steer"));
    story.ingest("s2", externalEvent("steer"));
    expect(toldSince(story, revision)).toEqual(["worker@1 steer 2"]);
    story.ingest("q", externalEvent("queue"));
    expect(told(story)).toEqual([]);
  });
});

describe("an executor that named the runtime", () => {
  function named(): Story {
    const story = registeredStory();
    story.attach();
    return story;
  }

  it("is told of its lease, and that it leaves when it gave it back", () => {
    const story = named();
    expect(told(story)).toEqual(["worker@1 lease_granted"]);
    story.try({ type: "release_lease", ...executor("worker") });
    expect(told(story)).toEqual(["worker@1 lost released - leaves"]);
  });

  it("is told of an unregistration as the act of an operator, and does not leave", () => {
    const story = named();
    story.try({ type: "unregister_runtime", fenceExecutor: false });
    expect(told(story)).toEqual(["worker@1 lost fenced -", "worker@1 unregister -"]);
  });
});

it.each([
  [
    "is cut off by a fence of a runtime that goes on",
    { type: "recover", fenceExecutor: true },
    true,
  ],
  ["is not cut off by a stop, which is told in its own words", { type: "stop" }, false],
] as const)("an executor that named the runtime %s", (_what, command, isCutOff) => {
  const story = registeredStory();
  story.attach();
  story.try(command);
  const [loss] = told(story);
  expect(loss).toBe(`worker@1 lost fenced -${isCutOff ? " cut off" : ""}`);
});

it("of a runtime that changes hands within a commit, each executor hears its own part", () => {
  const { story, runId } = running();
  story.acknowledge();
  const revision = story.commits.length;
  story.try({ type: "recover", fenceExecutor: true });
  story.attach("heir");
  story.assign("heir");
  story.try({ type: "interrupt_run" });
  expect(toldSince(story, revision)).toEqual([
    `worker@1 lost fenced ${runId}`,
    "heir@3 lease_granted",
    `heir@3 interrupt ${story.run().runId}`,
  ]);
});

it("a run that ended and another that began in a commit are not mixed up", () => {
  const { story } = running();
  const revision = story.commits.length;
  story.boundary();
  story.complete({ type: "none" }, true);
  story.try({ type: "interrupt_run" });
  expect(toldSince(story, revision)).toEqual([`worker@1 interrupt ${story.run().runId}`]);
});

it("names the executor that has the runtime now, if that is another one", () => {
  const { story } = running();
  const before = story.state;
  const revision = story.commits.length;
  story.try({ type: "recover", fenceExecutor: true });
  story.attach("heir");
  const events = story.commits.slice(revision).flatMap((commit) => [...commit.events]);
  const [loss] = noticesOf({ events, before, after: story.state });
  expect(loss?.message).toMatchObject({ holderExecutorId: "heir", currentGeneration: 3 });
  expect(runtimeAggregate.summarize(story.state).holder).toBe("heir/heir-1");
});
