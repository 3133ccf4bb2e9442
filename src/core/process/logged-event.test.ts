import { expect, test } from "vitest";
import { loggedEventsOf } from "./logged-event.ts";
import { owner, PROCESS_ID, registeredStory } from "./testing/story.ts";

test("the logged events of a commit have their places, counted from the first event on", () => {
  const story = registeredStory({ disposition: "owner_bound" });
  story.lapse(story.do(story.claimCommand(owner("a")), "leased").lease);
  story.do({ type: "request_abandon", processId: PROCESS_ID, requestedBy: "operator" }, "done");
  const commit = story.commits.at(-1);
  const logged = loggedEventsOf(commit?.events ?? [], { revision: 4, index: 7, at: 12 });
  expect(logged.map(({ place, at, appended }) => [place, at, appended.eventType])).toEqual([
    [{ sequence: 1, revision: 4, eventIndex: 8 }, 12, "process.abandoned"],
  ]);
});
