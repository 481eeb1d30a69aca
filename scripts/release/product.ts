/** The contents of the packages of a release. */

import type { Target } from "./compile.ts";
import type { Documents } from "./documents.ts";

/** An executable, and what goes into its packages besides. */
export interface Product {
  readonly executable: URL;
  /** The system that the executable is for. */
  readonly target: Target;
  readonly documents: Documents;
  readonly version: string;
  /** The time that every file gets. */
  readonly date: Date;
  /** The folder for the packages, with the trailing slash. */
  readonly dist: URL;
  /** Whether to compress fast and not well. */
  readonly quick: boolean;
}
