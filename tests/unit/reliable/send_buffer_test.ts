/** What was sent and is kept, in a ring. */

import { assert, assertEquals } from "@std/assert";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { SendBuffer } from "../../../lib/reliable/send_buffer.ts";
import { HEADER_BYTES } from "../../../lib/reliable/wire.ts";
import { concat } from "../../helpers/bytes.ts";
import { SOAK } from "../../helpers/conditions.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";
import { frameStarts } from "../../helpers/frames.ts";

/** In `task soak`, forty times as much is done. */
const EFFORT = SOAK ? 20 : 0.5;

Deno.test("SendBuffer gives out what it was given, however it wraps", () => {
  for (let seed = 1; seed <= 30 * EFFORT; seed++) {
    const random = seeded(seed);
    const capacity = 21 + Math.floor(random() * 2000);
    const buffer = new SendBuffer(capacity);
    const data = drawBytes(20_000, random);
    while (buffer.acknowledged < data.length) {
      const { offset } = buffer.end;
      const n = 1 + Math.floor(random() * 200);
      if (offset < data.length && random() < 0.7) {
        buffer.append(data.subarray(offset, offset + n));
      }
      const from = buffer.next.offset;
      const taken = random() < 0.5 ? buffer.take(500) : undefined;
      if (taken !== undefined) {
        assertEquals(
          payloadsOf(taken),
          data.subarray(from, buffer.next.offset),
        );
      }
      const given = buffer.next.offset - buffer.acknowledged;
      if (random() < 0.5) {
        buffer.acknowledge(
          buffer.acknowledged + Math.floor(random() * (given + 1)),
        );
      } else if (random() < 0.1) {
        const sum = crc32(data.subarray(0, from));
        assert(buffer.canRewind(from, sum) && !buffer.canRewind(from, sum ^ 1));
        buffer.rewind(from);
      }
    }
  }
});

function payloadsOf(frames: Uint8Array): Uint8Array {
  const starts = [...frameStarts(frames), frames.length];
  return concat(
    starts.slice(1).map((end, i) =>
      frames.subarray((starts[i] ?? 0) + HEADER_BYTES, end)
    ),
  );
}
