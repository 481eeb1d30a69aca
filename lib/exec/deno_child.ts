/** A command as a process of the runtime's own `Deno.Command`. */

import process from "node:process";
import { delay } from "@std/async/delay";
import type {
  Child,
  ChildInput,
  ChildOutput,
  ChildStatus,
  StartChild,
} from "./child.ts";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { findDirectProgram, mayBeExecuted, shellProgram } from "./shell.ts";

/** The places of setsid(1) on Linux, which starts a program in a session of its own. */
const SETSID_PATHS = ["/usr/bin/setsid", "/bin/setsid"] as const;

/** The pause between two looks at a process group whose leader has ended, in ms. */
const GROUP_POLL_MS = 100;

/**
 * Prepares to start a command by `Deno.Command`.
 *
 * @param dataSize The most that one read of its output may take, in bytes.
 */
export function denoChildStarter(
  command: string,
  dataSize: number,
): StartChild {
  const { path, ...options } = launchOf(command);
  // Where SIGCHLD is ignored, the system keeps no exit codes: a listener ends that.
  if (Deno.build.os !== "windows") {
    Deno.addSignalListener("SIGCHLD", () => {});
  }
  return (env) => {
    try {
      const child = new Deno.Command(path, {
        ...options,
        env,
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn();
      return new DenoChild(child, dataSize);
    } catch (error) {
      throw new LocalIoError(`Cannot start "${path}": ${reasonOf(error)}`, {
        cause: error,
      });
    }
  };
}

/** The options of `Deno.Command` for a program. */
export interface Launch {
  readonly path: string;
  readonly args: string[];
  /** Whether the runtime has to make the process group. */
  readonly detached: boolean;
  readonly windowsRawArguments: boolean;
}

/**
 * Decides how a command is started as the leader of a process group. With
 * `detached` the runtime must fork, which copies its page tables and holds up
 * everything else for several milliseconds; without it the runtime need not
 * (posix_spawn), so where there is setsid(1), that makes the group.
 */
export function launchOf(command: string, os = Deno.build.os): Launch {
  const shell = shellProgram(command, os);
  const setsid = os === "linux" ? SETSID_PATHS.find(mayBeExecuted) : undefined;
  if (setsid === undefined) {
    const isWindows = os === "windows";
    return {
      path: shell.path,
      args: shell.words.slice(1),
      detached: !isWindows,
      windowsRawArguments: isWindows,
    };
  }
  const { words } = findDirectProgram(command) ?? shell;
  return {
    path: setsid,
    args: [...words],
    detached: false,
    windowsRawArguments: false,
  };
}

class DenoChild implements Child {
  readonly output: ChildOutput;
  readonly input: ChildInput;
  readonly status: Promise<ChildStatus>;
  readonly groupEnded: Promise<void>;
  readonly #child: Deno.ChildProcess;
  #hasGroupEnded = false;

  constructor(child: Deno.ChildProcess, dataSize: number) {
    this.#child = child;
    this.status = child.status;
    this.groupEnded = this.#waitForGroup();
    this.output = new StreamOutput(child.stdout, dataSize);
    this.input = new StreamInput(child.stdin);
  }

  async #waitForGroup(): Promise<void> {
    await this.#child.status;
    while (send(-this.#child.pid, 0)) await delay(GROUP_POLL_MS);
    this.#hasGroupEnded = true;
  }

  kill(signal: Deno.Signal): void {
    // Once the group has ended, its number may be that of another one.
    if (this.#hasGroupEnded) return;
    // In its first moment a process may have no group yet.
    if (!send(-this.#child.pid, signal)) send(this.#child.pid, signal);
  }
}

/**
 * Sends a signal to a process or, by a negative number, to a process group. Signal
 * 0 only asks whether it is there.
 *
 * @returns Whether anybody was reached; never a group on Windows, which has none.
 */
function send(pid: number, signal: Deno.Signal | 0): boolean {
  if (pid < 0 && Deno.build.os === "windows") return false;
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

class StreamOutput implements ChildOutput {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #ended = Promise.withResolvers<void>();
  readonly ended: Promise<void> = this.#ended.promise;
  #buffer: ArrayBuffer;
  #isOver = false;

  constructor(stream: ReadableStream<Uint8Array>, dataSize: number) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#buffer = new ArrayBuffer(dataSize);
  }

  async read(): Promise<Uint8Array | null> {
    if (this.#isOver) return null;
    const { done, value } = await this.#reader
      .read(new Uint8Array(this.#buffer))
      .catch((error) => {
        throw new LocalIoError(
          `Cannot read from the command: ${reasonOf(error)}`,
          { cause: error },
        );
      });
    if (done || value === undefined) {
      this.#isOver = true;
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

class StreamInput implements ChildInput {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
    this.#writer.closed.catch(() => {});
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) return;
    const written = this.#writer.write(bytes)
      .catch(() => this.#isClosed = true);
    // To abort a stream does not end what is being written to it.
    await Promise.race([written, this.#closed.promise]);
  }

  async end(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writer.close().catch(() => {});
  }

  close(): void {
    this.#isClosed = true;
    this.#closed.resolve();
    this.#writer.abort().catch(() => {});
  }
}
