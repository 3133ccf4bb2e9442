import { describe, expect, test } from "vitest";
import type { DrainExitReason, DrainPhase } from "./drain-state.ts";
import { DESIRED_DRAIN_MODES, DRAIN_STEPS } from "./drain-table.ts";
import { executor, prompt, registeredStory, type Story } from "./testing/story.ts";

const ENDPOINT = { address: "inproc://agent-1", peerName: "agent-1", peerId: "peer-1" };

function update(story: Story, keepAlive: boolean, endpoint: typeof ENDPOINT | null = ENDPOINT) {
  const command = { type: "update_peer_ingress", keepAlive, endpoint } as const;
  return story.do(command, "ingress_updated").spawned;
}

function host(story: Story, name = "worker"): boolean {
  return story.do({ type: "host_drain", ...executor(name) }, "drain_hosted").hosted;
}

function exited(story: Story, reason: DrainExitReason, sequence = 0): boolean {
  return story.do({ type: "notify_drain_exited", reason, sequence }, "drain_ended").ended;
}

function abort(story: Story, sequence?: number): boolean {
  const drain = sequence === undefined ? {} : { sequence };
  return story.do({ type: "abort_drain", ...drain }, "drain_ended").ended;
}

function phaseOf(story: Story): DrainPhase {
  return story.state.drain.phase;
}

/** A runtime that is kept alive, its drain at executor `worker`. */
function hostedStory(): Story {
  const story = registeredStory();
  update(story, true);
  host(story);
  return story;
}

describe("the machine", () => {
  const phases: readonly DrainPhase[] = [
    "inactive",
    "starting",
    "running",
    "exited_respawnable",
    "stopped",
  ];

  test("drain transitions: every event from every phase", () => {
    const table = Object.entries(DRAIN_STEPS).map(([event, { from, to }]) => {
      const legal: readonly string[] = from;
      return [event, phases.map((phase) => (legal.includes(phase) ? to : "-")).join(" ")];
    });
    expect(Object.fromEntries(table)).toEqual({
      drain_started: "starting - - starting starting",
      drain_spawned: "- running - - -",
      drain_exited: "- stopped stopped - -",
      drain_exited_respawnable: "- exited_respawnable exited_respawnable - -",
      drain_aborted: "- stopped stopped stopped -",
    });
  });

  test("desired mode table", () => {
    const modes = Object.entries(DESIRED_DRAIN_MODES).map(([state, mode]) => {
      return `${state}: ${mode.kept_alive}, ${mode.not_kept_alive}`;
    });
    expect(modes).toEqual([
      "idle: persistent_host, none",
      "attached: attached_session, attached_session",
      "running: attached_session, attached_session",
      "retired: none, none",
      "stopped: none, none",
      "destroyed: none, none",
    ]);
  });
});

