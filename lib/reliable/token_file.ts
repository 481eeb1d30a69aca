/** The file of `--token-file`: a secret that both users share. */

import { readPrivateFile, unusable } from "../base/private_file.ts";

const MIN_TOKEN_BYTES = 16;
const MAX_TOKEN_BYTES = 1024;

const FILE = {
  option: "--token-file",
  // White space and all.
  maxBytes: 4096,
  forbidden: {
    bits: 0o006,
    reason:
      'everybody on this machine can read or change it; do "chmod o= FILE"',
  },
};

/**
 * Reads the token: what is in the file, without white space at both ends.
 *
 * @throws {LocalIoError} It cannot be read, is too short or too long to be one, or
 * everybody on this machine can read or write it.
 */
export async function readToken(path: string): Promise<Uint8Array> {
  const bytes = await readPrivateFile(path, FILE);
  const token = trimmed(bytes);
  if (token.length < MIN_TOKEN_BYTES) {
    throw unusable(
      FILE.option,
      path,
      `${
        token.length === 0 ? "nothing is" : `only ${token.length} bytes are`
      } in it; it takes at least ${MIN_TOKEN_BYTES} that nobody can guess, like those of "openssl rand -hex 32"`,
    );
  }
  if (bytes.length > FILE.maxBytes || token.length > MAX_TOKEN_BYTES) {
    const reason = `it has more than ${MAX_TOKEN_BYTES} bytes`;
    throw unusable(FILE.option, path, reason);
  }
  return token;
}

function trimmed(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => !isSpace(byte));
  const end = bytes.findLastIndex((byte) => !isSpace(byte)) + 1;
  return bytes.slice(Math.max(0, start), end);
}

/** Whether C's `isspace` holds: tab, LF, VT, FF, CR and the space. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte >= 0x09 && byte <= 0x0d;
}
