/** Certificates that are signed by their own key (X.509 v3, RFC 5280). */

import { parseIp } from "../net/ip_address.ts";
import {
  encodeElement,
  encodeInteger,
  encodeTime,
  EXTENSIONS_TAG,
  objectIdentifier,
  TAG,
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
  const toBeSigned = encodeElement(
    TAG.sequence,
    encodeElement(VERSION_TAG, encodeInteger(VERSION_3)),
    encodeInteger(fields.serial),
    signatureAlgorithm,
    name,
    encodeElement(TAG.sequence, encodeTime(notBefore), encodeTime(notAfter)),
    name,
    fields.publicKey,
    encodeElement(
      EXTENSIONS_TAG,
      encodeElement(TAG.sequence, ...fields.extensions),
    ),
  );
  const signature = bitString(await sign(toBeSigned));
  return encodeElement(TAG.sequence, toBeSigned, signatureAlgorithm, signature);
}

const VERSION_TAG = 0xa0;
const VERSION_3 = new Uint8Array([2]);

function distinguishedName(commonName: string): Uint8Array {
  const value = encodeElement(TAG.utf8String, ascii(commonName));
  const attribute = encodeElement(
    TAG.sequence,
    objectIdentifier("2.5.4.3"),
    value,
  );
  return encodeElement(TAG.sequence, encodeElement(TAG.set, attribute));
}

/** Encodes an extension that may be ignored. */
export function extension(id: string, value: Uint8Array): Uint8Array {
  return encodeElement(
    TAG.sequence,
    objectIdentifier(id),
    encodeElement(TAG.octetString, value),
  );
}

/** Encodes an extension that must be understood. */
export function criticalExtension(id: string, value: Uint8Array): Uint8Array {
  return encodeElement(
    TAG.sequence,
    objectIdentifier(id),
    encodeElement(TAG.boolean, new Uint8Array([0xff])),
    encodeElement(TAG.octetString, value),
  );
}

/** Encodes the extension subjectAltName, of host names and IP addresses. */
export function subjectAltName(names: readonly string[]): Uint8Array {
  const list = encodeElement(TAG.sequence, ...names.map(generalName));
  return extension("2.5.29.17", list);
}

function generalName(name: string): Uint8Array {
  const address = parseIp(name.replace(/%.*$/, ""));
  return address === undefined
    ? encodeElement(0x82, ascii(name))
    : encodeElement(0x87, address);
}

/** Encodes a bit string of whole bytes. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return encodeElement(TAG.bitString, new Uint8Array(1), bytes);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