describe("peer ingress", () => {
  test("idle_non_host_sessions_do_not_spawn", () => {
    const story = registeredStory();
    expect(update(story, false)).toBe(false);
    expect(phaseOf(story)).toBe("inactive");
    expect(story.state.peerEndpoint).toEqual(ENDPOINT);
  });

  test("without an endpoint nothing is spawned, kept alive or not", () => {
    const story = registeredStory();
    expect(update(story, true, null)).toBe(false);
    expect(story.state.config.keepAlive).toBe(true);
    expect(phaseOf(story)).toBe("inactive");
  });

  test("only the call that spawned a drain is answered true", () => {
    const story = registeredStory();
    expect(update(story, true)).toBe(true);
    expect(update(story, true)).toBe(false);
    host(story);
    expect(update(story, true, { ...ENDPOINT, address: "inproc://other" })).toBe(false);
    expect(phaseOf(story)).toBe("running");
    expect(story.state.drain.sequence).toBe(1);
  });

  test("attached_sessions_spawn_attached_comms_drains_without_keep_alive", () => {
    const story = registeredStory();
    story.attach();
    expect(update(story, false)).toBe(true);
    expect(story.state.drain.mode).toBe("attached_session");
    expect(host(story, "another")).toBe(false);
    expect(host(story)).toBe(true);
    expect(story.state.drain.host).toEqual(executor("worker"));
  });

  test("an executor that attaches later gets the drain of a runtime with an ingress", () => {
    const story = registeredStory();
    update(story, false);
    story.attach();
    expect(story.lastEvents()).toEqual(["lease_granted", "drain_started"]);
  });

  test("keep_alive taken away aborts the drain of an idle runtime", () => {
    const story = hostedStory();
    expect(update(story, false)).toBe(false);
    expect(story.lastEvents()).toEqual(["peer_ingress_updated", "drain_aborted"]);
    expect(phaseOf(story)).toBe("stopped");
  });

  test("an active drain keeps its mode and its executor while others run", () => {
    const story = hostedStory();
    story.ingest("a", prompt("text"));
    story.assign("another");
    expect(story.state.drain).toMatchObject({
      phase: "running",
      mode: "persistent_host",
      host: executor("worker"),
    });
    story.boundary();
    story.complete();
    expect(phaseOf(story)).toBe("running");
  });

  test("a pooled run of a runtime that is not kept alive has a drain while it runs", () => {
    const story = registeredStory();
    update(story, false);
    story.ingest("a", prompt("text"));
    story.assign();
    expect(host(story)).toBe(true);
    story.boundary();
    story.complete();
    expect(story.lastEvents()).toContain("drain_aborted");
    expect(phaseOf(story)).toBe("stopped");
  });
});

describe("the end of a drain", () => {
  test("dismiss_exit_updates_authority_before_join: stopped, and it stays so", () => {
    const story = hostedStory();
    expect(exited(story, "dismissed")).toBe(true);
    expect(story.state.drain).toMatchObject({ phase: "stopped", lastExit: "dismissed" });
    expect(host(story)).toBe(false);
    expect(update(story, true)).toBe(true);
  });

  test("a failed persistent drain is respawnable, after a backoff that doubles", () => {
    const story = hostedStory();
    const waits: number[] = [];
    for (let failures = 1; failures <= 8; failures += 1) {
      exited(story, "failed");
      expect(phaseOf(story)).toBe("exited_respawnable");
      expect(host(story)).toBe(false);
      waits.push(story.state.drain.notBefore - story.now);
      story.now = story.state.drain.notBefore;
      expect(host(story)).toBe(true);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60].map((seconds) => seconds * 1_000));
    expect(story.state.drain.sequence).toBe(9);
  });

  test("a drain that ran for a minute begins with the shortest backoff again", () => {
    const story = hostedStory();
    for (let failures = 1; failures <= 3; failures += 1) {
      exited(story, "failed");
      story.now = story.state.drain.notBefore;
      host(story);
    }
    story.now += 60_000;
    exited(story, "failed");
    expect(story.state.drain.notBefore - story.now).toBe(1_000);
  });

  test("a failed attached drain is stopped and started anew while it is wanted", () => {
    const story = registeredStory();
    story.attach();
    update(story, false);
    host(story);
    exited(story, "failed");
    expect(story.lastEvents()).toEqual(["drain_exited", "drain_started"]);
    expect(story.commits.at(-1)?.events[0]).toMatchObject({ isRespawnable: false });
    expect(phaseOf(story)).toBe("starting");
  });

  test("saying the ingress anew restarts a failed drain at once", () => {
    const story = hostedStory();
    exited(story, "failed");
    expect(update(story, true)).toBe(true);
    expect(host(story)).toBe(true);
  });

  test("an exit of an earlier drain, and one where none is active, change nothing", () => {
    const story = hostedStory();
    exited(story, "failed");
    story.now = story.state.drain.notBefore;
    host(story);
    expect(exited(story, "dismissed", 1)).toBe(false);
    expect(phaseOf(story)).toBe("running");
    expect(exited(story, "aborted", 2)).toBe(true);
    expect(exited(story, "failed")).toBe(false);
  });

  test("abort is a no-op without a drain, and ends a waiting one, too", () => {
    const story = registeredStory();
    expect(abort(story)).toBe(false);
    update(story, true);
    expect(abort(story)).toBe(true);
    expect(abort(story)).toBe(false);
    update(story, true);
    host(story);
    exited(story, "failed");
    expect(abort(story)).toBe(true);
    expect(phaseOf(story)).toBe("stopped");
  });

  test("an abort that names an earlier drain leaves the present one alone", () => {
    const story = hostedStory();
    expect(abort(story, 1)).toBe(true);
    update(story, true);
    expect(abort(story, 1)).toBe(false);
    expect(phaseOf(story)).toBe("starting");
    expect(abort(story, 2)).toBe(true);
  });
});

