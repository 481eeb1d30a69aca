/** Copying between shared and ordinary memory, however both lie, and writing. */

import { assertEquals } from "@std/assert";
import { copyBytes, writeAll } from "../../../lib/base/bytes.ts";

const OFFSETS = [0, 1, 4, 7, 8];

for (const length of [0, 1, 17, 256 * 1024 - 1, 256 * 1024 + 9]) {
  Deno.test(`copyBytes() copies ${length} bytes wherever both begin`, () => {
    const all = new Uint8Array(length + 16);
    for (let i = 0; i < all.length; i++) all[i] = i * 31 + (i >> 8);
    for (const fromAt of OFFSETS) {
      for (const toAt of OFFSETS) {
        const from = all.subarray(fromAt, fromAt + length);
        const room = new Uint8Array(new SharedArrayBuffer(length + 16));
        const to = room.subarray(toAt, toAt + length + 1);
        copyBytes(from, to);
        assertEquals(to[length], 0);
        const back = new Uint8Array(length + 16).subarray(fromAt);
        copyBytes(to.subarray(0, length), back);
        assertEquals(back.slice(0, length), from);
      }
    }
  });
}

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
