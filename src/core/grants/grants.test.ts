// Grants within one session: who may address what, and when that is shown.
import { expect, test } from "vitest";
import { processIdOf } from "../shared/ids.ts";
import { holdWorkOf } from "./open-work.ts";
import { processes, sessionStory } from "./testing/session-story.ts";

const P = processIdOf("p");
const descriptor = { kind: "tool", label: "build" };

test("a grant is shown once the process knows of the hold", () => {
  const story = sessionStory();
  const outcome = story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  expect(outcome).toMatchObject({
    reply: {
      type: "granted",
      created: true,
      handle: { frameId: "", processId: "p", descriptor, grantedAt: 1000 },
    },
  });
  expect(story.shown()).toEqual([]);
  expect(holdWorkOf(story.state())).toEqual({ acquire: [{ processId: P, mark: 1 }], release: [] });
  story.confirm();
  expect(story.shown()).toEqual(["p"]);
  expect(holdWorkOf(story.state())).toEqual({ acquire: [], release: [] });
});

test("a second scope needs no second hold, and the first to go does not end it", () => {
  const story = sessionStory();
  story.grant("p");
  story.ask({ type: "grant_handle", frameId: "f", processId: P, descriptor });
  expect(story.shown("f")).toEqual(["p"]);
  story.ask({ type: "revoke_handle", frameId: "", processId: P });
  expect(holdWorkOf(story.state()).release).toEqual([]);
  story.ask({ type: "revoke_handle", frameId: "f", processId: P });
  expect(holdWorkOf(story.state()).release).toEqual([{ processId: P, mark: 1 }]);
});

test("granted again, only the descriptor is replaced; the same descriptor changes nothing", () => {
  const story = sessionStory();
  story.grant("p");
  story.at(2000);
  const again = story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  expect(again).toMatchObject({
    kind: "committed",
    reply: { created: false, handle: { descriptor, grantedAt: 1000 } },
  });
  const same = story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  expect(same).toMatchObject({ kind: "answered", reply: { created: false } });
});

test("a hold that is wanted again while it is let go gets a higher mark", () => {
  const story = sessionStory();
  story.grant("p");
  story.ask({ type: "revoke_handle", frameId: "", processId: P });
  story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  expect(holdWorkOf(story.state()).acquire).toEqual([{ processId: P, mark: 2 }]);
  const released = [
    { processId: P, mark: 1, standing: "preserved", cancelRequested: false } as const,
  ];
  const late = story.ask({ type: "confirm_holds", acquired: [], released, gone: [] });
  expect(late).toMatchObject({ reply: { type: "done", changed: false } });
});

test("what was never granted is revoked without a commit", () => {
  const story = sessionStory();
  const outcome = story.ask({ type: "revoke_handle", frameId: "", processId: P });
  expect(outcome).toEqual({ kind: "answered", reply: { type: "revoked", revoked: false } });
});

test("a process that is gone takes its grants of all scopes along", () => {
  const story = sessionStory();
  story.grant("p");
  story.grant("p", "f");
  story.grant("q");
  story.ask({ type: "confirm_holds", acquired: [], released: [], gone: processes("p", "x") });
  expect([...story.shown(), ...story.shown("f")]).toEqual(["q"]);
  expect(holdWorkOf(story.state()).release).toEqual([{ processId: P, mark: 1 }]);
});

test("a scope is moved to another one in one commit, all or nothing", () => {
  const story = sessionStory();
  story.grant("p");
  story.grant("q");
  const move = { type: "move_handles", fromFrameId: "", toFrameId: "f" } as const;
  const missing = story.ask({ ...move, processIds: processes("p", "x") });
  expect(missing).toEqual({ kind: "refused", reason: "HANDLE_NOT_GRANTED" });
  expect(story.shown()).toEqual(["p", "q"]);
  story.at(3000);
  const moved = story.ask({ ...move, processIds: processes("q", "p") });
  expect(moved).toMatchObject({
    reply: {
      handles: [
        { processId: "q", frameId: "f", descriptor: { label: "q" }, grantedAt: 3000 },
        { processId: "p", frameId: "f", descriptor: { label: "p" }, grantedAt: 3000 },
      ],
    },
  });
  expect([story.shown(), story.shown("f")]).toEqual([[], ["p", "q"]]);
});

test("a grant that the other scope has is replaced by one that is moved there", () => {
  const story = sessionStory();
  story.grant("p");
  story.ask({ type: "grant_handle", frameId: "f", processId: P, descriptor });
  const move = { type: "move_handles", fromFrameId: "", toFrameId: "f" } as const;
  story.ask({ ...move, processIds: [P] });
  const [grant] = [...story.state().grants.values()];
  expect(grant).toMatchObject({ frameId: "f", descriptor: { label: "p" } });
  expect(story.state().holds.get(P)?.handleCount).toBe(1);
});

test("moving nothing is answered, moving to the same scope or what is pending refused", () => {
  const story = sessionStory();
  story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  const move = { type: "move_handles", fromFrameId: "", processIds: [P] } as const;
  expect(story.ask({ ...move, toFrameId: "f" })).toMatchObject({ reason: "HANDLE_NOT_GRANTED" });
  expect(story.ask({ ...move, toFrameId: "f", processIds: [] })).toMatchObject({
    reply: { type: "moved", handles: [] },
  });
  story.confirm();
  expect(story.ask({ ...move, toFrameId: "" })).toMatchObject({ reason: "INVALID_FIELD" });
});

test("work that cannot be done is put off longer and longer, and no more once some is done", () => {
  const story = sessionStory();
  story.ask({ type: "grant_handle", frameId: "", processId: P, descriptor });
  const waits: (number | undefined)[] = [];
  for (let attempts = 0; attempts < 9; attempts += 1) {
    story.ask({ type: "defer_work", attempts });
    waits.push((story.state().deferral?.notBefore ?? 0) - 1000);
  }
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  expect(story.ask({ type: "defer_work", attempts: 3 })).toMatchObject({ kind: "answered" });
  story.confirm();
  expect(story.state().deferral).toBeNull();
  expect(story.ask({ type: "defer_work", attempts: 0 })).toMatchObject({ kind: "answered" });
});
