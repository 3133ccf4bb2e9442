/** The stream that an administrative request names. */
import type { StreamName } from "../core/shared/ids.ts";
import { streamName } from "../engine/stream-name.ts";
import type { StreamReference } from "../../gen/keelson/admin/v1/messages_pb.ts";
import type { AdminStreams } from "./admin-options.ts";
import { checkId, type FieldCheck, violate } from "./codec/field-check.ts";

/** A stream with what serves it. */
export interface NamedStream {
  readonly stream: StreamName;
  readonly address: { readonly kind: string; readonly namespace: string; readonly id: string };
  /** Undefined when the kind was refused. */
  readonly streams: AdminStreams | undefined;
}

/** The stream that `stream` names; its namespace is that of the call unless it says another. */
export function checkStream(
  check: FieldCheck,
  namespace: string,
  reference: StreamReference | undefined,
  kinds: ReadonlyMap<string, AdminStreams>,
): NamedStream {
  if (reference === undefined) violate(check, "stream", "is required");
  const { kind = "", id = "" } = reference ?? {};
  const address = { kind, namespace: reference?.namespace || namespace, id };
  checkId(check, address.namespace, "stream.namespace");
  checkId(check, id, "stream.id");
  const streams = kinds.get(kind);
  if (!streams) violate(check, "stream.kind", `must be one of ${[...kinds.keys()].join(", ")}`);
  return { stream: streamName(kind, address.namespace, id), address, streams };
}
