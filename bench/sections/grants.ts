/**
 * (k) ListHandleGrants over a session with many grants: one page, and all of them; beside it how
 * long granting takes, and moving a thousand grants to another session in one call.
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ProcessDisposition } from "../../gen/keelson/process/v1/messages_pb.ts";
import { ProcessRegistryService } from "../../gen/keelson/process/v1/service_pb.ts";
import type { BenchEnvironment } from "../support/environment.ts";
import { startBenchServer } from "../support/servers.ts";
import { percentile } from "../support/stats.ts";

const GRANTS = 10_000;
const PAGE = 1000;
const CALLERS = 64;
const SCOPE = { sessionId: "session" };

/** Calls for every item, some at a time; answers how long it took. */
async function forAll(count: number, call: (index: number) => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await call(index);
  };
  await Promise.all(Array.from({ length: CALLERS }, work));
  return performance.now() - startedMs;
}

/** Runs the section. */
export async function benchGrants(environment: BenchEnvironment): Promise<void> {
  const { report, scale, unique, dataDirectory } = environment;
  const server = await startBenchServer("journal", `grants-${unique}`, dataDirectory);
  const transport = createGrpcTransport({ baseUrl: server.url });
  const client = createClient(ProcessRegistryService, transport);
  const section = "k";

  const nameOf = (index: number): string => `process-${String(index).padStart(5, "0")}`;
  await forAll(GRANTS, (index) =>
    client.registerProcess({
      registration: {
        processId: nameOf(index),
        input: { kind: { case: "external", value: {} } },
        provenance: { originator: { case: "host", value: {} } },
        disposition: ProcessDisposition.EXTERNALLY_OWNED,
      },
    }),
  );
  const grantedMs = await forAll(GRANTS, (index) =>
    client.grantHandle({ scope: SCOPE, processId: nameOf(index) }),
  );
  const rate = GRANTS / (grantedMs / 1000);
  report.add({
    section,
    name: "GrantHandle, 64 callers, one session",
    value: rate,
    unit: "grants/s",
  });

  const pages: number[] = [];
  const wholes: number[] = [];
  for (let round = 0; round < scale.rounds * 3; round += 1) {
    let pageToken = "";
    let count = 0;
    const startedMs = performance.now();
    do {
      const pageStartedMs = performance.now();
      const page = await client.listHandleGrants({ scope: SCOPE, pageSize: PAGE, pageToken });
      pages.push(performance.now() - pageStartedMs);
      count += page.entries.length;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    wholes.push(performance.now() - startedMs);
    if (count !== GRANTS) throw new Error(`${count} grants were listed instead of ${GRANTS}`);
  }
  const many = GRANTS.toLocaleString("en-US");
  const name = `ListHandleGrants of ${many}`;
  report.add({
    section,
    name: `${name}, a page of 1,000, p50`,
    value: percentile(pages, 0.5),
    unit: "ms",
  });
  report.add({
    section,
    name: `${name}, all pages, p50`,
    value: percentile(wholes, 0.5),
    unit: "ms",
  });

  const processIds = Array.from({ length: PAGE }, (_process, index) => nameOf(index));
  const startedMs = performance.now();
  const to = { sessionId: "other" };
  await client.transferHandleGrants({ from: SCOPE, to, processIds });
  const value = performance.now() - startedMs;
  report.add({ section, name: "TransferHandleGrants of 1,000 grants", value, unit: "ms" });
  await server.stop();
}
