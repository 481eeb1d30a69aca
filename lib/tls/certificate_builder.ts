/** Certificates that are signed by their own key (X.509 v3, RFC 5280). */

import { parseIp } from "../net/ip_address.ts";
import {
  element,
  EXTENSIONS_TAG,
  objectIdentifier,
  TAG,
  time,
  unsigned,
} from "./der.ts";

/** The fields of a certificate; its issuer is its subject. */
export interface CertificateFields {
  /** A positive number, the highest byte first. */
  readonly serial: Uint8Array;
  /** An AlgorithmIdentifier, in DER. */
  readonly signatureAlgorithm: Uint8Array;
  readonly commonName: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** The SubjectPublicKeyInfo, in DER. */
  readonly publicKey: Uint8Array;
  /** Each in DER. */
  readonly extensions: readonly Uint8Array[];
}

/**
 * Puts a certificate together.
 *
 * @param sign Signs the bytes, in the form that certificates have.
 * @returns DER.
 */
export async function buildCertificate(
  fields: CertificateFields,
  sign: (bytes: Uint8Array<ArrayBuffer>) => Promise<Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { signatureAlgorithm, notBefore, notAfter } = fields;
  const name = distinguishedName(fields.commonName);
  const toBeSigned = element(
    TAG.sequence,
    element(VERSION_TAG, unsigned(VERSION_3)),
    unsigned(fields.serial),
    signatureAlgorithm,
    name,
    element(TAG.sequence, time(notBefore), time(notAfter)),
    name,
    fields.publicKey,
    element(EXTENSIONS_TAG, element(TAG.sequence, ...fields.extensions)),
  );
  const signature = bitString(await sign(toBeSigned));
  return element(TAG.sequence, toBeSigned, signatureAlgorithm, signature);
}

const VERSION_TAG = 0xa0;
const VERSION_3 = new Uint8Array([2]);

function distinguishedName(commonName: string): Uint8Array {
  const value = element(TAG.utf8String, ascii(commonName));
  const attribute = element(TAG.sequence, objectIdentifier("2.5.4.3"), value);
  return element(TAG.sequence, element(TAG.set, attribute));
}

/** An extension that may be passed over by who does not know it. */
export function extension(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.octetString, value),
  );
}

/** An extension that must not be passed over. */
export function criticalExtension(id: string, value: Uint8Array): Uint8Array {
  return element(
    TAG.sequence,
    objectIdentifier(id),
    element(TAG.boolean, new Uint8Array([0xff])),
    element(TAG.octetString, value),
  );
}

/** The extension subjectAltName, of host names and IP addresses. */
export function subjectAltName(names: readonly string[]): Uint8Array {
  const list = element(TAG.sequence, ...names.map(generalName));
  return extension("2.5.29.17", list);
}

function generalName(name: string): Uint8Array {
  const address = parseIp(name.replace(/%.*$/, ""));
  return address === undefined
    ? element(0x82, ascii(name))
    : element(0x87, address);
}

/** A bit string of whole bytes. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return element(TAG.bitString, new Uint8Array(1), bytes);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
