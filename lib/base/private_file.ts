/** Small files that only some may read, such as those with secrets. */

import { LocalIoError, reasonOf } from "./errors.ts";
import { isPermitted } from "./permissions.ts";
import { readBytes } from "./readable_file.ts";

/** The limits within which such a file is read. */
export interface PrivateFileOptions {
  /** The option that names the file, for the message. */
  readonly option: string;
  /** The most that is read, in bytes; one more when there is more. */
  readonly mostBytes: number;
  /** The permissions that it must not have, and why it is refused with them. */
  readonly forbidden: { readonly bits: number; readonly reason: string };
}

/**
 * Reads the file.
 *
 * @throws {LocalIoError} It cannot be read, or too many can.
 */
export async function readPrivateFile(
  path: string,
  { option, mostBytes, forbidden }: PrivateFileOptions,
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  let mode: number | null;
  try {
    ({ bytes, mode } = await readBytes(path, mostBytes + 1));
  } catch (error) {
    throw unusable(option, path, reasonOf(error), error);
  }
  if (isPermitted(mode, forbidden.bits)) {
    throw unusable(option, path, forbidden.reason);
  }
  return bytes;
}

/** The error for a file that is of no use. */
export function unusable(
  option: string,
  path: string,
  reason: string,
  cause?: unknown,
): LocalIoError {
  return new LocalIoError(`Cannot use ${option} "${path}": ${reason}`, {
    cause,
  });
}
