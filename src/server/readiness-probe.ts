/** Asks a server on this machine whether it is ready, for the health check of a container. */
import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { ServerConfig } from "../config/config.ts";

const PROBE_TIMEOUT_MS = 3_000;

/** The address under which a server that listens on `host` is reached from this machine. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** True when the server of this configuration answers that it is ready. */
export function probeReadiness(config: ServerConfig): Promise<boolean> {
  const isTls = config.tlsCertificateFile !== undefined;
  const options = {
    host: reachableHost(config.host),
    port: config.port,
    path: "/readyz",
    timeout: PROBE_TIMEOUT_MS,
    agent: false,
  };
  return new Promise((resolve) => {
    const onAnswer = (answer: IncomingMessage): void => {
      answer.resume();
      resolve(answer.statusCode === 200);
    };
    // The certificate is made for the names clients use, not for this machine's own address.
    const request: ClientRequest = isTls
      ? requestHttps({ ...options, rejectUnauthorized: false }, onAnswer)
      : requestHttp(options, onAnswer);
    request.once("timeout", () => request.destroy());
    request.once("error", () => resolve(false));
    request.once("close", () => resolve(false));
    request.end();
  });
}
