/**
 * `--exec`: our end of a connection is a process, started by the system's shell.
 * Its stdin and stdout are the connection, its stderr is ours.
 */

import type { Sink, Source } from "./duplex.ts";
import { LocalIoError, reasonOf } from "./errors.ts";
import type { LocalEnd } from "./pipe.ts";
import type { Connection } from "./transport.ts";

/**
 * How long a process may go on when its connection has ended, before it is asked
 * to end; and then, before it is killed. Also how long the peer may take to end
 * its side when the process has ended.
 */
const LINGER_MS = 2000;

/** The shell of the system, and how it is told a command. */
const SHELL: readonly [string, ...string[]] = Deno.build.os === "windows"
  ? ["cmd", "/d", "/s", "/c"]
  : ["/bin/sh", "-c"];

/** Where Linux has the program that starts another one in a session of its own. */
const SETSID_PATHS = ["/usr/bin/setsid", "/bin/setsid"] as const;

/** The processes that live; none outlives this one. */
const living = new Set<Process>();
let watchesExit = false;

/**
 * Starts the command for one connection.
 *
 * @param dataSize The most that one read may take, in bytes.
 * @returns An end whose source ends with the output of the process. It is gone
 * when the process is: closing waits a little and then ends it, aborting ends it.
 * @throws {LocalIoError} The shell cannot be started.
 */
export function execEnd(
  command: string,
  peer: Connection,
  dataSize: number,
): LocalEnd {
  if (!watchesExit) {
    watchesExit = true;
    addEventListener("unload", () => {
      for (const process of living) process.kill("SIGKILL");
    });
  }
  return new Process(command, spawn(command, peer), dataSize);
}

/** Starts a process in a group of its own, so that all of a pipeline can be ended. */
function spawn(command: string, peer: Connection): Deno.ChildProcess {
  launcher ??= findLauncher();
  const [program, ...words] = launcher.words;
  try {
    return new Deno.Command(program, {
      args: [...words, command],
      env: environment(peer),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      detached: launcher.detached,
    }).spawn();
  } catch (error) {
    throw new LocalIoError(`Cannot start "${program}": ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** How the shell is started, in a group of its own. */
interface Launcher {
  readonly words: readonly [string, ...string[]];
  readonly detached: boolean;
}

let launcher: Launcher | undefined;

/**
 * With `detached` the runtime must fork, which copies its page tables and holds up
 * everything else for several milliseconds; without it the runtime need not
 * (posix_spawn), and a small program can make the group.
 */
function findLauncher(): Launcher {
  const setsid = Deno.build.os === "linux"
    ? SETSID_PATHS.find(isFile)
    : undefined;
  return setsid === undefined
    ? { words: SHELL, detached: Deno.build.os !== "windows" }
    : { words: [setsid, ...SHELL], detached: false };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
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

/** One process as an end. */
class Process implements LocalEnd {
  readonly source: Source;
  readonly sink: Sink;
  readonly sends = true;
  readonly endsWithPeer = false;
  readonly #gone = Promise.withResolvers<void>();
  readonly gone: Promise<void> = this.#gone.promise;
  readonly #command: string;
  readonly #child: Deno.ChildProcess;
  readonly #output: ProcessOutput;
  readonly #input: ProcessInput;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  #hasExited = false;
  /** Whether it ended because we wanted it to. */
  #wasKilled = false;

  constructor(command: string, child: Deno.ChildProcess, dataSize: number) {
    this.#command = command;
    this.#child = child;
    this.source = this.#output = new ProcessOutput(child.stdout, dataSize);
    this.sink = this.#input = new ProcessInput(child.stdin);
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
    await this.#output.ended;
    if (this.#isClosed) return;
    this.#timer = setTimeout(this.#gone.resolve, LINGER_MS);
  }

  kill(signal: Deno.Signal): void {
    this.#wasKilled = true;
    if (this.#killGroup(signal)) return;
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended in this moment.
    }
  }

  /** @returns Whether there is a group; in its first moment a process has none. */
  #killGroup(signal: Deno.Signal): boolean {
    if (Deno.build.os === "windows") return false;
    try {
      Deno.kill(-this.#child.pid, signal);
      return true;
    } catch {
      return false;
    }
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
    this.#input.close();
    this.#output.close();
    if (this.#hasExited) return;
    this.#timer = setTimeout(() => {
      this.kill("SIGTERM");
      this.#timer = setTimeout(() => this.kill("SIGKILL"), LINGER_MS);
    }, afterMs);
  }

  async finished(): Promise<void> {
    const { success, code, signal } = await this.#child.status;
    if (success || this.#wasKilled) return;
    const how = signal === null ? `exit code ${code}` : signal;
    throw new LocalIoError(`The command "${this.#command}" ended with ${how}`);
  }
}

/** What a process writes to its stdout. */
class ProcessOutput implements Source {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #ended = Promise.withResolvers<void>();
  /** Resolves when all of it has been read, or nobody wants it. */
  readonly ended: Promise<void> = this.#ended.promise;
  #buffer: ArrayBuffer;

  constructor(stream: ReadableStream<Uint8Array>, dataSize: number) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#buffer = new ArrayBuffer(dataSize);
  }

  async read(): Promise<Uint8Array | null> {
    const { done, value } = await this.#reader.read(
      new Uint8Array(this.#buffer),
    );
    if (done || value === undefined) {
      this.#ended.resolve();
      return null;
    }
    this.#buffer = value.buffer;
    return value;
  }

  close(): void {
    this.#ended.resolve();
    this.#reader.cancel().catch(() => {});
  }
}

/** What a process reads from its stdin, as long as it wants to. */
class ProcessInput implements Sink {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #isDeaf = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** A process that reads no more misses nothing, as behind `| head`. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isDeaf) return;
    await this.#writer.write(bytes).catch(() => this.#isDeaf = true);
  }

  async end(): Promise<void> {
    if (this.#isDeaf) return;
    this.#isDeaf = true;
    await this.#writer.close().catch(() => {});
  }

  close(): void {
    this.#isDeaf = true;
    this.#writer.abort().catch(() => {});
  }
}
