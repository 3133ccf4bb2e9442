/** Who calls and on whose behalf: what the headers of a call say, checked once. */
import type { HandlerContext } from "@connectrpc/connect";
import { type Namespace, namespaceOf } from "../core/shared/ids.ts";
import { ID_BYTES_MAX } from "./codec/field-check.ts";
import { invalidFields } from "./errors.ts";

/** Header that names the namespace of a call. */
export const NAMESPACE_HEADER = "keelson-namespace";
/** Header that names who asks; recorded, not verified. */
export const ACTOR_HEADER = "keelson-actor";

const TRACE_PARENT_HEADER = "traceparent";
const NAMESPACE_DEFAULT = "default";
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
const TRACE_PARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What the headers of a call say. */
export interface Caller {
  readonly namespace: Namespace;
  /** Unverified. */
  readonly actor?: string;
  /** W3C trace parent. */
  readonly traceParent?: string;
}

function checkedHeader(name: string, value: string): string {
  if (value.length <= ID_BYTES_MAX && PRINTABLE_ASCII.test(value)) return value;
  const description = `must be 1 to ${ID_BYTES_MAX} characters of printable ASCII`;
  throw invalidFields([{ field: name, description }]);
}

/** The trace parent of a call; a malformed one is left out, as the standard wants it. */
export function traceParentOf(header: Headers): string | undefined {
  const value = header.get(TRACE_PARENT_HEADER);
  return value !== null && TRACE_PARENT.test(value) ? value : undefined;
}

/** Who calls. Throws INVALID_FIELD for a namespace or an actor that cannot be one. */
export function callerOf(context: Pick<HandlerContext, "requestHeader">): Caller {
  const header = context.requestHeader;
  const namespace = header.get(NAMESPACE_HEADER) || NAMESPACE_DEFAULT;
  const actor = header.get(ACTOR_HEADER);
  const traceParent = traceParentOf(header);
  return {
    namespace: namespaceOf(checkedHeader(NAMESPACE_HEADER, namespace)),
    ...(actor ? { actor: checkedHeader(ACTOR_HEADER, actor) } : {}),
    ...(traceParent === undefined ? {} : { traceParent }),
  };
}
