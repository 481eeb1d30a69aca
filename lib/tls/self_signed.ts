/**
 * A key for one run, and the certificate that goes with it.
 */

import {
  buildCertificate,
  criticalExtension,
  extension,
  subjectAltName,
} from "./certificate_builder.ts";
import { encodeElement, encodeInteger, objectIdentifier, TAG } from "./der.ts";
import { type KeyPair, toPem } from "./key_files.ts";
import { type Pin, pinOfKey } from "./pin.ts";

const DAY_MS = 86_400_000;

/** The time that a peer's clock may be behind ours. */
const VALID_BEFORE_MS = DAY_MS;

/** The longest time that a run may last; a pin checks no dates. */
const VALID_AFTER_MS = 366 * DAY_MS;

const ECDSA_P256 = { name: "ECDSA", namedCurve: "P-256" } as const;

/**
 * Makes an ECDSA P-256 key that lives no longer than this run, and a certificate
 * for it that is signed by itself and no CA.
 *
 * @param names The host names and IP addresses that it is for.
 */
export async function makeSelfSigned(
  names: readonly string[],
  now: Date = new Date(),
): Promise<KeyPair & { readonly pin: Pin }> {
  const extractable = true;
  const { privateKey, publicKey } = await crypto.subtle.generateKey(
    ECDSA_P256,
    extractable,
    ["sign", "verify"],
  );
  const [spki, pkcs8] = await Promise.all([
    crypto.subtle.exportKey("spki", publicKey),
    crypto.subtle.exportKey("pkcs8", privateKey),
  ]);
  const keyBytes = new Uint8Array(spki);
  const certificate = await buildCertificate({
    serial: crypto.getRandomValues(new Uint8Array(16)),
    signatureAlgorithm: ECDSA_WITH_SHA256,
    commonName: "sockpipe",
    notBefore: new Date(now.getTime() - VALID_BEFORE_MS),
    notAfter: new Date(now.getTime() + VALID_AFTER_MS),
    publicKey: keyBytes,
    extensions: [...FOR_SERVERS, subjectAltName(names)],
  }, async (bytes) => ecdsaSignature(await sign(privateKey, bytes)));
  return {
    cert: toPem("CERTIFICATE", certificate),
    key: toPem("PRIVATE KEY", new Uint8Array(pkcs8)),
    pin: await pinOfKey(keyBytes),
  };
}

const ECDSA_WITH_SHA256 = encodeElement(
  TAG.sequence,
  objectIdentifier("1.2.840.10045.4.3.2"),
);

/** Extensions of RFC 5280 section 4.2.1 that say what the key is for. */
const FOR_SERVERS = [
  // basicConstraints: no CA
  criticalExtension("2.5.29.19", encodeElement(TAG.sequence)),
  // keyUsage: digitalSignature
  criticalExtension("2.5.29.15", new Uint8Array([TAG.bitString, 2, 7, 0x80])),
  // extKeyUsage: serverAuth
  extension(
    "2.5.29.37",
    encodeElement(TAG.sequence, objectIdentifier("1.3.6.1.5.5.7.3.1")),
  ),
];

async function sign(
  key: CryptoKey,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array> {
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  return new Uint8Array(await crypto.subtle.sign(algorithm, key, bytes));
}

/**
 * Encodes WebCrypto's r and s, one after the other, as RFC 3279 section 2.2.3 has
 * them.
 */
function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return encodeElement(
    TAG.sequence,
    encodeInteger(raw.subarray(0, half)),
    encodeInteger(raw.subarray(half)),
  );
}
