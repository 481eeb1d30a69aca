import { assertEquals } from "@std/assert";
import { hmacSha256 } from "../../../lib/base/hmac.ts";
import { hex } from "../../../lib/base/units.ts";

Deno.test("the HMAC of parts is that of RFC 4231, test case 2", () => {
  const key = new TextEncoder().encode("Jefe");
  const parts = ["what do ya want ", new TextEncoder().encode("for nothing?")];
  assertEquals(
    hex(hmacSha256(key, ...parts)),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});
