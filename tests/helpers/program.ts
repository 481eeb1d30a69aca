/** The program under test as a process. */

import { type Announced, Running, type StartOptions } from "./process.ts";

/** Starts the program. */
export function sockpipe(
  args: readonly string[],
  options?: StartOptions,
): Running {
  return new Running(["sockpipe", ...args], options);
}

/** Starts a listener and tells where it listens. */
export async function listener(
  args: readonly string[] = [],
  options?: StartOptions,
): Promise<{ server: Running; at: Announced }> {
  const server = sockpipe(["--listen", "0", ...args], options);
  return { server, at: await server.listening() };
}
