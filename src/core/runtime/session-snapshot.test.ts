import { expect, test } from "vitest";
import { prompt, registeredStory, type Story } from "./testing/story.ts";

/** Runs an input to its end; its one boundary carries a snapshot, if one is given. */
function run(story: Story, name: string, sessionSnapshot?: string): void {
  story.ingest(name, prompt("text"));
  story.assign();
  const snapshot = sessionSnapshot === undefined ? {} : { sessionSnapshot };
  story.do({ ...story.boundaryCommand(story.run().staged), ...snapshot }, "boundary");
  story.complete();
}

test("the latest session snapshot stays, over runs without one, resets and reloads", () => {
  const story = registeredStory();
  expect(story.state.sessionSnapshot).toBeNull();
  run(story, "a", "digest-1");
  const { sessionSnapshot } = story.state;
  expect(sessionSnapshot).toMatchObject({ digest: "digest-1", sequence: 0, revision: 4 });
  run(story, "b");
  story.do({ type: "reset" }, "report");
  story.reload();
  expect(story.state.sessionSnapshot).toEqual(sessionSnapshot);
  run(story, "c", "digest-2");
  expect(story.state.sessionSnapshot?.digest).toBe("digest-2");
});

test("a final boundary carries one as well", () => {
  const story = registeredStory();
  story.ingest("a", prompt("text"));
  const { runId, staged } = story.assign();
  const finalBoundary = {
    boundary: "run_start",
    inputIds: staged,
    messageCount: 1,
    sessionSnapshot: "digest-1",
  } as const;
  story.do({ ...story.completeCommand(), finalBoundary }, "run_ended");
  expect(story.state.sessionSnapshot).toMatchObject({ digest: "digest-1", runId });
});
