/** The name that a mistyped one is near to. */

/** Finds the name that is near enough to what was typed, if one is. */
export function nearest(
  typed: string,
  names: readonly string[],
): string | undefined {
  const most = Math.max(1, Math.floor(typed.length / 3));
  const [best] = names
    .map((name) => ({ name, distance: editDistance(typed, name) }))
    .filter(({ distance }) => distance <= most)
    .sort((a, b) => a.distance - b.distance);
  if (best !== undefined) return best.name;
  if (typed.length < 3) return undefined;
  return names.find((name) => name.startsWith(typed));
}

/**
 * Counts the letters that must be added, left out, exchanged or swapped with the
 * next (Damerau 1964, optimal string alignment).
 */
export function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      const swapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      row.push(Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + (same ? 0 : 1),
        swapped ? at(i - 2, j - 2) + 1 : Infinity,
      ));
    }
  }
  return at(from.length, to.length);
}
