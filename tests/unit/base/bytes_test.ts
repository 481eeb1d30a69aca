/** Writing all bytes. */

import { assertEquals } from "@std/assert";
import { writeAll } from "../../../lib/base/bytes.ts";

Deno.test("writeAll() writes on when only some of the bytes are taken", async () => {
  const seen: number[] = [];
  const write = (bytes: Uint8Array) => {
    const some = bytes.subarray(0, 3);
    seen.push(...some);
    return Promise.resolve(some.length);
  };
  await writeAll({ write }, Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
  assertEquals(seen, [1, 2, 3, 4, 5, 6, 7]);
});
