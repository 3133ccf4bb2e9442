// What clients do to sessions, processes and runtimes while the world is in trouble. A client whose
// replica dies never hears what became of its call and goes on at another one.
import type { DescribedProcess } from "../../../src/core/process/core-types.ts";
import { completeRegistration } from "../../../src/core/process/core-types.ts";
import type { LeaseProof, ProcessCommand } from "../../../src/core/process/commands.ts";
import { runtimeAggregate } from "../../../src/core/runtime/aggregate.ts";
import type { RuntimeCommand } from "../../../src/core/runtime/commands.ts";
import {
  namespaceOf,
  processIdOf,
  runtimeIdOf,
  sessionIdOf,
} from "../../../src/core/shared/ids.ts";
import { RefusedError } from "../../../src/core/shared/refusal.ts";
import type { CommandEnvelope } from "../../../src/engine/stream-entry.ts";
import { nameOf } from "./flow-codec.ts";
import { registerJob, workOnce } from "./flow-workers.ts";
import { type FlowReplica, type FlowWorld } from "./flow-world.ts";
import type { Tape } from "./tape.ts";

/** Sessions; the runtime of the last one is not there before the world is healed. */
export const SESSIONS = ["one", "two", "three"] as const;
/** Processes. */
export const PROCESSES = ["p", "q", "r"] as const;
const FRAMES = ["", "frame"] as const;
const NAMESPACE = namespaceOf("default");

/** What clients saw that must not be; empty when all is well. */
export interface ClientLog {
  readonly surprises: string[];
  answered: number;
  /** Every hold that a worker was granted, also those that are over. */
  readonly holds: LeaseProof[];
}

function clientEnvelope<Command extends { readonly type: string }>(
  command: Command,
): CommandEnvelope<Command> {
  return { command, name: command.type, actor: "client", bytes: 200 };
}

function registration(): DescribedProcess {
  return {
    input: { type: "external", metadata: {} },
    eventTypes: [
      {
        name: "news",
        payloadSchema: true,
        semantics: {
          wake: { input: { type: "payload" }, dedupe: { type: "event_identity" } },
        },
      },
    ],
    provenance: { originator: { type: "host" } },
    disposition: "externally_owned",
    labels: {},
  };
}

function ensure(runtimeId: string): RuntimeCommand {
  const { config } = runtimeAggregate.initial;
  const defaults = { ...config, queueLimit: 10_000, attemptLimit: 3 };
  return { type: "ensure_runtime", runtimeId: runtimeIdOf(runtimeId), config: {}, defaults };
}

/** Registers a runtime, where it is not there yet. */
export function ensureRuntime(world: FlowWorld, runtimeId: string): void {
  world.database.decide(world.aggregates.runtimes, nameOf("runtime", runtimeId), ensure(runtimeId));
}

/** Registers everything that is there from the beginning. */
export function settleWorld(world: FlowWorld): void {
  for (const name of PROCESSES) {
    world.database.decide(world.aggregates.processes, nameOf("process", name), {
      type: "register_process",
      processId: processIdOf(name),
      registration: completeRegistration(registration()),
      registrationHash: name,
    });
  }
  registerJob(world);
  for (const name of SESSIONS.slice(0, 2)) ensureRuntime(world, name);
}

function pickOf<Item>(tape: Tape, items: readonly Item[]): Item {
  const item = items[tape.pick(items.length)];
  if (item === undefined) throw new Error("there is nothing to pick from");
  return item;
}

async function grantOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const processId = processIdOf(pickOf(tape, PROCESSES));
  const frameId = pickOf(tape, FRAMES);
  const descriptor = { label: `${tape.pick(9)}` };
  await replica.calls.grant({
    namespace: NAMESPACE,
    sessionId: sessionIdOf(pickOf(tape, SESSIONS)),
    envelope: clientEnvelope({ type: "grant_handle" as const, frameId, processId, descriptor }),
  });
}

async function revokeOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const command = {
    type: "revoke_handle" as const,
    frameId: pickOf(tape, FRAMES),
    processId: processIdOf(pickOf(tape, PROCESSES)),
  };
  await replica.calls.revoke({
    namespace: NAMESPACE,
    sessionId: sessionIdOf(pickOf(tape, SESSIONS)),
    envelope: clientEnvelope(command),
  });
}

