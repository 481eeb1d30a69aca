/** How tests, the demo and the benchmark start the program under test. */

import { mapFlags } from "./deno.ts";

/** The permissions that the program needs; `task start` and the binary have the same. */
export const PERMISSIONS: readonly string[] = [
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-run",
  "--allow-ffi",
];

/**
 * The words that start the program: the binary that SOCKPIPE_BIN names, or
 * main.ts with this Deno.
 */
export async function programCommand(): Promise<string[]> {
  const binary = Deno.env.get("SOCKPIPE_BIN");
  if (binary !== undefined) return [await Deno.realPath(binary)];
  const main = new URL("../main.ts", import.meta.url).pathname;
  const flags = await mapFlags();
  return [Deno.execPath(), "run", "--quiet", ...flags, ...PERMISSIONS, main];
}
