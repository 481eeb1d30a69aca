/** The permissions of a file. */

/**
 * Whether a file's mode has one of these bits.
 *
 * @param mode As `Deno.FileInfo` has it.
 * @param bits As for `chmod`, such as `0o077`.
 * @returns False on Windows, where the runtime makes a mode up from the read-only
 * attribute: who can read the file is in its access list, which nobody asks.
 */
export function hasModeBits(
  mode: number | null,
  bits: number,
  os = Deno.build.os,
): boolean {
  return os !== "windows" && mode !== null && (mode & bits) !== 0;
}
