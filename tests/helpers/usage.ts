/** Command lines that are refused. */

import { UsageError } from "../../lib/base/errors.ts";
import { parseCommandLine } from "../../lib/cli/parse.ts";

/** The sentence against a command line; nothing when it is understood. */
export function refusalOf(argv: readonly string[]): string | undefined {
  try {
    parseCommandLine(argv);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw new Error(`With ${argv.join(" ")}`, { cause: error });
  }
}
