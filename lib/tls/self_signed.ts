/**
 * A key for one run, and the certificate that goes with it.
 */

import { parseIp } from "../net/ip_address.ts";
import { type KeyPair, toPem } from "./key_files.ts";
import {
  element,
  EXTENSIONS_TAG,
  objectIdentifier,
  TAG,
  time,
  unsigned,
} from "./der.ts";
import { type Pin, pinOfKey } from "./pin.ts";

const DAY_MS = 86_400_000;

/** How far a peer's clock may be behind ours. */
const VALID_BEFORE_MS = DAY_MS;

/** A run may last; whoever pins the key asks for no date anyway. */
const VALID_AFTER_MS = 366 * DAY_MS;

const ECDSA_P256 = { name: "ECDSA", namedCurve: "P-256" } as const;

/**
 * Makes an ECDSA P-256 key that lives no longer than this run, and a certificate
 * for it (X.509 v3, RFC 5280) that is signed by itself and no CA.
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
  const toBeSigned = tbsCertificate(keyBytes, names, now);
  const signature = await crypto.subtle.sign(
    { name: "ECDSA", hash: "SHA-256" },
    privateKey,
    toBeSigned,
  );
  const certificate = element(
    TAG.sequence,
    toBeSigned,
    ECDSA_WITH_SHA256,
    bitString(ecdsaSignature(new Uint8Array(signature))),
  );
  return {
    cert: toPem("CERTIFICATE", certificate),
    key: toPem("PRIVATE KEY", new Uint8Array(pkcs8)),
    pin: await pinOfKey(keyBytes),
  };
}

const ECDSA_WITH_SHA256 = element(
  TAG.sequence,
  objectIdentifier("1.2.840.10045.4.3.2"),
);

function tbsCertificate(
  publicKey: Uint8Array<ArrayBuffer>,
  names: readonly string[],
  now: Date,
): Uint8Array<ArrayBuffer> {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  const name = element(
    TAG.sequence,
    element(
      TAG.set,
      element(
        TAG.sequence,
        objectIdentifier("2.5.4.3"),
        element(TAG.utf8String, ascii("sockpipe")),
      ),
    ),
  );
  return element(
    TAG.sequence,
    element(0xa0, unsigned(new Uint8Array([2]))),
    unsigned(serial),
    ECDSA_WITH_SHA256,
    name,
    element(
      TAG.sequence,
      time(new Date(now.getTime() - VALID_BEFORE_MS)),
      time(new Date(now.getTime() + VALID_AFTER_MS)),
    ),
    name,
    publicKey,
    element(EXTENSIONS_TAG, element(TAG.sequence, ...extensions(names))),
  );
}

/** Extensions of RFC 5280 section 4.2.1: what the key is for, and its names. */
function extensions(names: readonly string[]): Uint8Array[] {
  const digitalSignature = new Uint8Array([TAG.bitString, 2, 7, 0x80]);
  return [
    // basicConstraints: no CA
    critical("2.5.29.19", element(TAG.sequence)),
    critical("2.5.29.15", digitalSignature),
    extension(
      "2.5.29.37",
      element(TAG.sequence, objectIdentifier("1.3.6.1.5.5.7.3.1")),
    ),
    extension("2.5.29.17", element(TAG.sequence, ...names.map(generalName))),
  ];
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.octetString, value),
  );
}

function critical(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.boolean, new Uint8Array([0xff])),
    element(TAG.octetString, value),
  );
}

function generalName(name: string): Uint8Array {
  const address = parseIp(name.replace(/%.*$/, ""));
  return address === undefined
    ? element(0x82, ascii(name))
    : element(0x87, address);
}

/** WebCrypto's r and s, one after the other, as RFC 3279 section 2.2.3 has them. */
function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return element(
    TAG.sequence,
    unsigned(raw.subarray(0, half)),
    unsigned(raw.subarray(half)),
  );
}

function bitString(bytes: Uint8Array): Uint8Array {
  return element(TAG.bitString, new Uint8Array(1), bytes);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
