/** The enums of the process contract: every name of the core and its number on the wire. */
import type { AbandonWriter as CoreAbandonWriter } from "../../core/process/await-output.ts";
import type { RecoveryProspect } from "../../core/process/recovery.ts";
import type { Disposition } from "../../core/process/registration.ts";
import type { TerminalStatus } from "../../core/process/terms.ts";
import {
  AbandonWriter,
  ProcessDisposition,
  ProcessState,
  RecoveryOutcome,
} from "../../../gen/keelson/process/v1/messages_pb.ts";
import { makeEnumCodec } from "./enum-codec.ts";

/** Observable state of a process that is retained. */
export type ProcessStateName = "running" | TerminalStatus;

/** States of processes. */
export const processStates = makeEnumCodec<ProcessStateName, ProcessState>({
  running: ProcessState.RUNNING,
  completed: ProcessState.COMPLETED,
  failed: ProcessState.FAILED,
  cancelled: ProcessState.CANCELLED,
  abandoned: ProcessState.ABANDONED,
});

/** The final states of processes. */
export const terminalStates = makeEnumCodec<TerminalStatus, ProcessState>({
  completed: ProcessState.COMPLETED,
  failed: ProcessState.FAILED,
  cancelled: ProcessState.CANCELLED,
  abandoned: ProcessState.ABANDONED,
});

/** Who may run a process. */
export const dispositions = makeEnumCodec<Disposition, ProcessDisposition>({
  rerunnable: ProcessDisposition.RERUNNABLE,
  owner_bound: ProcessDisposition.OWNER_BOUND,
  externally_owned: ProcessDisposition.EXTERNALLY_OWNED,
});

/** What becomes of a live process that is recovered. */
export const recoveryOutcomes = makeEnumCodec<RecoveryProspect | "abandoned", RecoveryOutcome>({
  held: RecoveryOutcome.HELD,
  claimable: RecoveryOutcome.CLAIMABLE,
  waiting: RecoveryOutcome.WAITING,
  abandoned: RecoveryOutcome.ABANDONED,
  owner_lost: RecoveryOutcome.OWNER_LOST,
  exhausted: RecoveryOutcome.EXHAUSTED,
  outside: RecoveryOutcome.OUTSIDE,
});

/** Who found that a process is abandoned. */
export const abandonWriters = makeEnumCodec<CoreAbandonWriter, AbandonWriter>({
  owner_drain: AbandonWriter.OWNER_DRAIN,
  sweep: AbandonWriter.SWEEP,
  reconciled_request: AbandonWriter.RECONCILED_REQUEST,
  engine_gave_up: AbandonWriter.ENGINE_GAVE_UP,
});
