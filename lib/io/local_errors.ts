/** What it means when stdin or stdout fails, as an error of this program. */

import {
  isBrokenPipe,
  LocalIoError,
  ReaderGoneError,
  reasonOf,
} from "../base/errors.ts";

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
