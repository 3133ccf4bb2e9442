// A client that watches the processes of a namespace and never misses one: it remembers the cursor
// of the last bookmark, in a file if there is to be one, and resumes behind it after whatever went
// wrong, at any replica.
//
//   node examples/watch-processes/main.ts [--address http://127.0.0.1:7420] [--kind indexer]
//                                         [--namespace default] [--cursor-file cursor.txt]
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ProcessState } from "../../gen/keelson/process/v1/messages_pb.ts";
import {
  type ProcessChange,
  ProcessRegistryService,
} from "../../gen/keelson/process/v1/service_pb.ts";

const { values: options } = parseArgs({
  options: {
    address: { type: "string", default: "http://127.0.0.1:7420" },
    namespace: { type: "string", default: "default" },
    kind: { type: "string" },
    "cursor-file": { type: "string" },
  },
});
const PAUSE_MS = 500;
/** After these the same watch may succeed; everything else is a mistake of ours. */
const PASSING = new Set([Code.Unavailable, Code.ResourceExhausted, Code.Aborted, Code.Internal]);

const cursorFile = options["cursor-file"];
let cursor =
  cursorFile !== undefined && existsSync(cursorFile) ? readFileSync(cursorFile, "utf8") : "";

const inNamespace: Interceptor = (next) => (request) => {
  request.header.set("keelson-namespace", options.namespace);
  return next(request);
};
const transport = createGrpcTransport({ baseUrl: options.address, interceptors: [inNamespace] });
const processes = createClient(ProcessRegistryService, transport);

function wordOf(state: ProcessState): string {
  const known = Object.entries(ProcessState).find(([, value]) => value === state);
  return known?.[0].toLowerCase() ?? "unknown";
}

function show({ process: changed, initial, pruned }: ProcessChange): void {
  if (changed === undefined) return;
  const state = pruned ? "pruned" : wordOf(changed.state);
  const holder = changed.lease?.owner?.ownerId ?? "nobody";
  const mark = initial ? " (there already)" : "";
  const facts = `revision ${changed.revision}, ${changed.lastSequence} events, held by ${holder}`;
  process.stdout.write(`${changed.processId}: ${state}, ${facts}${mark}\n`);
}

/** Keeps a cursor only once everything before it was shown. */
function keep(next: string): void {
  cursor = next;
  if (cursorFile !== undefined) writeFileSync(cursorFile, cursor);
}

async function watch(): Promise<void> {
  const { kind } = options;
  const stream = processes.watchProcesses({
    afterCursor: cursor,
    includeInitial: cursor === "",
    ...(kind === undefined ? {} : { kind }),
  });
  for await (const { message } of stream) {
    if (message.case === "change") show(message.value);
    else if (message.case === "bookmark") keep(message.value.cursor);
    else if (message.case === "end") keep(message.value.resumeAfterCursor);
  }
}

for (;;) {
  try {
    await watch();
  } catch (error) {
    const { code, message } = ConnectError.from(error);
    if (!PASSING.has(code)) throw error;
    process.stderr.write(`${message}; watching again\n`);
  }
  await delay(PAUSE_MS);
}
