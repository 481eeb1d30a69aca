/** The program under test as a process. */

import { say } from "./conditions.ts";
import {
  type Announced,
  Running,
  shell,
  type StartOptions,
} from "./process.ts";
import { accept, rawListener } from "./tcp.ts";

/** Starts the program. */
export function sockpipe(
  args: readonly string[],
  options?: StartOptions,
): Running {
  return new Running(["sockpipe", ...args], options);
}

let pins: Promise<boolean> | undefined;

/** Whether the program's runtime shows keys: Deno 2.4 does not, and says so. */
export function canPin(): Promise<boolean> {
  return pins ??= askForPins();
}

async function askForPins(): Promise<boolean> {
  const pin = `sha256:${"0".repeat(64)}`;
  const args = ["--connect=1", "--retries=0", "--tls", "--tls-pin", pin];
  await using tried = sockpipe(args);
  const can = await tried.code() !== 2;
  if (!can) say("without what needs keys, as this runtime does not show them");
  return can;
}

/** Starts a listener and tells where it listens. */
export async function listener(
  args: readonly string[] = [],
  options?: StartOptions,
): Promise<{ server: Running; at: Announced }> {
  const server = sockpipe(["--listen", "0", ...args], options);
  return { server, at: await server.listening() };
}

/**
 * Starts a line of the shell whose `sockpipe --connect "$1"` reaches the test. What
 * the line reads from stdin is fed by the test.
 */
export async function reachedBy(
  line: string,
): Promise<{ line: Running; conn: Deno.TcpConn }> {
  using raw = rawListener();
  const running = shell(line, [raw.port], { stdin: "piped" });
  return { line: running, conn: await accept(raw) };
}
