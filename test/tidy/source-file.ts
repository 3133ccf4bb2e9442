// The one type that the rules, their samples and their tests share.

/** One file as the rules see it. */
export interface SourceFile {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
}
