/** The pages for supervisors and people: `/healthz`, `/readyz`, `/metrics`, and a word at `/`. */
import type { Writable } from "node:stream";
import type { Metrics } from "../observability/metrics.ts";
import type { NodeRequestHandler, NodeResponse } from "../rpc/node-request.ts";
import type { ServerState } from "./server-state.ts";
import { SERVER_VERSION } from "./version.ts";

/** What a page answers. */
interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";

const FRONT_PAGE = `Keelson ${SERVER_VERSION}

/healthz   whether the process lives
/readyz    whether it should be sent calls
/metrics   for Prometheus

gRPC, gRPC-Web and Connect (JSON over POST) on this same port; the server describes its contract by
gRPC reflection.
`;

function jsonPage(status: number, body: object): Page {
  return { status, contentType: JSON_TYPE, text: `${JSON.stringify(body)}\n` };
}

/** Sends a page; what is already under way stays as it is. */
function send(response: NodeResponse, page: Page): void {
  const body: Writable = response;
  response.statusCode = page.status;
  response.setHeader("content-type", page.contentType);
  response.setHeader("content-length", Buffer.byteLength(page.text));
  response.setHeader("cache-control", "no-store");
  body.end(page.text);
}

/** Answers that nothing lives at a path. */
export function answerNotFound(response: NodeResponse): void {
  send(response, jsonPage(404, { code: "not_found", message: "Nothing is served at this path" }));
}

/** Makes the handler of the pages. */
export function makeOperationsHandler(state: ServerState, metrics: Metrics): NodeRequestHandler {
  const pages: Readonly<Record<string, () => Page | Promise<Page>>> = {
    "/": () => ({ status: 200, contentType: TEXT_TYPE, text: FRONT_PAGE }),
    "/healthz": () => jsonPage(200, { alive: true, phase: state.phase() }),
    "/readyz": () => {
      const report = state.report();
      return jsonPage(report.ready ? 200 : 503, report);
    },
    "/metrics": async () => ({
      status: 200,
      contentType: metrics.contentType,
      text: await metrics.text(),
    }),
  };

  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (!page) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      send(response, jsonPage(405, { code: "unimplemented", message: "This page is read by GET" }));
      return true;
    }
    Promise.resolve(page()).then(
      (made) => send(response, made),
      () => send(response, jsonPage(500, { code: "internal", message: "The page failed" })),
    );
    return true;
  };
}
