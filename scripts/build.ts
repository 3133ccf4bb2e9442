// `npm run build`: compiles the sources to JavaScript and declarations in dist/, for the published
// package and the image. A checkout never needs it.
import { rm } from "node:fs/promises";
import { runOrThrow } from "./processes.ts";

await rm("dist", { recursive: true, force: true });
await runOrThrow("tsc", ["--project", "tsconfig.build.json"]);
