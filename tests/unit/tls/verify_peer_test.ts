import { X509Certificate } from "node:crypto";
import { assertEquals, assertRejects } from "@std/assert";
import { RefusedError } from "../../../lib/base/errors.ts";
import { firstCertificate } from "../../../lib/tls/key_files.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import {
  type PeerEvidence,
  requireAuthority,
  requirePin,
  VerifiedCertificates,
} from "../../../lib/tls/verify_peer.ts";

const own = await makeSelfSigned(["localhost"]);
const other = await makeSelfSigned(["localhost"]);

/** A certificate as `node:tls` shows it; that of Deno 2.4 has no fingerprint. */
function certificateOf(pem: string): X509Certificate {
  const certificate = new X509Certificate(pem);
  const raw = firstCertificate(pem) ?? new Uint8Array();
  const [validFrom, validTo] = [0, 4e12].map((ms) => new Date(ms).toString());
  return Object.create(certificate, {
    raw: { value: raw },
    fingerprint256: { value: pem },
    validFrom: { value: validFrom },
    validTo: { value: validTo },
  });
}

const good: PeerEvidence = {
  certificate: certificateOf(own.cert),
  intermediates: [],
  isChainGood: true,
  isResumed: false,
};

Deno.test("requirePin() takes one of the pins, and no other key", async () => {
  const { pin } = other;
  await requirePin(good, [pin, own.pin], "--tls-pin");
  const error = await assertRejects(
    () => requirePin(good, [pin], "--tls-pin"),
    RefusedError,
  );
  assertEquals(
    error.message,
    `its key has the pin ${own.pin}, and --tls-pin wants ${pin}`,
  );
  await assertRejects(
    () => requirePin({ ...good, certificate: undefined }, [pin], "--tls-pin"),
    RefusedError,
    "not one that can be pinned",
  );
});

Deno.test("requireAuthority() asks for a good chain of certificates that may sign", async () => {
  const judge = (change: Partial<PeerEvidence>) =>
    requireAuthority(
      { ...good, ...change },
      new VerifiedCertificates(),
      "--tls-client-ca",
    );
  await judge({});
  await assertRejects(() => judge({ isChainGood: false }), RefusedError);
  await assertRejects(() => judge({ certificate: undefined }), RefusedError);
  // Its key usage is digitalSignature alone.
  const leaf = firstCertificate(other.cert) ?? new Uint8Array();
  await assertRejects(() => judge({ intermediates: [leaf] }), RefusedError);
});

Deno.test("requireAuthority() resumes only who passed a whole handshake", async () => {
  const verified = new VerifiedCertificates();
  const judge = (change: Partial<PeerEvidence>) =>
    requireAuthority({ ...good, ...change }, verified, "--tls-client-ca");
  const resumed = { isResumed: true };
  await assertRejects(() => judge(resumed), RefusedError);
  await judge({});
  await judge(resumed);
  const foreign = { ...resumed, certificate: certificateOf(other.cert) };
  await assertRejects(() => judge(foreign), RefusedError);
});

Deno.test("of the certificates that passed, those that were not back for longest are forgotten", () => {
  const verified = new VerifiedCertificates();
  for (let index = 0; index < 4096; index++) verified.add(`${index}`);
  verified.add("0");
  verified.add("new");
  assertEquals(["0", "1", "2", "new"].map((name) => verified.has(name)), [
    true,
    false,
    true,
    true,
  ]);
});
