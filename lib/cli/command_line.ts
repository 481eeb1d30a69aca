/** Our own command line, as a person types it. */

import { shellWord } from "../base/shell_word.ts";

/** Writes a command line of this program. @param words After the program's name. */
export function formatCommand(words: readonly string[]): string {
  return ["sockpipe", ...words.map(shellWord)].join(" ");
}
