/** The file of `--token-file`: a secret that both users share. */

import { LocalIoError, reasonOf } from "../base/errors.ts";
import { isPermitted } from "../base/permissions.ts";

const MIN_TOKEN_BYTES = 16;
const MAX_TOKEN_BYTES = 1024;
/** The largest file, white space and all. */
const MAX_FILE_BYTES = 4096;
/** The permissions of others to read and write. */
const OTHERS = 0o006;

/**
 * Reads the token: what is in the file, without white space at both ends.
 *
 * @throws {LocalIoError} It cannot be read, is too short or too long to be one, or
 * everybody on this machine can read or write it.
 */
export async function readToken(path: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  let mode: number | null;
  try {
    using file = await Deno.open(path);
    ({ mode } = await file.stat());
    bytes = await readAtMost(file, MAX_FILE_BYTES + 1);
  } catch (error) {
    throw unusable(path, reasonOf(error), error);
  }
  if (isPermitted(mode, OTHERS)) {
    throw unusable(
      path,
      'everybody on this machine can read or change it; do "chmod o= FILE"',
    );
  }
  const token = trimmed(bytes);
  if (token.length < MIN_TOKEN_BYTES) {
    throw unusable(
      path,
      `${
        token.length === 0 ? "nothing is" : `only ${token.length} bytes are`
      } in it; it takes at least ${MIN_TOKEN_BYTES} that nobody can guess, like those of "openssl rand -hex 32"`,
    );
  }
  if (bytes.length > MAX_FILE_BYTES || token.length > MAX_TOKEN_BYTES) {
    throw unusable(path, `it has more than ${MAX_TOKEN_BYTES} bytes`);
  }
  return token;
}

function unusable(path: string, why: string, cause?: unknown): LocalIoError {
  const text = `Cannot use --token-file "${path}": ${why}`;
  return new LocalIoError(text, { cause });
}

async function readAtMost(
  file: Deno.FsFile,
  most: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(most);
  let filled = 0;
  while (filled < most) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

function trimmed(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => !isSpace(byte));
  const end = bytes.findLastIndex((byte) => !isSpace(byte)) + 1;
  return bytes.slice(Math.max(0, start), end);
}

/** As `isspace` of C has it: tab, LF, VT, FF, CR and the space. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte >= 0x09 && byte <= 0x0d;
}
