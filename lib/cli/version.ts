/** The text of `--version`. */

import config from "../../deno.json" with { type: "json" };

/** The commit of a compiled program: `scripts/release/compile.ts` fills it in. */
const COMMIT: string = "";

/** Writes `sockpipe 0.1.0`, or `sockpipe 0.1.0 (1a2b3c4d5e)` when compiled; a whole line. */
export function versionText(): string {
  const commit = COMMIT === "" ? "" : ` (${COMMIT})`;
  return `sockpipe ${config.version}${commit}\n`;
}
