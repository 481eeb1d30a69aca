/** Small files that only some may read, such as those with secrets. */

import { LocalIoError, reasonOf } from "./errors.ts";
import { hasModeBits } from "./permissions.ts";
import { readBytes } from "./readable_file.ts";

/** The limits within which such a file is read. */
export interface PrivateFileOptions {
  /** The option that names the file, for the message. */
  readonly option: string;
  /** The limit in bytes. One byte more is returned when the file is longer. */
  readonly maxBytes: number;
  /** The permissions that it must not have, and why it is refused with them. */
  readonly forbidden: { readonly bits: number; readonly reason: string };
}

/**
 * Reads a small file that only some may read.
 *
 * @throws {LocalIoError} It cannot be read, or its permissions are too wide.
 */
export async function readPrivateFile(
  path: string,
  { option, maxBytes, forbidden }: PrivateFileOptions,
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  let mode: number | null;
  try {
    ({ bytes, mode } = await readBytes(path, maxBytes + 1));
  } catch (error) {
    throw unusable(option, path, reasonOf(error), error);
  }
  if (hasModeBits(mode, forbidden.bits)) {
    throw unusable(option, path, forbidden.reason);
  }
  return bytes;
}

/** Makes the error for a file that cannot be used. */
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