describe("an executor that is lost", () => {
  test("a lapsed incarnation counts as failed, with the lease or without", () => {
    const idle = hostedStory();
    idle.do({ type: "lapse_lease", ...executor("worker") }, "released");
    expect(idle.state.drain).toMatchObject({ phase: "exited_respawnable", lastExit: "failed" });

    const attached = registeredStory();
    attached.attach();
    update(attached, true);
    host(attached);
    attached.do({ type: "lapse_lease", ...executor("worker") }, "released");
    expect(attached.state.drain).toMatchObject({ phase: "starting", mode: "persistent_host" });
    expect(attached.state.drain.lastExit).toBe("failed");
  });

  test("another incarnation's lapse changes nothing", () => {
    const story = hostedStory();
    const reply = story.do({ type: "lapse_lease", ...executor("another") }, "released");
    expect(reply.released).toBe(false);
    expect(phaseOf(story)).toBe("running");
  });

  test("one that detaches hands the drain on", () => {
    const story = hostedStory();
    story.do({ type: "release_lease", ...executor("worker") }, "released");
    expect(story.state.drain).toMatchObject({ phase: "starting", lastExit: "session_shutdown" });
    story.now = story.state.drain.notBefore;
    expect(host(story, "another")).toBe(true);
  });
});

describe("lifecycle", () => {
  test("unregister_session_aborts_spawned_drain, and the ingress goes, too", () => {
    const story = hostedStory();
    story.do({ type: "unregister_runtime", fenceExecutor: false }, "report");
    expect(story.lastEvents()).toEqual(["runtime_unregistered", "drain_aborted"]);
    story.ensure();
    expect(story.state.peerEndpoint).toBeNull();
    expect(phaseOf(story)).toBe("stopped");
  });

  test.each(["retire", "stop", "destroy"] as const)("%s aborts the drain", (type) => {
    const story = hostedStory();
    story.do(type === "retire" ? { type, abandonIfUnattached: false } : { type }, "report");
    expect(story.lastEvents()).toContain("drain_aborted");
    expect(phaseOf(story)).toBe("stopped");
  });

  test("recycle and reset bring it back", () => {
    const story = hostedStory();
    story.do({ type: "retire", abandonIfUnattached: false }, "report");
    story.do({ type: "recycle" }, "report");
    expect(phaseOf(story)).toBe("starting");
    story.do({ type: "stop" }, "report");
    story.do({ type: "reset" }, "report");
    expect(phaseOf(story)).toBe("starting");
  });

  test("a fence takes the drain from the executor that held the runtime", () => {
    const story = registeredStory();
    story.attach();
    update(story, true);
    host(story);
    story.do({ type: "recover", fenceExecutor: true }, "report");
    expect(story.lastEvents()).toEqual([
      "lease_fenced",
      "runtime_recovered",
      "drain_aborted",
      "drain_started",
    ]);
    expect(story.state.drain.mode).toBe("persistent_host");
  });

  test("a destroyed runtime takes no ingress", () => {
    const story = registeredStory();
    story.do({ type: "destroy" }, "report");
    const command = { type: "update_peer_ingress", keepAlive: true, endpoint: ENDPOINT } as const;
    expect(story.refused(command, "RUNTIME_DESTROYED").metadata).toMatchObject({
      state: "destroyed",
    });
  });
});
