// Writes `examples/demo/inputs.jsonl`: `npx node examples/demo/inputs/main.ts`.
import { writeFileSync } from "node:fs";
import { inputsFile } from "./plan.ts";

writeFileSync(new URL("../inputs.jsonl", import.meta.url), inputsFile());
