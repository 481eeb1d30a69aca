/**
 * A command as a running process, with its stdin and stdout as a sink and a
 * source. On Linux it is started by posix_spawn(3), elsewhere by the runtime.
 */

import type { Sink, Source } from "../pipe/duplex.ts";

/** How a process ended. */
export interface ChildStatus {
  readonly code: number;
  readonly signal: string | null;
}

/** What a process writes to its stdout. */
export interface ChildOutput extends Source {
  /** Resolves when all of it has been read, or nobody wants it. */
  readonly ended: Promise<void>;
  /** Wants no more; a read that waits finds the end. Idempotent. */
  close(): void;
}

/** What a process reads from its stdin, as long as it wants to: see `write`. */
export interface ChildInput extends Sink {
  /**
   * Rejects never: a process that reads no more misses nothing, as behind `| head`.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends it at once; what is being written may be lost. Idempotent. */
  close(): void;
}

/** A process that was started, in a group of its own if the system has groups. */
export interface Child {
  readonly pid: number;
  readonly output: ChildOutput;
  readonly input: ChildInput;
  readonly status: Promise<ChildStatus>;
}

/**
 * Starts the command of a run once more.
 *
 * @param environment What is added to our own environment.
 * @throws {LocalIoError} It cannot be started, as its cause says.
 */
export type StartChild = (
  environment: Readonly<Record<string, string>>,
) => Child | Promise<Child>;

/**
 * Prepares to start a command again and again.
 *
 * @param dataSize The most that one read of its output may take, in bytes.
 */
export async function childStarter(
  command: string,
  dataSize: number,
): Promise<StartChild> {
  if (Deno.build.os === "linux") {
    const { spawnStarter } = await import("./posix_child.ts");
    const start = spawnStarter(command, dataSize);
    if (start !== undefined) return start;
  }
  const { commandStarter } = await import("./deno_child.ts");
  return commandStarter(command, dataSize);
}
