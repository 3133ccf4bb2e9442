// What workers do to the one process that is claimed in a story: they claim it, lose it without
// knowing, and write with holds that may be long over. And the judge of it: each hold has the next
// generation, and only what is written under the present one counts.
import type { LeaseProof, ProcessCommand } from "../../../src/core/process/commands.ts";
import { completeRegistration } from "../../../src/core/process/core-types.ts";
import type { ProcessStreamEvent } from "../../../src/core/process/events.ts";
import {
  incarnationIdOf,
  leaseTokenOf,
  ownerIdOf,
  processIdOf,
} from "../../../src/core/shared/ids.ts";
import { eventsAs, nameOf } from "./flow-codec.ts";
import type { JournalEntry } from "./flow-database.ts";
import type { FlowReplica, FlowWorld } from "./flow-world.ts";
import type { Tape } from "./tape.ts";

const JOB = nameOf("process", "job");
const PROCESS_ID = processIdOf("job");

/** Registers the process that is claimed. */
export function registerJob(world: FlowWorld): void {
  world.database.decide(world.aggregates.processes, JOB, {
    type: "register_process",
    processId: PROCESS_ID,
    registration: completeRegistration({
      input: { type: "engine", kind: "job", payload: null },
      eventTypes: [{ name: "step", payloadSchema: true, semantics: {} }],
      provenance: { originator: { type: "host" } },
      disposition: "rerunnable",
      labels: {},
      environmentRef: "none",
    }),
    registrationHash: "job",
  });
}

function writeCommand(tape: Tape, serial: number, lease: LeaseProof): ProcessCommand {
  if (tape.chance(700)) {
    return {
      type: "append_event",
      processId: PROCESS_ID,
      eventType: "step",
      payload: serial,
      bodyHash: `${serial}`,
      schemaVerdict: { type: "valid" },
      lease,
    };
  }
  return {
    type: "complete_process",
    processId: PROCESS_ID,
    output: { type: "success", value: serial },
    bodyHash: `${serial}`,
    by: { type: "lease", ...lease },
  };
}

/** One thing that some worker does; `holds` are all that were ever granted. */
export async function workOnce(
  replica: FlowReplica,
  tape: Tape,
  holds: LeaseProof[],
  serial: number,
): Promise<void> {
  const submit = async (command: ProcessCommand) => {
    const envelope = { command, name: command.type, actor: "client", bytes: 200 };
    return (await replica.streams.processes.submit(JOB, envelope)).reply;
  };
  const hold = holds[tape.pick(Math.max(1, holds.length))];
  const lot = tape.pick(10);
  if (hold === undefined || lot < 4) {
    const reply = await submit({
      type: "claim_lease",
      processId: PROCESS_ID,
      owner: { ownerId: ownerIdOf("worker"), incarnationId: incarnationIdOf(`life-${serial}`) },
      leaseToken: leaseTokenOf(`token-${serial}`),
      ttlMs: 1000,
      isForAnyWork: true,
    });
    if (reply.type === "leased") holds.push(reply.lease);
    return;
  }
  const lapse = { type: "lapse_lease" as const, leaseToken: hold.leaseToken };
  await submit(lot < 6 ? lapse : writeCommand(tape, serial, hold));
}

/** Looks at what workers do, commit by commit; `found` takes what must not be. */
export function makeFenceWatch(found: string[]): (entry: JournalEntry) => void {
  let generation = 0;
  let isHeld = false;
  return ({ stream, revision, events }) => {
    if (stream !== JOB) return;
    for (const event of eventsAs<ProcessStreamEvent>(events)) {
      if (event.type === "process_lease_claimed") {
        if (isHeld || event.generation !== generation + 1) {
          found.push(`${revision}: generation ${event.generation} was granted`);
        }
        ({ generation } = event);
        isHeld = true;
      } else if (event.type === "process_lease_lapsed") {
        isHeld = false;
      } else if (event.type === "process_event_appended") {
        const isPresent = isHeld && event.generation === generation;
        if (!isPresent) found.push(`${revision}: generation ${event.generation} wrote`);
        if (event.terminal !== undefined) isHeld = false;
      }
    }
  };
}
