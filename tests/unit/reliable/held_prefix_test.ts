/** What an earlier run has left of a stream, and how much of it is right. */

import { createHash } from "node:crypto";
import { assert, assertEquals } from "@std/assert";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import {
  BlockHasher,
  digestFrames,
  PrefixComparison,
} from "../../../lib/reliable/held_prefix.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";

const BLOCK = 10;

/** How much of `held` a sender finds right that has `stream`. */
function compare(stream: Uint8Array, held: Uint8Array, random: () => number) {
  const hasher = new BlockHasher(BLOCK);
  for (let at = 0; at < held.length;) {
    const n = 1 + Math.floor(random() * 25);
    hasher.update(held.subarray(at, at += n));
  }
  const { digests } = hasher.finish();
  assertEquals(digests.length, Math.ceil(held.length / BLOCK));
  const comparison = new PrefixComparison(held.length, BLOCK);
  const frames = [...digestFrames(digests)];
  let taken = 0;
  while (comparison.result === undefined) {
    const room = comparison.room();
    const frame = room === undefined || random() < 0.3
      ? frames.shift()
      : undefined;
    if (frame !== undefined) comparison.addDigests(frame);
    else if (taken === stream.length) comparison.end();
    else taken += comparison.take(stream.subarray(taken, taken + 7));
  }
  const { start, rest } = comparison.result;
  assertEquals(rest, stream.subarray(start.offset, taken));
  const before = stream.subarray(0, start.offset);
  assertEquals(start.checksum, crc32(before));
  const sha256 = createHash("sha256").update(before).digest();
  assertEquals(start.hash.copy().digest(), sha256);
  return start.offset;
}

Deno.test("PrefixComparison goes on after the last block that is right", () => {
  const random = seeded(5);
  for (let round = 0; round < 500; round++) {
    const stream = drawBytes(Math.floor(random() * 90), random);
    const length = 1 + Math.floor(random() * 90);
    const held = drawBytes(length, random);
    const right = Math.floor(random() * 120);
    held.set(stream.subarray(0, Math.min(right, length)));
    const equal = Math.min(right, length, stream.length);
    const isAll = equal === length;
    const expected = isAll ? length : equal - equal % BLOCK;
    const found = compare(stream, held, random);
    // Random bytes can be right, too.
    assert(found >= expected && found <= expected + BLOCK);
    assertEquals(held.subarray(0, found), stream.subarray(0, found));
  }
});

Deno.test("digestFrames() cuts digests into frames of 1024 bytes at most", () => {
  const digests = Array.from({ length: 70 }, () => new Uint8Array(32));
  const sizes = [...digestFrames(digests)].map(({ length }) => length);
  assertEquals(sizes, [1024, 1024, 6 * 32]);
});
