/**
 * The certificate that follows from a secret. Ed25519 signatures are deterministic
 * (RFC 8032), so whoever has the secret makes the same bytes: the listener shows
 * the certificate, and the connecting side trusts it and no other.
 */

import {
  bitString,
  buildCertificate,
  subjectAltName,
} from "./certificate_builder.ts";
import { encodeElement, encodeInteger, objectIdentifier, TAG } from "./der.ts";
import { type KeyPair, toPem } from "./key_files.ts";
import { derive, type Secret } from "./secret.ts";

/** The name in the certificate. No public CA may issue it (RFC 6761 section 6.4). */
export const SECRET_NAME = "sockpipe.invalid";

/**
 * The whole time that a certificate can tell, first and last second (RFC 5280
 * 4.1.2.5).
 */
const NOT_BEFORE = new Date("1970-01-01T00:00:00Z");
const NOT_AFTER = new Date("9999-12-31T23:59:59Z");

/** An AlgorithmIdentifier (RFC 8410 section 3). */
const ED25519 = encodeElement(TAG.sequence, objectIdentifier("1.3.101.112"));

/**
 * Derives the listener's key and certificate, in PEM. The certificate has no
 * basicConstraints: with CA:TRUE the TLS library would not take it for a server's,
 * with CA:FALSE openssl not for its own anchor.
 */
export async function derivedKeyPair(secret: Secret): Promise<KeyPair> {
  const pkcs8 = privateKeyInfo(await derive(secret, "listener"));
  const extractable = true;
  const key = await crypto.subtle.importKey(
    "pkcs8",
    pkcs8,
    "Ed25519",
    extractable,
    ["sign"],
  );
  const certificate = await buildCertificate(
    {
      serial: new Uint8Array([1]),
      signatureAlgorithm: ED25519,
      commonName: SECRET_NAME,
      notBefore: NOT_BEFORE,
      notAfter: NOT_AFTER,
      publicKey: encodeElement(
        TAG.sequence,
        ED25519,
        bitString(await publicKeyOf(key)),
      ),
      extensions: [subjectAltName([SECRET_NAME])],
    },
    async (bytes) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", key, bytes)),
  );
  return {
    cert: toPem("CERTIFICATE", certificate),
    key: toPem("PRIVATE KEY", pkcs8),
  };
}

/**
 * Encodes a private key as RFC 8410 section 7 has it, of the 32 bytes it comes
 * from.
 */
function privateKeyInfo(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeElement(
    TAG.sequence,
    encodeInteger(new Uint8Array(1)),
    ED25519,
    encodeElement(TAG.octetString, encodeElement(TAG.octetString, seed)),
  );
}

async function publicKeyOf(privateKey: CryptoKey): Promise<Uint8Array> {
  const { x = "" } = await crypto.subtle.exportKey("jwk", privateKey);
  const base64 = x.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}
