/** A foreign command line in our words. */

import { formatCommand } from "./command_line.ts";

/** A command line to write instead, and what to know about it. */
export interface Translation {
  /** The way it was written: `netcat's way`. */
  readonly source: string;
  /** Our command line, without the program's name. */
  readonly words: readonly string[];
  /** Notes on what is not in it, and what else there is to know. */
  readonly notes: readonly string[];
}

/** Writes a translation as one sentence. */
export function formatTranslation(
  { source, words, notes }: Translation,
): string {
  return `That is ${source}: write ${formatCommand(words)}` +
    (notes.length === 0 ? "" : ` (${notes.join("; ")})`);
}
