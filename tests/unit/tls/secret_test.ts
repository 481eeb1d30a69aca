import { X509Certificate } from "node:crypto";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { areSecretsEqual } from "../../../lib/base/bytes.ts";
import { hex } from "../../../lib/base/units.ts";
import { derivedKeyPair } from "../../../lib/tls/derived_certificate.ts";
import { firstCertificate } from "../../../lib/tls/key_files.ts";
import {
  derive,
  formatSecret,
  newSecret,
  parseSecret,
} from "../../../lib/tls/secret.ts";
import { parseCertificate } from "../../../lib/tls/x509.ts";
import { sha256 } from "../../helpers/bytes.ts";

/** The secret of docs/security.md: the bytes 0 to 31. */
const SECRET = Uint8Array.from({ length: 32 }, (_, index) => index);
const TEXT =
  "sockpipe1-aaaqeay-eaudaoc-ajbifqy-diob4ib-ceqtcqk-rmfyyde-nbwha5d-yptjkfc";

const DOCUMENT = await Deno.readTextFile(
  new URL("../../../docs/security.md", import.meta.url),
);

/** A value out of the table of test vectors in docs/security.md. */
function vector(name: string): string {
  const row = new RegExp(`^\\| ${name} +\\| \`([^\`]+)\` +\\|$`, "m");
  return row.exec(DOCUMENT)?.[1] ?? `docs/security.md has no ${name}`;
}

Deno.test("formatSecret() writes the text of the test vector, and parseSecret() reads it", async () => {
  assertEquals(await formatSecret(SECRET), TEXT);
  assertEquals(TEXT, vector("its text"));
  assertEquals(hex(SECRET), vector("secret"));
  assertEquals(await parseSecret(TEXT), SECRET);
});

Deno.test("parseSecret() passes over what a copy may do to a text", async () => {
  const copies = [
    `${TEXT}\n`,
    `${TEXT}\r\n`,
    `\ufeff${TEXT}\r\n`,
    ` ${TEXT}\t`,
  ];
  for (const text of [...copies, TEXT.toUpperCase()]) {
    assertEquals(await parseSecret(text), SECRET);
  }
});

Deno.test("parseSecret() finds every letter that is wrong, missing or doubled", async () => {
  for (let at = 0; at < TEXT.length; at++) {
    const [before, letter, after] = [
      TEXT.slice(0, at),
      TEXT.charAt(at),
      TEXT.slice(at + 1),
    ];
    const other = letter === "q" ? "r" : "q";
    const wrong = [before + other + after, before + letter + letter + after];
    if (letter !== "-") wrong.push(before + after);
    for (const text of wrong.filter((text) => text !== TEXT)) {
      // Hyphens are for the eye only.
      if (text.replaceAll("-", "") === TEXT.replaceAll("-", "")) continue;
      await assertRejects(() => parseSecret(text), SyntaxError, "", text);
    }
  }
});

Deno.test("parseSecret() says what is wrong, and nothing of the text", async () => {
  const cases: [text: string, reason: string][] = [
    ["", "it is not a secret that sockpipe has made"],
    ["correct horse battery staple", "could be guessed"],
    ["0".repeat(64), "make one with --new-secret"],
    [TEXT.replace("sockpipe1", "sockpipe2"), "it is of a later version"],
    [TEXT.slice(0, -1), "it is damaged: 55 of 56 letters"],
    [`${TEXT}\n${TEXT}`, "it is damaged"],
    [TEXT.replace("aaaqeay", "aaaqeaz"), "there is a typo in it"],
    [TEXT.replace("aaaqeay", "aaaqe1y"), "there is a typo in it"],
  ];
  for (const [text, reason] of cases) {
    const { message } = await assertRejects(
      () => parseSecret(text),
      SyntaxError,
      reason,
    );
    for (const word of text.split(/[\s-]+/).slice(1)) {
      assert(word.length < 7 || !message.includes(word), message);
    }
  }
});

Deno.test("newSecret() never makes the same twice", async () => {
  const texts = await Promise.all(
    Array.from({ length: 100 }, () => formatSecret(newSecret())),
  );
  assertEquals(new Set(texts).size, 100);
});

Deno.test("derive() and derivedKeyPair() are as the test vectors", async () => {
  assertEquals(hex(await derive(SECRET, "dialler")), vector("proof"));
  assertEquals(hex(await derive(SECRET, "listener")), vector("seed"));
  const { cert, key } = await derivedKeyPair(SECRET);
  const der = firstCertificate(cert) ?? new Uint8Array();
  assertEquals(await sha256(der), vector("SHA-256 of the certificate"));
  assertEquals(await derivedKeyPair(SECRET.slice()), { cert, key });
  const other = await derivedKeyPair(newSecret());
  assert(other.cert !== cert && other.key !== key);
});

Deno.test("the derived certificate is one that node:crypto can verify", async () => {
  const { cert } = await derivedKeyPair(SECRET);
  const certificate = new X509Certificate(cert);
  assert(certificate.verify(certificate.publicKey));
  assertEquals(certificate.subject, "CN=sockpipe.invalid");
  assertEquals(certificate.subjectAltName, "DNS:sockpipe.invalid");
  assert(!certificate.ca);
  const der = firstCertificate(cert) ?? new Uint8Array();
  assertEquals(parseCertificate(der)?.version, 3);
});

Deno.test("areEqual() compares all bytes and the length", () => {
  const equal = (one: number[], other: number[]) =>
    areSecretsEqual(Uint8Array.from(one), Uint8Array.from(other));
  assert(equal([], []) && equal([1, 2], [1, 2]));
  assert(!equal([1, 2], [1, 3]) && !equal([1, 2], [0, 2]));
  assert(!equal([1], [1, 0]) && !equal([1, 0], [1]) && !equal([], [0]));
});
