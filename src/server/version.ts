/** The version of this build. */
import manifest from "../../package.json" with { type: "json" };

/** The version, as `package.json` says it. */
export const SERVER_VERSION: string = manifest.version;
