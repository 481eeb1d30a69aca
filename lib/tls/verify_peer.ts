/**
 * The verification of a peer by the certificate that it has shown: by a pin of its
 * key, or by the CAs that vouch for it.
 */

import type { X509Certificate } from "node:crypto";
import { RefusedError } from "../base/errors.ts";
import { areReadable, toPem } from "./key_files.ts";
import type { Pin } from "./pin.ts";
import { authorityReason } from "./reasons.ts";
import { maySign, parseCertificate, pinOfCertificate } from "./x509.ts";

/** The facts that a handshake has shown of the peer. */
export interface PeerEvidence {
  readonly certificate: X509Certificate | undefined;
  /** The certificates that were sent behind it, in DER. */
  readonly intermediates: readonly Uint8Array<ArrayBuffer>[];
  /**
   * Whether the TLS library has found a chain of good certificates (RFC 5280
   * section 6) to one of the CAs. It looks at no key usage.
   */
  readonly isChainGood: boolean;
  /** Whether an earlier session was resumed, so that nothing was looked at. */
  readonly isResumed: boolean;
}

/**
 * Finds the pin of the peer's key, which it has proved to have.
 *
 * @throws {RefusedError} It has shown none that can be pinned; the reason alone.
 */
export async function peerPin({ certificate }: PeerEvidence): Promise<Pin> {
  const pin = certificate && await provenPin(certificate);
  if (pin !== undefined) return pin;
  throw new RefusedError(
    "its certificate is not one that can be pinned (X.509 v3)",
  );
}

/**
 * Checks that the peer has one of the keys, and has proved it.
 *
 * @param option The option that the pins come from, for the message.
 * @throws {RefusedError} It has another, or none; the reason alone.
 */
export async function requirePin(
  evidence: PeerEvidence,
  pins: readonly Pin[],
  option: string,
): Promise<void> {
  const pin = await peerPin(evidence);
  if (pins.includes(pin)) return;
  throw new RefusedError(
    `its key has the pin ${pin}, and ${option} wants ${pins.join(" or ")}`,
  );
}

/**
 * Checks that a CA vouches for the peer's certificate, and that the peer has proved
 * to have its key.
 *
 * @param verified The certificates that passed before in this run; the peer's is
 * added.
 * @param option The option that the CAs come from, for the message.
 * @throws {RefusedError} It is not so; the reason alone.
 */
export async function requireAuthority(
  evidence: PeerEvidence,
  verified: VerifiedCertificates,
  option: string,
): Promise<void> {
  const { certificate, isResumed } = evidence;
  if (
    certificate === undefined || await provenPin(certificate) === undefined
  ) {
    throw new RefusedError(
      "its certificate is not one that can be verified (X.509 v3)",
    );
  }
  // A session that is resumed was not looked at again, but its ticket was also
  // given to those who were refused.
  const isVouchedFor = isResumed
    ? verified.has(certificate.fingerprint256)
    : isVerified(evidence);
  const reason = authorityReason(certificate, { isVouchedFor, option });
  if (reason !== undefined) throw new RefusedError(reason);
  verified.add(certificate.fingerprint256);
}

/** Whether the chain is good, and all in it may sign others. */
function isVerified({ isChainGood, intermediates }: PeerEvidence): boolean {
  return isChainGood &&
    intermediates.every((der) => maySign(parseCertificate(der)));
}

/**
 * Computes the pin of a certificate, if the handshake has proved its key.
 *
 * `node:tls` of Deno 2.9.6 takes a handshake as good without checking the peer's
 * signature when its TLS library cannot read the certificate: one of X.509 before
 * version 3, or with an encoding that it does not understand. Such a certificate
 * proves nothing; anybody could have made it out of a public key that is known.
 */
async function provenPin({ raw }: X509Certificate): Promise<Pin | undefined> {
  const certificate = new Uint8Array(raw);
  return areReadable(toPem("CERTIFICATE", certificate))
    ? await pinOfCertificate(certificate)
    : undefined;
}

/** The most certificates that are remembered as good. */
const MAX_VERIFIED = 4096;

/**
 * The certificates that were found good in a whole handshake. Of more than 4096 the
 * least recently seen is forgotten: its owner has to do a whole handshake again.
 */
export class VerifiedCertificates {
  readonly #fingerprints = new Set<string>();

  has(fingerprint: string): boolean {
    return this.#fingerprints.has(fingerprint);
  }

  add(fingerprint: string): void {
    this.#fingerprints.delete(fingerprint);
    this.#fingerprints.add(fingerprint);
    const [oldest = ""] = this.#fingerprints;
    if (this.#fingerprints.size > MAX_VERIFIED) {
      this.#fingerprints.delete(oldest);
    }
  }
}
