/** What the parser says against a command line. */

import { parseCommandLine } from "../../lib/cli/parse.ts";
import { UsageError } from "../../lib/base/errors.ts";

/** What the parser says against a command line, if anything. */
export function refusal(argv: readonly string[]): string | undefined {
  try {
    parseCommandLine(argv);
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}
