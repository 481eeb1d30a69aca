/**
 * A command as a running process, with its stdin and stdout as a sink and a
 * source. `exec.ts` chooses how it is started.
 */

import type { Sink, Source } from "../pipe/duplex.ts";

/** The end of a process: an exit code, or a signal. */
export interface ChildStatus {
  /** 128 + the signal's number where a signal ended it. */
  readonly code: number;
  /** The signal's name, such as `SIGKILL`. */
  readonly signal: string | null;
}

/** The stdout of a process. */
export interface ChildOutput extends Source {
  /** Resolves when all of it has been read, or `close` was called. */
  readonly ended: Promise<void>;
  /** Closes our end of it; a pending `read` returns `null`. Idempotent. */
  close(): void;
}

/** The stdin of a process. */
export interface ChildInput extends Sink {
  /**
   * Writes bytes; never rejects. What the process no longer reads is dropped, as
   * behind `| head`.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Closes our end at once; a pending `write` may be lost. Idempotent. */
  close(): void;
}

/** A process that was started, as the leader of a process group (not on Windows). */
export interface Child {
  readonly output: ChildOutput;
  readonly input: ChildInput;
  /** Resolves when the process itself has ended. */
  readonly status: Promise<ChildStatus>;
  /** Resolves when no process of its group is left; not before `status`. */
  readonly groupEnded: Promise<void>;
  /** Sends a signal to all processes of its group, if any is left. */
  kill(signal: Deno.Signal): void;
}

/**
 * Starts the command of a run once more.
 *
 * @param environment Variables beside those of our own environment, or instead.
 * @throws {LocalIoError} It cannot be started; the cause says why.
 */
export type StartChild = (
  environment: Readonly<Record<string, string>>,
) => Child | Promise<Child>;

/** The options with which the processes of a run are started. */
export interface ChildOptions {
  /** The most that one read of their output may take, in bytes. */
  readonly dataSize: number;
  /** Whether one socket is both their stdin and their stdout, as under inetd. */
  readonly socket: boolean;
}
