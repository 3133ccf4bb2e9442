/** Shows a configuration without its secrets. */
import { factsOf, type ServerConfig } from "./config.ts";
import { settingsSchema } from "./settings.ts";

const HIDDEN = "(hidden)";

/** A MongoDB URI with credentials and values of options hidden; hosts stay readable. */
export function redactUri(uri: string): string {
  const parts = /^(mongodb(?:\+srv)?:\/\/)(?:.*@)?([^/?@]*)(\/[^?]*)?(\?.*)?$/s.exec(uri);
  if (!parts) return HIDDEN;
  const [, scheme = "", hosts = "", path = "", options] = parts;
  const credentials = uri.slice(scheme.length).includes("@") ? `${HIDDEN}@` : "";
  const names = options
    ?.slice(1)
    .split("&")
    .map((option) => option.split("=")[0])
    .join("&");
  return `${scheme}${credentials}${hosts}${path}${names ? `?${names}` : ""}`;
}

/** The settings by variable, as `--print-config` shows them. */
export function printableConfig(config: ServerConfig): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = {};
  for (const name of settingsSchema.keyof().options) {
    const { variable, isSecret = false } = factsOf(name);
    const value = config[name];
    if (value === undefined) shown[variable] = null;
    else if (name === "mongodbUri") shown[variable] = redactUri(String(value));
    else shown[variable] = isSecret ? HIDDEN : value;
  }
  return shown;
}
