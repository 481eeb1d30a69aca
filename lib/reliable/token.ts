/**
 * The proof that a side knows the token, which does not give it away
 * (`docs/protocol.md` section 10).
 */

import { timingSafeEqual } from "node:crypto";
import { hmacSha256 } from "../base/hmac.ts";
import { encodePreface, type Preface, sealPreface } from "./preface.ts";

/** The size of a nonce. */
export const NONCE_BYTES = 32;
/** The size of a proof. */
export const PROOF_BYTES = 32;
/** The size of the CRC that stands behind a proof. */
const CRC_BYTES = 4;

/** The values that bind a proof to one connection. */
export interface ProofContext {
  /** The nonce that the other side sent on this connection. */
  readonly nonce: Uint8Array;
  /**
   * The SHA-256 of the listening side's public key, as the TLS of this side has
   * seen it; `undefined` when the proofs are not bound to it.
   */
  readonly listenerKey: Uint8Array | undefined;
}

/** Makes random bytes that have never been seen before. */
export function newNonce(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
}

/**
 * Makes the bytes of a preface with a proof at its end.
 *
 * @param token At least 16 bytes.
 */
export function prefaceWithProof(
  preface: Preface,
  token: Uint8Array,
  context: ProofContext,
): Uint8Array {
  const additions = new Uint8Array(preface.additions.length + PROOF_BYTES);
  additions.set(preface.additions);
  const bytes = encodePreface({ ...preface, additions });
  const [covered, proof] = splitProof(bytes);
  proof.set(prove(covered, token, context));
  sealPreface(bytes);
  return bytes;
}

/**
 * Whether a preface ends with a proof that its sender knows the token and the
 * context. How long this takes does not depend on how much of it is right.
 */
export function isProven(
  preface: Preface,
  token: Uint8Array,
  context: ProofContext,
): boolean {
  if (preface.additions.length < PROOF_BYTES) return false;
  const [covered, proof] = splitProof(encodePreface(preface));
  return timingSafeEqual(proof, prove(covered, token, context));
}

/** Splits the bytes of a preface into what its proof covers, and the proof. */
function splitProof(bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const end = bytes.length - CRC_BYTES;
  const start = end - PROOF_BYTES;
  return [bytes.subarray(0, start), bytes.subarray(start, end)];
}

function prove(
  covered: Uint8Array,
  token: Uint8Array,
  { nonce, listenerKey = new Uint8Array() }: ProofContext,
): Uint8Array {
  return hmacSha256(token, nonce, listenerKey, covered);
}
