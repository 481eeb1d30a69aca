/** The change from read(2) and write(2) to splice(2), amid a stream. */

import { assert, assertEquals } from "@std/assert";
import { BULK_BYTES, Descriptor } from "../../../lib/io/descriptor.ts";
import { Flow } from "../../../lib/io/flow.ts";
import { concat, randomBytes, sha256 } from "../../helpers/bytes.ts";
import { c, Pipe, unixTest } from "../../helpers/descriptors.ts";
import { seeded } from "../../helpers/seeded.ts";

/** The most that is written or taken at once, in bytes: as a pipe holds at first. */
const MOST_BYTES = 65_536;

/** Opens one direction of a pipe's end. */
function ofGiven(fd: number, direction: "read" | "write"): Descriptor {
  const descriptor = Descriptor.ofGiven(c(), fd, direction);
  assert(descriptor !== undefined);
  return descriptor;
}

/** Moves all of `data` in pieces of chance; returns what arrives. */
function move(data: Uint8Array, random: () => number): Uint8Array<ArrayBuffer> {
  using source = new Pipe();
  using target = new Pipe();
  using writer = ofGiven(source.writer, "write");
  using from = ofGiven(source.reader, "read");
  using to = ofGiven(target.writer, "write");
  using reader = ofGiven(target.reader, "read");
  const failed = () => new Error("it failed");
  const flow = new Flow(c(), {
    from: { descriptor: from, failed },
    to: { descriptor: to, failed },
    dataSize: 1 + random() * MOST_BYTES * 4 | 0,
    splices: true,
  });
  const draw = () => 1 + random() * MOST_BYTES | 0;
  const room = new Uint8Array(MOST_BYTES);
  const arrived: Uint8Array[] = [];
  let rest = data;
  for (let count = 1; count > 0 || rest.length > 0 || !flow.ended;) {
    const some = rest.subarray(0, draw());
    if (some.length > 0) rest = rest.subarray(Math.max(0, writer.write(some)));
    if (rest.length === 0) {
      source.close(source.writer);
      writer.close();
    }
    if (!flow.ended) flow.step();
    // The reader often takes less than there is, so that the target is full.
    count = Math.max(0, reader.read(room.subarray(0, draw())));
    arrived.push(room.slice(0, count));
  }
  return concat(arrived);
}

unixTest(
  "a stream that ends at any byte about the change to splice(2) arrives whole",
  async () => {
    const random = seeded(11);
    const data = randomBytes(2 * BULK_BYTES, 3);
    for (let i = -150; i <= 150; i++) {
      // Close to the change at first, then farther and farther from it.
      const off = Math.abs(i) <= 50 ? i : Math.round(random() * 65_536) * i;
      const length = Math.max(1, Math.min(data.length, BULK_BYTES + off));
      const sent = data.slice(0, length);
      const arrived = move(sent, random);
      assertEquals(arrived.length, length);
      assertEquals(await sha256(arrived), await sha256(sent));
    }
  },
);
