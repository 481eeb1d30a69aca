/**
 * `--exec`: our end of a connection is a process, started by the system's shell.
 * Its stdin and stdout are the connection, its stderr is ours.
 */

import type { ChildOptions, StartChild } from "./child.ts";
import { connectionEnvironment } from "./environment.ts";
import { ProcessEnd } from "./process_end.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import { LocalIoError } from "../base/errors.ts";
import type { Connection } from "../net/connection.ts";

/**
 * Starts the command for a connection.
 *
 * @returns An end whose source ends with the output of the process; the caller's to
 * close. See {@linkcode ProcessEnd}.
 * @throws {LocalIoError} The shell cannot be started.
 */
export type OpenProcess = (
  peer: Pick<Connection, "peer" | "local">,
) => Promise<LocalEnd>;

/**
 * Prepares to start a command for each connection. When this process ends, other
 * than by SIGKILL, all that still run are killed. Call it once.
 *
 * @throws {LocalIoError} `socket` is not to be had here.
 */
export async function processOpener(
  command: string,
  options: ChildOptions,
): Promise<OpenProcess> {
  const start = await childStarter(command, options);
  addEventListener("unload", () => ProcessEnd.killAll());
  return async (peer) =>
    new ProcessEnd(command, await start(connectionEnvironment(peer)));
}

/**
 * Chooses how processes are started: on Linux by posix_spawn(3), elsewhere by the
 * runtime.
 *
 * @throws {LocalIoError} `socket` is not to be had here.
 */
async function childStarter(
  command: string,
  options: ChildOptions,
): Promise<StartChild> {
  if (Deno.build.os === "linux") {
    const { posixChildStarter } = await import("./posix_child.ts");
    const start = posixChildStarter(command, options);
    if (start !== undefined) return start;
  }
  if (options.socket) {
    throw new LocalIoError(
      `Cannot start "${command}" with a socket (--exec-socket): needs Linux and Deno 2.9`,
    );
  }
  const { denoChildStarter } = await import("./deno_child.ts");
  return denoChildStarter(command, options.dataSize);
}
