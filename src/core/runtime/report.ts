/** The report of a lifecycle action, read from the events that it committed. */
import type { RuntimeReply } from "./commands.ts";
import type { RuntimeEvent } from "./events.ts";

/** What a lifecycle action answers. */
export type Report = Extract<RuntimeReply, { readonly type: "report" }>;

/** The report of an action that touched no input. */
export function emptyReport(): Report {
  return {
    type: "report",
    inputsAbandoned: 0,
    inputsPendingDrain: 0,
    inputsTransferred: 0,
    inputsRecovered: 0,
    inputsRequeued: 0,
    details: [],
  };
}

/** The report that the event of an action stands for; undefined for other events. */
export function reportOf(event: RuntimeEvent): Report | undefined {
  const report = emptyReport();
  switch (event.type) {
    case "runtime_unregistered":
      return report;
    case "runtime_retired": {
      const { inputsAbandoned, inputsPendingDrain } = event;
      return { ...report, inputsAbandoned, inputsPendingDrain };
    }
    case "runtime_recycled":
      return { ...report, inputsTransferred: event.inputsTransferred };
    case "runtime_recovered": {
      const { inputsRecovered, inputsAbandoned, inputsRequeued, details } = event;
      return { ...report, inputsRecovered, inputsAbandoned, inputsRequeued, details };
    }
    case "runtime_reset":
    case "runtime_stopped":
    case "runtime_destroyed":
      return { ...report, inputsAbandoned: event.inputsAbandoned };
    default:
      return undefined;
  }
}
