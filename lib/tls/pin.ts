/**
 * Pins: each names the key that a peer has to have, whoever signed its certificate
 * and whatever name and dates are in it.
 *
 * A pin is the SHA-256 of the SubjectPublicKeyInfo in DER, as in RFC 7469 section
 * 2.4, but in hex: `sha256:` and 64 digits.
 */

import { UsageError } from "../base/errors.ts";
import { hex } from "../base/units.ts";

/** A pin in its one spelling: `sha256:` and 64 lower-case digits. */
export type Pin = `sha256:${string}`;

/**
 * Reads a pin that the user typed.
 *
 * @param option The option that was given the text, for the message.
 * @throws {UsageError} When the text is no pin.
 */
export function parsePin(option: string, text: string): Pin {
  const digits = /^sha256:([0-9a-f]{64})$/i.exec(text)?.[1];
  if (digits === undefined) {
    throw new UsageError(
      `${option} "${text}" is not a pin: it is sha256: and the 64 hex digits that a listener with --tls-self-signed prints`,
    );
  }
  return `sha256:${digits.toLowerCase()}`;
}

/** Computes the pin of a public key. */
export async function pinOfKey(
  publicKey: Uint8Array<ArrayBuffer>,
): Promise<Pin> {
  const digest = await crypto.subtle.digest("SHA-256", publicKey);
  return `sha256:${hex(new Uint8Array(digest))}`;
}
