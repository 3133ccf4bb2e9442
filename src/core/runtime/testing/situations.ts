/** A runtime in each situation that the table of actions knows, for tests. */
import type { Situation } from "../table.ts";
import { prompt, registeredStory, type Story } from "./story.ts";

const RETIRE = { type: "retire", abandonIfUnattached: false } as const;

/** A runtime in each situation of the table, with one input queued where that is possible. */
export const STORIES_IN: Readonly<Record<Situation, () => Story>> = {
  idle: () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    return story;
  },
  attached: () => {
    const story = STORIES_IN.idle();
    story.attach();
    return story;
  },
  running: () => {
    const story = registeredStory();
    story.ingest("a", prompt("a"));
    story.ingest("b", prompt("b"));
    story.assign();
    story.acknowledge();
    return story;
  },
  retired: () => {
    const story = STORIES_IN.idle();
    story.do(RETIRE, "report");
    return story;
  },
  draining: () => {
    const story = STORIES_IN.running();
    story.do(RETIRE, "report");
    return story;
  },
  stopped: () => {
    const story = STORIES_IN.idle();
    story.do({ type: "stop" }, "report");
    return story;
  },
  destroyed: () => {
    const story = STORIES_IN.idle();
    story.do({ type: "destroy" }, "report");
    return story;
  },
};
