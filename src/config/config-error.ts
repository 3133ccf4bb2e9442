/** The one error of configuration: it names every bad key and never shows a value. */

/** A key that cannot be used as it is. */
export interface BadSetting {
  /** The variable and the flag, such as `KEELSON_PORT or --port`. */
  readonly key: string;
  /** What is wrong and what is allowed; never the value. */
  readonly problem: string;
}

/** Environment and flags do not make a configuration. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly bad: readonly BadSetting[];

  constructor(bad: readonly BadSetting[]) {
    const lines = bad.map(({ key, problem }) => `  ${key}: ${problem}`);
    super(["The configuration cannot be used:", ...lines].join("\n"));
    this.bad = bad;
  }
}
