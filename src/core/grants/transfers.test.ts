// Transfers between sessions as source and target see them, and the deletion of a session.
import { expect, test } from "vitest";
import { processIdOf, sessionIdOf } from "../shared/ids.ts";
import { holdWorkOf, rollForwardAt, transferDeliveriesOf, formerVerdictOn } from "./open-work.ts";
import { processes, type SessionStory, sessionStory } from "./testing/session-story.ts";

const P = processIdOf("p");
const SOURCE = sessionIdOf("source");

/** Has a target take in transfer `serial` of the source. */
function accept(target: SessionStory, serial: number, settledBelow: number, processId = "p") {
  return target.ask({
    type: "accept_transfer",
    fromSessionId: SOURCE,
    serial,
    settledBelow,
    toFrameId: "",
    handles: [{ processId: processIdOf(processId), descriptor: { label: processId } }],
    begunAt: 500,
  });
}

/** A source with `p` on its way to another session. */
function leavingSource(): SessionStory {
  const story = sessionStory();
  story.grant("p");
  story.at(2000);
  story.begin("target", "p");
  return story;
}

test("a grant that is leaving is shown, and can be neither revoked, moved nor granted anew", () => {
  const story = leavingSource();
  expect(story.shown()).toEqual(["p"]);
  const refused = { kind: "refused", reason: "HANDLE_IN_TRANSFER" };
  expect(story.ask({ type: "revoke_handle", frameId: "", processId: P })).toEqual(refused);
  expect(story.begin("elsewhere", "p")).toEqual(refused);
  const grant = { type: "grant_handle", frameId: "", processId: P, descriptor: {} } as const;
  expect(story.ask(grant)).toEqual(refused);
  const move = { type: "move_handles", fromFrameId: "", toFrameId: "f" } as const;
  expect(story.ask({ ...move, processIds: [P] })).toEqual(refused);
});

test("an intent stands until the target has answered, and any replica may take it up", () => {
  const story = leavingSource();
  expect(transferDeliveriesOf(story.state())).toEqual([
    {
      serial: 1,
      fromFrameId: "",
      toSessionId: "target",
      toFrameId: "",
      handles: [{ processId: "p", descriptor: { label: "p" }, grantedAt: 1000 }],
      begunAt: 2000,
      settledBelow: 1,
    },
  ]);
  expect(rollForwardAt(story.state())).toBe(5000);
  story.ask({ type: "settle_transfer", serial: 1, verdict: "accepted" });
  expect(story.shown()).toEqual([]);
  expect(holdWorkOf(story.state()).release).toEqual([{ processId: P, mark: 1 }]);
  story.confirm();
  expect(rollForwardAt(story.state())).toBeUndefined();
});

test("an intent is for all grants or for none", () => {
  const story = sessionStory();
  story.grant("p");
  expect(story.begin("target", "p", "q")).toMatchObject({ reason: "HANDLE_NOT_GRANTED" });
  expect(story.shown()).toEqual(["p"]);
  expect(story.begin("target")).toMatchObject({ kind: "answered" });
});

test("a refused transfer leaves everything as it was", () => {
  const story = leavingSource();
  story.ask({ type: "settle_transfer", serial: 1, verdict: "deleted" });
  expect(story.shown()).toEqual(["p"]);
  expect([...story.state().grants.values()]).toEqual([
    { frameId: "", processId: "p", descriptor: { label: "p" }, grantedAt: 1000, pending: false },
  ]);
  expect(story.ask({ type: "settle_transfer", serial: 1, verdict: "accepted" })).toMatchObject({
    reply: { type: "done", changed: false },
  });
});

test("a target takes a transfer in once, however often and in whatever order it comes", () => {
  const target = sessionStory();
  expect(accept(target, 2, 1, "q")).toMatchObject({ kind: "committed" });
  expect(accept(target, 1, 1)).toMatchObject({ kind: "committed" });
  expect(target.shown()).toEqual(["p", "q"]);
  target.ask({ type: "revoke_handle", frameId: "", processId: P });
  expect(accept(target, 1, 1)).toEqual({
    kind: "answered",
    reply: { type: "verdict", verdict: "accepted" },
  });
  expect(accept(target, 7, 5, "r")).toMatchObject({ kind: "committed" });
  expect(accept(target, 1, 1)).toMatchObject({ kind: "answered" });
  expect(target.shown()).toEqual(["q", "r"]);
  expect(formerVerdictOn(target.state(), SOURCE, 2)).toBe("accepted");
  expect(formerVerdictOn(target.state(), SOURCE, 8)).toBeUndefined();
});

