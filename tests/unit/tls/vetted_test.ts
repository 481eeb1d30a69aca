/** Unit tests of the clients that are remembered. */

import { assertEquals } from "@std/assert";
import { Vetted } from "../../../lib/tls/node_tls.ts";

Deno.test("of those who passed, the ones who were not back for longest are forgotten", () => {
  const vetted = new Vetted();
  for (let index = 0; index < 4096; index++) vetted.add(`${index}`);
  vetted.add("0");
  vetted.add("new");
  assertEquals(["0", "1", "2", "new"].map((name) => vetted.has(name)), [
    true,
    false,
    true,
    true,
  ]);
});
