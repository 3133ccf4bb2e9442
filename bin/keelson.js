#!/usr/bin/env -S node --max-semi-space-size=64 --no-allocation-site-pretenuring
// Young objects of a busy server live longer than Node's default nursery expects, and then they all
// die: so the nursery is large, and no place that makes them is taken for one of lasting objects.
//
// Starts the `keelson` command. A checkout runs the TypeScript sources as they are (type
// stripping); the published package carries no sources and runs the compiled files in dist/.
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";

enableCompileCache();

const source = new URL("../src/cli/main.ts", import.meta.url);
const compiled = new URL("../dist/src/cli/main.js", import.meta.url);
await import(existsSync(source) ? source.href : compiled.href);