test("a grant that arrives replaces the one that the scope has", () => {
  const target = sessionStory();
  target.ask({ type: "grant_handle", frameId: "", processId: P, descriptor: { label: "own" } });
  accept(target, 1, 1);
  const [grant] = [...target.state().grants.values()];
  expect(grant).toMatchObject({ descriptor: { label: "p" }, pending: false, grantedAt: 500 });
  expect(target.state().holds.get(P)?.handleCount).toBe(1);
});

test("a grant may arrive where the same one is leaving, and stays when that one comes back", () => {
  const story = leavingSource();
  accept(story, 1, 1);
  expect(story.shown()).toEqual(["p"]);
  story.ask({ type: "settle_transfer", serial: 1, verdict: "deleted" });
  const [grant] = [...story.state().grants.values()];
  expect(grant).toMatchObject({ grantedAt: 500 });
  expect(story.state().holds.get(P)?.handleCount).toBe(1);
});

test("a deleted session has no grants and takes none, but answers old transfers as before", () => {
  const target = sessionStory();
  accept(target, 1, 1);
  target.ask({ type: "delete_session", cancelOrphans: false, reason: "over" });
  expect(target.shown()).toEqual([]);
  expect(accept(target, 1, 1)).toMatchObject({ reply: { verdict: "accepted" } });
  expect(accept(target, 2, 1)).toMatchObject({ reply: { verdict: "deleted" } });
  const deleted = { kind: "refused", reason: "SESSION_DELETED" };
  const grant = { type: "grant_handle", frameId: "", processId: P, descriptor: {} } as const;
  expect(target.ask(grant)).toEqual(deleted);
  expect(target.begin("elsewhere", "p")).toEqual(deleted);
  expect(target.ask({ type: "delete_session", cancelOrphans: true, reason: "" })).toEqual({
    kind: "answered",
    reply: { type: "deleted", isFirst: false },
  });
});

test("a deletion reports what its grants leave, and nothing about those let go before", () => {
  const story = sessionStory();
  for (const name of ["p", "q", "r", "s"]) story.grant(name);
  story.grant("q", "f");
  story.ask({ type: "revoke_handle", frameId: "", processId: processIdOf("s") });
  story.ask({ type: "delete_session", cancelOrphans: true, reason: "over" });
  const { release } = holdWorkOf(story.state());
  expect(release.map(({ processId, deletion }) => [processId, deletion?.reason])).toEqual([
    ["p", "over"],
    ["q", "over"],
    ["r", "over"],
    ["s", undefined],
  ]);
  const standings = ["orphaned", "preserved", "terminal", "orphaned"] as const;
  const released = release.map(({ processId, mark }, index) => ({
    processId,
    mark,
    standing: standings[index] ?? "terminal",
    cancelRequested: index === 0,
  }));
  story.ask({ type: "confirm_holds", acquired: [], released, gone: [] });
  expect(story.state().deletion).toEqual({
    cancelOrphans: true,
    reason: "over",
    revokedCount: 4,
    orphaned: ["p"],
    cancelled: ["p"],
    preserved: ["q"],
  });
});

test("what is leaving a deleted session leaves, or is revoked when it comes back", () => {
  const left = leavingSource();
  left.ask({ type: "delete_session", cancelOrphans: false, reason: "" });
  expect(left.shown()).toEqual(["p"]);
  left.ask({ type: "settle_transfer", serial: 1, verdict: "accepted" });
  expect(left.state().deletion?.revokedCount).toBe(0);
  const returned = leavingSource();
  returned.ask({ type: "delete_session", cancelOrphans: false, reason: "" });
  returned.ask({ type: "settle_transfer", serial: 1, verdict: "deleted" });
  expect(returned.shown()).toEqual([]);
  returned.confirm("orphaned");
  expect(returned.state().deletion).toMatchObject({ revokedCount: 1, orphaned: ["p"] });
});

test("two transfers may be under way, and the second target learns what is settled", () => {
  const story = sessionStory();
  for (const name of ["p", "q"]) story.grant(name);
  story.begin("target", "p");
  story.begin("other", "q");
  story.ask({ type: "settle_transfer", serial: 1, verdict: "accepted" });
  const [second] = transferDeliveriesOf(story.state());
  expect(second).toMatchObject({ serial: 2, toSessionId: "other", settledBelow: 2 });
  expect(story.shown()).toEqual(processes("q"));
});
