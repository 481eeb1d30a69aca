/** The processes of `--exec`. */

import { assertMatch } from "@std/assert";
import { until } from "./deadlines.ts";
import { exchange } from "./echo.ts";
import { run, type Running } from "./process.ts";
import { listener, sockpipe } from "./program.ts";

/** The processes that a server has started and not yet forgotten. */
export async function childrenOf(server: Running): Promise<string[]> {
  await using found = run(["ps", "-o", "pid=", "--ppid", `${server.pid}`]);
  return (await found.result()).stdout.split("\n").filter(Boolean);
}

/** What a command answers to a client that says nothing. */
export async function answerOf(
  command: string,
  options: readonly string[] = [],
): Promise<{ answer: string; code: number; stderr: string }> {
  const { server, at } = await listener(["--exec", command, ...options]);
  await using _ = server;
  const bytes = await exchange(at.port, new Uint8Array(0));
  const { code, stderr } = await server.result();
  return { answer: new TextDecoder().decode(bytes), code, stderr };
}

/** Waits until no process of a group is left, a zombie neither. */
export async function groupEnd(group: string): Promise<void> {
  await until(async () => {
    await using found = run(["ps", "-o", "pid=", "-g", group]);
    return (await found.result()).stdout === "" || undefined;
  }, "the end of the process group");
}

/** Whether this program can give a socket to a process: not before Deno 2.9. */
export async function canGiveSocket(): Promise<boolean> {
  await using tried = sockpipe(
    ["--connect=1", "--retries=0", "--exec=true", "--exec-socket"],
  );
  const { code, stderr } = await tried.result();
  if (code === 8) assertMatch(stderr, /needs Linux and Deno 2\.9\n$/);
  return code !== 8;
}
