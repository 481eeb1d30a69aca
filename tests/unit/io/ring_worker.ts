/** One end of a ring in a thread of its own, for `ring_test.ts`. It blocks. */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { Ring } from "../../../lib/io/ring.ts";

/** What the test wants done; answered with a `"wake"` whenever the test waits. */
export interface RingTask {
  readonly end: "producer" | "consumer";
  readonly memory: SharedArrayBuffer;
  /** What is produced; the consumer answers with what it got. */
  readonly bytes: Uint8Array;
  /** How many bytes are moved at once, at most, in turn. */
  readonly sizes: Uint8Array;
}

self.onmessage = ({ data: task }: MessageEvent<RingTask>) => {
  const ring = new Ring(task.memory);
  ring.waitForStart();
  if (task.end === "producer") produce(ring, task);
  else self.postMessage(consume(ring, task));
  self.close();
};

function produce(ring: Ring, { bytes, sizes }: RingTask): void {
  let turn = 0;
  for (let rest = bytes; rest.length > 0;) {
    ring.waitForRoom();
    const room = ring.room(sizes[turn++ % sizes.length] ?? 1);
    const count = Math.min(room.length, rest.length);
    room.set(rest.subarray(0, count));
    if (ring.commit(count)) self.postMessage("wake");
    rest = rest.subarray(count);
  }
  if (ring.end()) self.postMessage("wake");
}

function consume(ring: Ring, { bytes, sizes }: RingTask): Uint8Array {
  const got = new Uint8Array(bytes.length);
  for (let at = 0, turn = 0;; turn++) {
    ring.waitForBytes();
    const piece = ring.filled(sizes[turn % sizes.length] ?? 1);
    if (piece.length === 0) return got.subarray(0, at);
    got.set(piece, at);
    at += piece.length;
    if (ring.release(piece.length)) self.postMessage("wake");
  }
}
