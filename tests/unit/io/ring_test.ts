import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { Ring } from "../../../lib/io/ring.ts";
import { randomBytes } from "../../helpers/bytes.ts";
import { within } from "../../helpers/deadlines.ts";
import type { RingTask } from "./ring_worker.ts";

function ringOf(capacity: number): Ring {
  return new Ring(Ring.allocate(capacity));
}

/** Puts bytes into the ring, as many as go in one piece. */
function put(ring: Ring, bytes: Uint8Array, most = bytes.length): number {
  const room = ring.room(Math.min(most, bytes.length));
  room.set(bytes.subarray(0, room.length));
  ring.commit(room.length);
  return room.length;
}

/** Takes bytes out of the ring, as many as come in one piece. */
function take(ring: Ring, most: number): Uint8Array {
  const bytes = ring.filled(most).slice();
  ring.release(bytes.length);
  return bytes;
}

/** Sizes from 1 to `most`, the same in each run. `most` is at most 255. */
function sizesUpTo(most: number, seed: number): Uint8Array {
  return randomBytes(997, seed).map((byte) => 1 + byte % most);
}

Deno.test("Ring.allocate() takes powers of two only", () => {
  for (const capacity of [0, -4, 3, 1.5, 4095, 2 ** 31, NaN, Infinity]) {
    assertThrows(() => Ring.allocate(capacity), RangeError, `${capacity}`);
  }
  for (const capacity of [1, 2, 4096]) {
    assertEquals(ringOf(capacity).capacity, capacity);
  }
});

Deno.test("Ring gives room and bytes in one piece, up to its end", () => {
  const ring = ringOf(8);
  assertEquals(ring.room(100).length, 8);
  assertEquals(ring.room(3).length, 3);
  assertEquals(ring.filled(100).length, 0);

  assertEquals(put(ring, new Uint8Array([1, 2, 3, 4, 5, 6])), 6);
  assertEquals(take(ring, 5), new Uint8Array([1, 2, 3, 4, 5]));
  assertEquals(ring.room(100).length, 2, "up to the end");
  assertEquals(put(ring, new Uint8Array([7, 8, 9])), 2);
  assertEquals(ring.room(100).length, 5, "from the beginning");
  assertEquals(put(ring, new Uint8Array([9, 10])), 2);
  assertEquals(ring.used, 5);
  assertEquals(take(ring, 100), new Uint8Array([6, 7, 8]));
  assertEquals(take(ring, 100), new Uint8Array([9, 10]));
  assertEquals(ring.used, 0);
});

Deno.test("Ring is full when all of its bytes are used", () => {
  const ring = ringOf(4);
  put(ring, new Uint8Array([1, 2, 3, 4]));
  assertEquals(ring.used, 4);
  assertEquals(ring.room(1).length, 0);
  assertEquals(take(ring, 1), new Uint8Array([1]));
  assertEquals(ring.room(4).length, 1);
});

Deno.test("Ring goes on after 2³² bytes", () => {
  const ring = ringOf(2 ** 20);
  for (let moved = 0; moved < 2 ** 32 + 2 ** 22; moved += ring.capacity) {
    ring.commit(ring.capacity);
    assertEquals(ring.used, ring.capacity);
    ring.release(ring.capacity);
    assertEquals(ring.used, 0);
  }
});

Deno.test("Ring keeps bytes and their order, whatever the sizes", () => {
  for (const capacity of [1, 2, 8, 64, 256]) {
    const sent = randomBytes(20_000, capacity);
    const sizes = sizesUpTo(100, capacity + 1);
    const ring = ringOf(capacity);
    const got = new Uint8Array(sent.length);
    let [put_, got_] = [0, 0];
    for (let turn = 0; got_ < sent.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1;
      if (size % 2 === 0) {
        put_ += put(ring, sent.subarray(put_), size);
      } else {
        const bytes = take(ring, size);
        got.set(bytes, got_);
        got_ += bytes.length;
      }
      assertEquals(ring.used, put_ - got_);
    }
    assert(sent.every((byte, at) => byte === got[at]), `capacity ${capacity}`);
  }
});

Deno.test("Ring.commit() tells whether the consumer waits", () => {
  const ring = ringOf(8);
  assertFalse(ring.commit(1), "nobody waits");
  assertFalse(ring.mustWaitForBytes(), "there is a byte");
  assertFalse(ring.commit(1), "a wait that was not necessary is taken back");
  take(ring, 8);
  assert(ring.mustWaitForBytes());
  assert(ring.commit(1));
  assertFalse(ring.commit(1), "it has been told already");
});

