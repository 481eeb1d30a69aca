/** The checksum, and a runtime that once got it wrong. */

import { assertEquals } from "@std/assert";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";

Deno.test("crc32() is the CRC-32 of zlib, and continues", () => {
  const digits = new TextEncoder().encode("123456789");
  assertEquals(crc32(digits), 0xcbf43926);
  const first = crc32(digits.subarray(0, 4));
  assertEquals(crc32(digits.subarray(4), first), 0xcbf43926);
});

Deno.test("crc32() stays right when it is hot", () => {
  const random = seeded(1);
  const bytes = drawBytes(60_000, random);
  const expected = crc32(bytes);
  for (let round = 0; round < 10; round++) {
    let running = 0;
    for (let at = 0; at < bytes.length;) {
      const n = Math.floor(random() * 40);
      running = crc32(bytes.subarray(at, at + n), running);
      at += n;
    }
    assertEquals(running, expected);
  }
});
