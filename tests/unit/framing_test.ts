/** Bytes cut into chunks. */

import { assert, assertEquals } from "@std/assert";
import { chunks } from "../../framing.ts";
import { concat } from "../helpers/bytes.ts";
import { drawBytes, seeded } from "../helpers/seeded.ts";

Deno.test("chunks() cuts at every DATA_SIZE", () => {
  const bytes = drawBytes(10, seeded(1));
  for (let dataSize = 1; dataSize <= 11; dataSize++) {
    const cut = [...chunks(bytes, dataSize)];
    assertEquals(cut.length, Math.ceil(10 / dataSize));
    assert(cut.every((chunk, i) => chunk.byteOffset === i * dataSize));
    assertEquals(concat(cut), bytes);
  }
  assertEquals([...chunks(new Uint8Array(), 5)], []);
});
