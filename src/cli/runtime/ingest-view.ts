/** What became of an ingested input, in words. */
import {
  type IngestAccepted,
  type IngestDeduplicated,
  type IngestRejected,
  RuntimeState,
} from "../../../gen/keelson/runtime/v1/messages_pb.ts";
import { enumWord, printable } from "../client/format.ts";

/** The outcomes that unary calls, batches and streams have in common. */
export type IngestOutcomeCase =
  | { readonly case: "accepted"; readonly value: IngestAccepted }
  | { readonly case: "deduplicated"; readonly value: IngestDeduplicated }
  | { readonly case: "rejected"; readonly value: IngestRejected };

/** Says what became of an input, in words. */
export function outcomeText(outcome: IngestOutcomeCase): string {
  switch (outcome.case) {
    case "accepted":
      return `accepted ${printable(outcome.value.inputId)}`;
    case "deduplicated": {
      const { existingId, sameContent } = outcome.value;
      const content = sameContent ? "the same content" : "OTHER CONTENT";
      return `known already as ${printable(existingId)}, with ${content}`;
    }
    case "rejected": {
      const { reason } = outcome.value;
      if (reason.case === "notReady") {
        return `rejected: the runtime is ${enumWord(RuntimeState, reason.value.state)}`;
      }
      return `rejected: ${printable(reason.value?.detail ?? "without a reason")}`;
    }
  }
}
