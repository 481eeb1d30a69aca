import { assertEquals } from "@std/assert";
import { SpareHash } from "../../../lib/run/spare_hash.ts";
import { MiB } from "../../helpers/bytes.ts";

Deno.test("SpareHash has the SHA-256 of what comes at the speed of a line", () => {
  const hash = hashAt({ hashMs: 1, pauseMs: 3 });
  assertEquals(
    hash.digest(),
    // head -c 160M /dev/zero | sha256sum
    "61b5d2e238243a70dd9e9ad76225379515134a2531f374f960f5c6b5cf42519d",
  );
});

Deno.test("SpareHash is given up when it takes more than 30 % of the time", () => {
  assertEquals(hashAt({ hashMs: 1, pauseMs: 2 }).digest(), undefined);
});

Deno.test("SpareHash has that of what is short, however fast it comes", () => {
  const hash = new SpareHash();
  hash.update(new TextEncoder().encode("hello"));
  assertEquals(hash.digest()?.slice(0, 8), "2cf24dba");
});

/** Hashes 160 MiB of zeros, with such times for each MiB by its clock. */
function hashAt(
  { hashMs, pauseMs }: { hashMs: number; pauseMs: number },
): SpareHash {
  let [now, calls] = [0, 0];
  const hash = new SpareHash(() => now += calls++ % 2 === 0 ? pauseMs : hashMs);
  for (let i = 0; i < 160; i++) hash.update(new Uint8Array(MiB));
  return hash;
}
