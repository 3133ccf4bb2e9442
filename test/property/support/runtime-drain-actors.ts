// Who deals with the drains of simulated runtimes: the operator that says and takes back their
// ingress and aborts what runs, and executors that take drains, end them or die with them.
import type { RuntimeCommand } from "../../../src/core/runtime/commands.ts";
import { pause } from "./asking.ts";
import { type Holder, insist, look, type RuntimeScene } from "./runtime-asking.ts";

const ENDPOINT = { address: "inproc://here", peerName: "here", peerId: "peer-1" };
const EXITS = ["failed", "dismissed", "session_shutdown"] as const;

/** Says ingress so many times, sometimes that there is none; now and then aborts the drain. */
export async function sayIngress(scene: RuntimeScene, changes: number): Promise<void> {
  const { tape, runtimeIds } = scene;
  for (let serial = 1; serial <= changes; serial += 1) {
    const runtimeId = runtimeIds[tape.pick(runtimeIds.length)] ?? "";
    const endpoint = tape.chance(200) ? null : ENDPOINT;
    const keepAlive = tape.chance(700);
    const command: RuntimeCommand = tape.chance(250)
      ? { type: "abort_drain" }
      : { type: "update_peer_ingress", keepAlive, endpoint };
    await insist(scene, runtimeId, command, `operator says ${serial}`);
    await pause(scene, tape.pick(30));
  }
}

/** Takes a drain that waits, or does something with the own one; false when the executor dies. */
export async function tendDrain(
  scene: RuntimeScene,
  runtimeId: string,
  holder: Holder,
): Promise<boolean> {
  const { tape, history } = scene;
  const state = await look(scene, runtimeId);
  if (!state || state.registration !== "registered") return true;
  const { phase, host, sequence } = state.drain;
  if (phase === "starting" || phase === "exited_respawnable") {
    const actor = `${holder.incarnationId} hosts after ${history.now()}`;
    await insist(scene, runtimeId, { type: "host_drain", ...holder }, actor);
    return true;
  }
  if (host?.incarnationId !== holder.incarnationId) return true;
  if (tape.chance(250)) return false;
  const reason = EXITS[tape.pick(EXITS.length)] ?? "failed";
  const actor = `${holder.incarnationId} ends drain ${sequence} after ${history.now()}`;
  await insist(scene, runtimeId, { type: "notify_drain_exited", reason, sequence }, actor);
  return true;
}
