/** The program under test, as tests, the demo and the benchmark start it. */

import { mapFlags } from "./deno.ts";

/** The permissions that the program needs; `task start` and the binary have the same. */
export const PERMISSIONS: readonly string[] = [
  "--no-prompt",
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
  return binary === undefined
    ? await sourceCommand()
    : [await Deno.realPath(binary)];
}

/** The words that start main.ts with this Deno, whatever is under test. */
export async function sourceCommand(): Promise<string[]> {
  const main = new URL("../main.ts", import.meta.url).pathname;
  const flags = await mapFlags();
  return [Deno.execPath(), "run", "--quiet", ...flags, ...PERMISSIONS, main];
}
