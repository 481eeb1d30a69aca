/**
 * `--exec`: our end of a connection is a process, started by the system's shell.
 * Its stdin and stdout are the connection, its stderr is ours.
 */

import { type Child, childStarter } from "./child.ts";
import type { Sink, Source } from "../pipe/duplex.ts";
import { LocalIoError } from "../base/errors.ts";
import type { LocalEnd } from "../pipe/pipe.ts";
import type { Connection } from "../net/connection.ts";

/**
 * How long a process may go on when its connection has ended, before it is asked
 * to end; and then, before it is killed. Also how long the peer may take to end
 * its side when the process has ended.
 */
const LINGER_MS = 2000;

/** The processes that live; none that has started outlives this one. */
const living = new Set<Process>();

/** @returns Our end for a connection, as {@linkcode execEnds} makes it. */
export type ExecEnd = (peer: Connection) => Promise<LocalEnd>;

/**
 * Prepares to start a command for each connection.
 *
 * The function that it resolves to starts it, and throws a LocalIoError when the
 * shell cannot be started. The end's source ends with the output of the process.
 * It is gone when the process is: closing waits a little and then ends it, aborting
 * ends it.
 *
 * @param dataSize The most that one read may take, in bytes.
 */
export async function execEnds(
  command: string,
  dataSize: number,
): Promise<ExecEnd> {
  const start = await childStarter(command, dataSize);
  addEventListener("unload", () => {
    for (const process of living) process.kill("SIGKILL");
  });
  return async (peer) => new Process(command, await start(environment(peer)));
}

/** What the process learns about its connection. */
function environment(
  { peer, local }: Pick<Connection, "peer" | "local">,
): Record<string, string> {
  return {
    SOCKPIPE_PROTOCOL: local.startsWith("unix:") ? "unix" : "tcp",
    ...environmentOf("SOCKPIPE_PEER", peer),
    ...environmentOf("SOCKPIPE_LOCAL", local),
  };
}

/** A unix socket's address is its path, and empty for a client that has none. */
function environmentOf(name: string, address: string): Record<string, string> {
  const path = /^unix:(.*)$/s.exec(address)?.[1];
  if (path !== undefined) return { [`${name}_ADDRESS`]: path };
  const [, bracketed, plain = "", port = ""] =
    /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(address) ?? [];
  return {
    [`${name}_ADDRESS`]: bracketed ?? plain,
    [`${name}_PORT`]: port,
  };
}

/** @returns Whether there was somebody to kill. */
function kill(pid: number, signal: Deno.Signal): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** One process as an end. */
class Process implements LocalEnd {
  readonly source: Source;
  readonly sink: Sink;
  readonly sends = true;
  readonly endsWithPeer = false;
  readonly #gone = Promise.withResolvers<void>();
  readonly gone: Promise<void> = this.#gone.promise;
  readonly #command: string;
  readonly #child: Child;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #hasExited = false;
  /** Whether it ended because we wanted it to. */
  #wasKilled = false;

  constructor(command: string, child: Child) {
    this.#command = command;
    this.#child = child;
    this.source = child.output;
    this.sink = child.input;
    living.add(this);
    this.#watch();
  }

  /** The peer need not wait for what nobody reads, nor we for the peer. */
  async #watch(): Promise<void> {
    await this.#child.status;
    living.delete(this);
    this.#hasExited = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#child.output.ended;
    if (this.#isClosed) return;
    this.#timer = setTimeout(this.#gone.resolve, LINGER_MS);
  }

  kill(signal: Deno.Signal): void {
    this.#wasKilled = true;
    const { pid } = this.#child;
    // In its first moment a process may have no group yet.
    if (Deno.build.os !== "windows" && kill(-pid, signal)) return;
    kill(pid, signal);
  }

  close(): void {
    this.#end(LINGER_MS);
  }

  abort(): void {
    this.#end(0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Asks the process to end after a while, and kills it after another. */
  #end(afterMs: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#child.input.close();
    this.#child.output.close();
    if (this.#hasExited) return;
    this.#timer = setTimeout(() => {
      this.kill("SIGTERM");
      this.#timer = setTimeout(() => this.kill("SIGKILL"), LINGER_MS);
    }, afterMs);
  }

  async finished(): Promise<void> {
    const { code, signal } = await this.#child.status;
    if (code === 0 || this.#wasKilled) return;
    const how = signal === null ? `exit code ${code}` : signal;
    throw new LocalIoError(`The command "${this.#command}" ended with ${how}`);
  }
}
