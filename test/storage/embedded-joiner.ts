// A replica in a process of its own, for tests of sharing: joins the embedded database named by its
// first argument, says who serves it, and leaves when its standard input ends.
import { pino } from "pino";
import { z } from "zod";
import { startEmbedded } from "../../src/embedded/launcher.ts";

const optionsSchema = z.object({
  dataDirectory: z.string(),
  runtimeDirectory: z.string(),
  cacheDirectory: z.string(),
  environment: z.record(z.string(), z.string()),
});

const options = optionsSchema.parse(JSON.parse(process.argv[2] ?? ""));
const database = await startEmbedded({
  ...options,
  logger: pino({ level: "silent" }),
  onEvent: tell,
});
tell({ kind: "joined", pid: database.pid(), uri: database.uri });
process.stdin.resume();
process.stdin.once("end", () => {
  database.leave().catch((error: unknown) => tell({ kind: "failed", error: String(error) }));
});

function tell(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}
