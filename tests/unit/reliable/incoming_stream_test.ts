/** The peer's stream: which frames it takes, and what it answers when. */

import { assertEquals, assertThrows } from "@std/assert";
import { DamagedError } from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { BlockHasher } from "../../../lib/reliable/held_prefix.ts";
import { IncomingStream } from "../../../lib/reliable/incoming_stream.ts";
import {
  encodeControl,
  encodeSummary,
  FRAME,
  readHeader,
  viewOf,
} from "../../../lib/reliable/wire.ts";
import { dataFrame } from "../../helpers/frames.ts";

const WINDOW = 1000;
const HELLO = new TextEncoder().encode("hello");

function end(offset: number, checksum: number): Uint8Array {
  const payload = encodeSummary({ checksum, digest: undefined });
  return encodeControl(FRAME.end, { offset, payload });
}

function start(offset: number): Uint8Array {
  return encodeControl(FRAME.start, { offset });
}

function begun(held?: Uint8Array): IncomingStream {
  const hasher = new BlockHasher();
  hasher.update(held ?? new Uint8Array());
  const options = { digest: false, held: hasher.finish() };
  const stream = new IncomingStream(WINDOW, options);
  stream.begin(WINDOW, 0);
  return stream;
}

function receive(stream: IncomingStream, bytes: Uint8Array): void {
  stream.room().set(bytes);
  stream.filled(bytes.length);
  const frame = stream.nextFrame();
  if (frame?.type === FRAME.data) stream.handleData(frame);
  if (frame?.type === FRAME.end) stream.handleEnd(frame);
  if (frame?.type === FRAME.start) stream.handleStart(frame);
}

/** The type and the offset of a frame that was given out. */
function brief(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) return undefined;
  const { type, offset } = readHeader(viewOf(bytes), 0);
  return [type, offset];
}

Deno.test("IncomingStream takes the frames that follow, and no others", () => {
  const sum = crc32(HELLO);
  const first = dataFrame(HELLO);
  const whole = [first, end(5, sum)];
  const bad: Record<string, readonly Uint8Array[]> = {
    "data of later": [dataFrame(HELLO, 1)],
    "data twice": [first, first],
    "data after another beginning": [first, dataFrame(HELLO, 5, 1)],
    "data after the end": [...whole, dataFrame(HELLO, 5, sum)],
    "an end too early": [end(5, sum)],
    "an end of something else": [first, end(5, sum + 1)],
    "an end twice": [...whole, end(5, sum)],
    "a start of nothing": [start(0)],
  };
  for (const [name, frames] of Object.entries(bad)) {
    const stream = begun();
    for (const bytes of frames.slice(0, -1)) receive(stream, bytes);
    const last = frames.at(-1) ?? first;
    assertThrows(() => receive(stream, last), DamagedError, undefined, name);
  }
  const stream = begun();
  for (const bytes of whole) receive(stream, bytes);
  // On each connection once.
  stream.begin(WINDOW, 0);
  receive(stream, end(5, sum));
});

Deno.test("IncomingStream confirms what is delivered and closed, first on each connection", () => {
  const stream = begun();
  receive(stream, dataFrame(HELLO));
  receive(stream, end(5, crc32(HELLO)));
  stream.end();
  assertEquals([stream.complete, stream.takeConfirm()], [false, undefined]);
  assertEquals(stream.toDeliver(), HELLO);
  stream.delivered(5, 0);
  assertEquals([stream.allDelivered, stream.complete], [true, false]);
  assertEquals(stream.takeConfirm(), undefined);
  stream.end();
  assertEquals(brief(stream.takeConfirm()), [FRAME.confirm, 5]);
  assertEquals([stream.takeConfirm(), stream.ackAt], [undefined, Infinity]);
  stream.begin(WINDOW, 0);
  assertEquals(brief(stream.takeConfirm()), [FRAME.confirm, 5]);
});

Deno.test("IncomingStream acknowledges small windows at once, large ones by quarters or after 100 ms", () => {
  const rows = [
    [WINDOW, 1, 7],
    [1 << 20, 1, 107],
    [1 << 20, (1 << 18) - 1, 107],
    [1 << 20, 1 << 18, 7],
  ] as const;
  for (const [window, delivered, at] of rows) {
    const stream = new IncomingStream(1 << 20, { digest: false });
    stream.begin(window, 0);
    const bytes = new Uint8Array(1 << 18);
    for (const frame of [dataFrame(bytes)]) receive(stream, frame);
    stream.delivered(delivered, 7);
    assertEquals(stream.ackAt, at);
    assertEquals(brief(stream.takeAck()), [FRAME.ack, delivered]);
    assertEquals(stream.ackAt, Infinity);
  }
});

Deno.test("IncomingStream goes on with what it holds where START says", () => {
  const held = new TextEncoder().encode("hello, wrong");
  const stream = begun(held);
  assertEquals([stream.awaitsStart, stream.received.offset], [true, 12]);
  assertEquals(brief(stream.takeHeld()), [FRAME.held, 0]);
  assertEquals(stream.takeHeld(), undefined);
  assertEquals(brief(stream.takeAck()), [FRAME.ack, 0]);
  for (const bytes of [dataFrame(HELLO), end(12, crc32(held)), start(13)]) {
    const other = begun(held);
    assertThrows(() => receive(other, bytes), DamagedError);
  }
  receive(stream, start(5));
  assertThrows(() => receive(stream, start(6)), DamagedError);
  assertEquals([stream.startAt, stream.takeStarted()], [5, undefined]);
  const hasher = new BlockHasher();
  hasher.update(HELLO);
  stream.continueAt(hasher.finish().end);
  assertEquals([stream.awaitsStart, stream.startAt], [false, undefined]);
  assertEquals(brief(stream.takeStarted()), [FRAME.started, 5]);
  receive(stream, dataFrame(HELLO, 5, crc32(HELLO)));
  assertEquals([stream.deliveredBytes, stream.skippedBytes], [5, 5]);
  // The other side may not have got it.
  stream.begin(WINDOW, 0);
  assertEquals(brief(stream.takeStarted()), [FRAME.started, 5]);
});
