/** Requests as Node's two HTTP servers hand them over, and those who serve them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouterOptions, ServiceImpl } from "@connectrpc/connect";

/** A request as either of Node's servers hands it over. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** The response that belongs to it. */
export type NodeResponse = ServerResponse | Http2ServerResponse;
/** Serves a request; answers false when the path is not one of its own. */
export type NodeRequestHandler = (request: NodeRequest, response: NodeResponse) => boolean;

/** Has a service served. */
export type RegisterService = <Service extends DescService>(
  service: Service,
  implementation: Partial<ServiceImpl<Service>>,
  callOptions: Partial<ConnectRouterOptions>,
) => void;

/** The content type of gRPC with binary messages. */
export const GRPC_CONTENT_TYPE = "application/grpc+proto";
const GRPC_CONTENT_TYPES = /^application\/grpc(?:\+proto)?$/i;

/** The headers of a request without the parts of its first line. */
export function headersOf({ headers }: NodeRequest): Headers {
  const copied = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":")) continue;
    for (const one of Array.isArray(value) ? value : [value ?? ""]) copied.append(name, one);
  }
  return copied;
}

/** Whether a request is gRPC over HTTP/2 with binary messages that are not compressed. */
export function isPlainGrpc(request: NodeRequest): request is Http2ServerRequest {
  if (!(request instanceof Http2ServerRequest) || request.method !== "POST") return false;
  const { headers } = request;
  const isAddressed = headers[":authority"] !== undefined || headers.host !== undefined;
  const isPlain = headers["grpc-encoding"] === undefined;
  return isAddressed && isPlain && GRPC_CONTENT_TYPES.test(headers["content-type"] ?? "");
}