Deno.test("Ring.release() tells when there is the room that the producer waits for", () => {
  const ring = ringOf(8);
  ring.commit(8);
  assertFalse(ring.release(1), "nobody waits");
  assertFalse(ring.mustWaitForRoom(1), "there is room");
  assert(ring.mustWaitForRoom(4));
  assertFalse(ring.release(2), "only 3 bytes are free");
  assert(ring.release(1));
  assertFalse(ring.release(1), "it has been told already");
});

Deno.test("Ring.end() wakes the consumer, who still gets the rest", () => {
  const ring = ringOf(8);
  assert(ring.mustWaitForBytes());
  assert(ring.end());
  assert(ring.ended);
  assertFalse(ring.mustWaitForBytes());

  const other = ringOf(8);
  other.commit(3);
  assertFalse(other.end(), "nobody waits");
  assertEquals(other.filled(8).length, 3);
  assertFalse(other.stopped);
});

Deno.test("Ring.stop() leaves nobody waiting", () => {
  const ring = ringOf(1);
  ring.stop();
  assert(ring.stopped);
  assertFalse(ring.mustWaitForBytes());
  ring.commit(1);
  assertFalse(ring.mustWaitForRoom(1));
  // Would block for ever, all of them.
  ring.waitForStart();
  ring.waitForRoom();
  ring.sleep(2 ** 30);
});

/** The Worker's messages, which can be waited for. */
class OtherEnd implements Disposable {
  readonly #worker = new Worker(
    new URL("./ring_worker.ts", import.meta.url).href,
    { type: "module" },
  );
  #woken = Promise.withResolvers<void>();
  #answer = Promise.withResolvers<Uint8Array>();

  constructor(task: RingTask) {
    this.#worker.onmessage = ({ data }: MessageEvent<"wake" | Uint8Array>) => {
      if (data !== "wake") return this.#answer.resolve(data);
      this.#woken.resolve();
      this.#woken = Promise.withResolvers();
    };
    this.#worker.postMessage(task);
  }

  /** What a consumer got. */
  get answer(): Promise<Uint8Array> {
    return within(this.#answer.promise, "the consumer's answer");
  }

  /** Waits for a message, if there is need to. */
  async wait(mustWait: () => boolean): Promise<void> {
    const woken = this.#woken.promise;
    if (mustWait()) await within(woken, "a wakeup");
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Capacity, bytes, and the largest piece that either end takes at once. */
const STRESS = [[1, 10_000, 1], [16, 50_000, 20], [1024, 1_000_000, 255]];

Deno.test("Ring loses no byte and no wakeup from a thread that blocks", async () => {
  for (const [capacity = 0, length = 0, most = 0] of STRESS) {
    const memory = Ring.allocate(capacity);
    const ring = new Ring(memory);
    const bytes = randomBytes(length, capacity);
    const sizes = sizesUpTo(most, 2);
    using producer = new OtherEnd({ end: "producer", memory, bytes, sizes });
    ring.start();
    const ownSizes = sizesUpTo(most, 3);
    let at = 0;
    for (let turn = 0;; turn++) {
      await producer.wait(() => ring.mustWaitForBytes());
      const piece = take(ring, ownSizes[turn % ownSizes.length] ?? 1);
      if (piece.length === 0 && ring.ended && ring.used === 0) break;
      assert(piece.every((byte, i) => byte === bytes[at + i]), `at ${at}`);
      at += piece.length;
    }
    assertEquals(at, length);
  }
});

Deno.test("Ring loses no byte and no wakeup to a thread that blocks", async () => {
  for (const [capacity = 0, length = 0, most = 0] of STRESS) {
    const memory = Ring.allocate(capacity);
    const ring = new Ring(memory);
    const bytes = randomBytes(length, capacity);
    const sizes = sizesUpTo(most, 4);
    using consumer = new OtherEnd({ end: "consumer", memory, bytes, sizes });
    ring.start();
    const ownSizes = sizesUpTo(most, 5);
    const wanted = Math.ceil(capacity / 4);
    for (let at = 0, turn = 0; at < length; turn++) {
      if (ring.room(1).length === 0) {
        await consumer.wait(() => ring.mustWaitForRoom(wanted));
      }
      at += put(ring, bytes.subarray(at), ownSizes[turn % ownSizes.length]);
    }
    ring.end();
    const got = await consumer.answer;
    assertEquals(got.length, length);
    assert(got.every((byte, at) => byte === bytes[at]));
  }
});