async function transferOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const sessionId = pickOf(tape, SESSIONS);
  const others = SESSIONS.filter((other) => other !== sessionId);
  const first = tape.pick(PROCESSES.length);
  const processIds = PROCESSES.slice(first, first + 1 + tape.pick(2)).map(processIdOf);
  const scopes = { fromFrameId: pickOf(tape, FRAMES), toFrameId: pickOf(tape, FRAMES), processIds };
  const call = { namespace: NAMESPACE, sessionId: sessionIdOf(sessionId) };
  if (tape.chance(150)) {
    const command = { type: "move_handles" as const, ...scopes };
    await replica.calls.move({ ...call, envelope: clientEnvelope(command) });
    return;
  }
  const toSessionId = sessionIdOf(pickOf(tape, others));
  const command = { type: "begin_transfer" as const, toSessionId, ...scopes };
  await replica.calls.transfer({ ...call, envelope: clientEnvelope(command) });
}

async function deleteOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const command = {
    type: "delete_session" as const,
    cancelOrphans: tape.chance(700),
    reason: "session deleted",
  };
  await replica.calls.deleteSession({
    namespace: NAMESPACE,
    sessionId: sessionIdOf(pickOf(tape, SESSIONS)),
    envelope: clientEnvelope(command),
  });
}

async function submitProcess(
  replica: FlowReplica,
  name: string,
  command: ProcessCommand,
): Promise<void> {
  await replica.streams.processes.submit(nameOf("process", name), clientEnvelope(command));
}

async function newsOnce(replica: FlowReplica, tape: Tape, serial: number): Promise<void> {
  const name = pickOf(tape, PROCESSES);
  await submitProcess(replica, name, {
    type: "append_event",
    processId: processIdOf(name),
    eventType: "news",
    payload: `news ${serial}`,
    bodyHash: `${serial}`,
    wakeRuntimeId: runtimeIdOf(pickOf(tape, SESSIONS)),
    schemaVerdict: { type: "valid" },
  });
}

/** Ends a process, and sometimes its retention. */
async function endOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const name = pickOf(tape, PROCESSES);
  const processId = processIdOf(name);
  await submitProcess(replica, name, {
    type: "complete_process",
    processId,
    output: { type: "success", value: null },
    bodyHash: name,
    by: { type: "external_owner", grantedTo: "client" },
  });
  if (!tape.chance(500)) return;
  const before = Number.MAX_SAFE_INTEGER;
  await submitProcess(replica, name, { type: "prune_process", processId, before });
}

async function destroyOnce(replica: FlowReplica, tape: Tape): Promise<void> {
  const stream = nameOf("runtime", pickOf(tape, SESSIONS));
  await replica.streams.runtimes.submit(stream, clientEnvelope({ type: "destroy" }));
}

function wish(replica: FlowReplica, tape: Tape, log: ClientLog, serial: number): Promise<void> {
  const choice = tape.pick(100);
  if (choice < 38) return grantOnce(replica, tape);
  if (choice < 46) return revokeOnce(replica, tape);
  if (choice < 78) return transferOnce(replica, tape);
  if (choice < 81) return deleteOnce(replica, tape);
  if (choice < 89) return workOnce(replica, tape, log.holds, serial);
  if (choice < 97) return newsOnce(replica, tape, serial);
  if (choice < 99) return endOnce(replica, tape);
  return destroyOnce(replica, tape);
}

/** One client with so many wishes. */
export async function liveAsFlowClient(
  world: FlowWorld,
  tape: Tape,
  log: ClientLog,
  first: number,
  wishes: number,
): Promise<void> {
  for (let serial = first; serial < first + wishes; serial += 1) {
    const replica = pickOf(tape, world.replicas());
    const end = wish(replica, tape, log, serial).then(
      () => {
        log.answered += 1;
      },
      (error: unknown) => {
        if (!(error instanceof RefusedError)) log.surprises.push(String(error));
      },
    );
    await Promise.race([end, replica.death]);
  }
}
