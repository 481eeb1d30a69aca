/** Our own command line, as a person types it. */

/** Writes a command line of this program. @param words After the program's name. */
export function formatCommand(words: readonly string[]): string {
  return ["sockpipe", ...words.map(quote)].join(" ");
}

/** Quotes a word for a POSIX shell, where it needs it. */
function quote(word: string): string {
  return /^[\w:.,/@+=[\]%-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
