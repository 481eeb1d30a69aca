import { assertEquals, assertRejects } from "@std/assert";
import {
  familyOfAddress,
  NoAddressError,
  resolve,
} from "../../../lib/net/resolve.ts";

Deno.test("resolve() takes an address as it is", async () => {
  for (const address of ["192.0.2.7", "2001:db8::1", "fe80::1%eth0"]) {
    assertEquals(await resolve(address, undefined), [address]);
  }
});

Deno.test("resolve() leaves out the other family, and says when none is left", async () => {
  const all = await resolve("localhost", undefined);
  for (const family of [4, 6] as const) {
    const own = all.filter((address) => familyOfAddress(address) === family);
    if (own.length > 0) {
      assertEquals(await resolve("localhost", family), own);
    } else {
      await assertRejects(() => resolve("localhost", family), NoAddressError);
    }
  }
});
