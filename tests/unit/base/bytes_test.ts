/** Copying between shared and ordinary memory, however both lie. */

import { assertEquals } from "@std/assert";
import { copyBytes } from "../../../lib/base/bytes.ts";

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
