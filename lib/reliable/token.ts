/**
 * `--token-file`: a secret that both users share, and how one side shows the other
 * that it knows it without telling (docs/protocol.md section 10).
 */

import process from "node:process";
import { createHmac, timingSafeEqual } from "node:crypto";
import { LocalIoError, reasonOf } from "../base/errors.ts";
import { isPermitted } from "../base/permissions.ts";
import { encodePreface, type Preface, sealPreface } from "../../framing.ts";

/** The size of a nonce. */
export const NONCE_BYTES = 32;
/** The size of a proof. */
export const PROOF_BYTES = 32;
/** What stands behind a proof in a preface: its CRC. */
const CRC_BYTES = 4;

const MIN_TOKEN_BYTES = 16;
const MAX_TOKEN_BYTES = 1024;
/** The most that a file may have, white space and all. */
const MAX_FILE_BYTES = 4096;
/** The permissions of others to read and write. */
const OTHERS = 0o006;

/** Random bytes that have never been seen before. */
export function newNonce(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
}

/**
 * A preface with a proof at its end.
 *
 * @param token At least 16 bytes.
 * @param nonce What the other side sent on this connection.
 */
export function prefaceWithProof(
  preface: Preface,
  token: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  const additions = new Uint8Array(preface.additions.length + PROOF_BYTES);
  additions.set(preface.additions);
  const bytes = encodePreface({ ...preface, additions });
  const [covered, proof] = parts(bytes);
  proof.set(prove(covered, token, nonce));
  sealPreface(bytes);
  return bytes;
}

/**
 * Whether a preface ends with a proof that its sender knows the token and has read
 * `nonce`. How long this takes does not depend on how much of it is right.
 */
export function isProven(
  preface: Preface,
  token: Uint8Array,
  nonce: Uint8Array,
): boolean {
  if (preface.additions.length < PROOF_BYTES) return false;
  const [covered, proof] = parts(encodePreface(preface));
  return timingSafeEqual(proof, prove(covered, token, nonce));
}

/** What a proof covers, and the proof. */
function parts(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const end = bytes.length - CRC_BYTES;
  const start = end - PROOF_BYTES;
  return [bytes.subarray(0, start), bytes.subarray(start, end)];
}

function prove(
  covered: Uint8Array,
  token: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  // Deno 2.4 would warn on stderr of what createHmac itself does.
  Object.assign(process, { noDeprecation: true });
  return createHmac("sha256", token).update(nonce).update(covered).digest();
}

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
