/** The fields of certificates (X.509, RFC 5280) that decide something here. */

import {
  type Element,
  EXTENSIONS_TAG,
  objectIdentifier,
  readElements,
  TAG,
} from "./der.ts";
import { hex } from "../base/units.ts";
import { type Pin, pinOfKey } from "./pin.ts";

/** The fields of a certificate that somebody here asks for. */
export interface Certificate {
  /** 1, 2 or 3. */
  readonly version: number;
  /** The SubjectPublicKeyInfo, in DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** The bits of the extension keyUsage, if it is there: bit 0 is 0x80. */
  readonly keyUsage: number | undefined;
}

/**
 * Reads a certificate. Only its form is checked, not its signature or its dates.
 *
 * @param der The certificate and nothing else.
 * @returns `undefined` when it does not have the form of RFC 5280 section 4.1.
 */
export function parseCertificate(
  der: Uint8Array<ArrayBuffer>,
): Certificate | undefined {
  const [outer, ...afterOuter] = readElements(der) ?? [];
  if (outer?.tag !== TAG.sequence || afterOuter.length > 0) return undefined;
  const [toBeSigned] = childrenOf(outer);
  if (toBeSigned?.tag !== TAG.sequence) return undefined;
  const fields = childrenOf(toBeSigned);
  const version = versionOf(fields[0]);
  // [version,] serial, signature algorithm, issuer, validity, subject, key, …
  const publicKey = fields[version === 1 ? 5 : 6];
  if (version === undefined || publicKey?.tag !== TAG.sequence) {
    return undefined;
  }
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS_TAG);
  return {
    version,
    publicKey: publicKey.whole,
    keyUsage: keyUsageIn(extensions),
  };
}

/** Computes the pin of a certificate's key; `undefined` when it is not X.509 v3. */
export async function pinOfCertificate(
  der: Uint8Array<ArrayBuffer>,
): Promise<Pin | undefined> {
  const certificate = parseCertificate(der);
  return certificate?.version === 3
    ? await pinOfKey(certificate.publicKey)
    : undefined;
}

/**
 * Whether a certificate's key may sign others as far as its key usage is concerned
 * (RFC 5280 section 4.2.1.3); without one it may. One that cannot be read may not.
 */
export function maySign(certificate: Certificate | undefined): boolean {
  if (certificate === undefined) return false;
  const { keyUsage = KEY_CERT_SIGN } = certificate;
  return (keyUsage & KEY_CERT_SIGN) !== 0;
}

/** Bit 5 of keyUsage. */
const KEY_CERT_SIGN = 0x04;

const VERSION_TAG = 0xa0;

/** Reads the version; 1 where the first field is another one. */
function versionOf(first: Element | undefined): number | undefined {
  if (first?.tag !== VERSION_TAG) return 1;
  const [number, ...more] = childrenOf(first);
  const isVersion = number?.tag === TAG.integer && more.length === 0 &&
    number.content.length === 1;
  return isVersion ? (number.content[0] ?? 0) + 1 : undefined;
}

const KEY_USAGE = hex(objectIdentifier("2.5.29.15"));

/** Reads keyUsage; 0, which allows nothing, when it cannot be read. */
function keyUsageIn(extensions: Element | undefined): number | undefined {
  const [list] = childrenOf(extensions);
  const keyUsage = childrenOf(list).map(childrenOf)
    .find(([id]) => id !== undefined && hex(id.whole) === KEY_USAGE);
  if (keyUsage === undefined) return undefined;
  const [bits] = readElements(keyUsage.at(-1)?.content ?? NOTHING) ?? [];
  // Behind the number of unused bits.
  return bits?.content[1] ?? 0;
}

function childrenOf(element: Element | undefined): Element[] {
  return readElements(element?.content ?? NOTHING) ?? [];
}

const NOTHING = new Uint8Array();
