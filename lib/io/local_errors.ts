/** The errors of stdin and stdout. */

import {
  isBrokenPipe,
  LocalIoError,
  ReaderGoneError,
  reasonOf,
} from "../base/errors.ts";

/**
 * The time in which the peer's end may follow when the reader of stdout has left,
 * in ms, for that to be no failure: `tar x` leaves with the last byte of its
 * archive, a moment before we are told that there is no more.
 */
export const READER_GRACE_MS = 500;

/** Makes the error for a stdin that cannot be read. */
export function stdinError(cause: unknown): Error {
  return new LocalIoError(`Cannot read stdin: ${reasonOf(cause)}`, { cause });
}

/** Makes the error for a stdout that cannot be written. */
export function stdoutError(cause: unknown): Error {
  return isBrokenPipe(cause)
    ? new ReaderGoneError({ cause })
    : new LocalIoError(`Cannot write to stdout: ${reasonOf(cause)}`, { cause });
}

/** The time when the reader of stdout left. */
export class StdoutReader {
  #leftAt: number | undefined;

  get hasLeft(): boolean {
    return this.#leftAt !== undefined;
  }

  leave(): void {
    this.#leftAt ??= performance.now();
  }

  /**
   * Computes how long the peer's end may still follow, in ms.
   *
   * @throws {ReaderGoneError} No longer; see {@linkcode READER_GRACE_MS}.
   */
  remainingMs(): number {
    if (this.#leftAt === undefined) return Infinity;
    const ms = this.#leftAt + READER_GRACE_MS - performance.now();
    if (ms <= 0) throw new ReaderGoneError();
    return Math.ceil(ms);
  }
}
