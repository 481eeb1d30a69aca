/** Words of command lines that are shown to people, to be pasted. */

/** Quotes a word for a POSIX shell, where it needs it. */
export function shellWord(word: string): string {
  return /^[\w:.,/@+=[\]%-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
