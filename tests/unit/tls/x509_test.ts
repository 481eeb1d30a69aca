/** Our reading of certificates, held against that of `node:crypto`. */

import { X509Certificate } from "node:crypto";
import { assert, assertEquals } from "@std/assert";
import { hex } from "../../../lib/base/units.ts";
import { encodeElement, objectIdentifier, TAG } from "../../../lib/tls/der.ts";
import {
  firstCertificate,
  systemAuthorities,
} from "../../../lib/tls/key_files.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { maySign, parseCertificate } from "../../../lib/tls/x509.ts";
import { randomBytes } from "../../helpers/bytes.ts";

/** A certificate of our own, and those of the system's CAs, in DER. */
async function samples(): Promise<Uint8Array<ArrayBuffer>[]> {
  const own = await makeSelfSigned(["localhost", "127.0.0.1", "::1"]);
  const others = (await systemAuthorities()).split(/(?=-----BEGIN)/);
  return [own.cert, ...others].map(firstCertificate)
    .filter((der) => der !== undefined);
}

/** The SubjectPublicKeyInfo, as `node:crypto` reads it. */
function publicKeyByNode(der: Uint8Array): string | undefined {
  try {
    const { publicKey } = new X509Certificate(der);
    return hex(publicKey.export({ type: "spki", format: "der" }));
  } catch {
    return undefined;
  }
}

Deno.test("parseCertificate() finds the public key that node:crypto finds", async () => {
  let compared = 0;
  for (const der of await samples()) {
    const ours = parseCertificate(der);
    assert(ours !== undefined);
    const theirs = publicKeyByNode(der);
    if (theirs === undefined) continue;
    compared++;
    assertEquals(hex(ours.publicKey), theirs);
  }
  assert(compared > 0);
});

Deno.test("parseCertificate() reads no other key out of a certificate with wrong bytes", async () => {
  const [der] = await samples();
  assert(der !== undefined);
  const values = randomBytes(2000, 7);
  for (const [round, value] of values.entries()) {
    const wrong = der.slice();
    wrong[round % wrong.length] = value;
    const ours = parseCertificate(wrong);
    const theirs = publicKeyByNode(wrong);
    if (ours === undefined || theirs === undefined) continue;
    // node:crypto writes the algorithm anew; the point on the curve is 65 bytes.
    assertEquals(hex(ours.publicKey.slice(-65)), theirs.slice(-130));
  }
});

Deno.test("parseCertificate() wants all of one certificate, and nothing after it", async () => {
  const [der] = await samples();
  assert(der !== undefined);
  for (let length = 0; length < der.length; length++) {
    assertEquals(parseCertificate(der.slice(0, length)), undefined);
  }
  assertEquals(parseCertificate(new Uint8Array([...der, 0])), undefined);
});

/** A certificate with the extension keyUsage, unsigned. */
function withKeyUsage(...bits: number[]): Uint8Array<ArrayBuffer> {
  const empty = encodeElement(TAG.sequence);
  const extension = encodeElement(
    TAG.sequence,
    objectIdentifier("2.5.29.15"),
    encodeElement(
      TAG.octetString,
      encodeElement(TAG.bitString, new Uint8Array([0, ...bits])),
    ),
  );
  const version = encodeElement(TAG.integer, new Uint8Array([2]));
  return encodeElement(
    TAG.sequence,
    encodeElement(
      TAG.sequence,
      encodeElement(0xa0, version),
      encodeElement(TAG.integer, new Uint8Array([1])),
      ...[empty, empty, empty, empty, empty],
      encodeElement(0xa3, encodeElement(TAG.sequence, extension)),
    ),
  );
}

Deno.test("maySign() asks for keyCertSign where there is a key usage", async () => {
  const sign = (...bits: number[]) =>
    maySign(parseCertificate(withKeyUsage(...bits)));
  assertEquals([sign(0x04), sign(0x86), sign(0x80), sign(0xfb), sign()], [
    true,
    true,
    false,
    false,
    false,
  ]);
  assert(!maySign(undefined));
  for (const der of (await samples()).slice(1)) {
    assert(maySign(parseCertificate(der)), "a CA of this system may sign");
  }
});
