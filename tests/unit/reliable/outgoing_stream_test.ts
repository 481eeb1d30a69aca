/** Our own stream: what it gives out, and which answers it takes. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { DamagedError } from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { BlockHasher } from "../../../lib/reliable/held_prefix.ts";
import { OutgoingStream } from "../../../lib/reliable/outgoing_stream.ts";
import {
  encodeSummary,
  FRAME,
  type Frame,
  HEADER_BYTES,
  readHeader,
  viewOf,
} from "../../../lib/reliable/wire.ts";

const WINDOW = 1000;
const START = { offset: 0, checksum: 0 };
const HELLO = new TextEncoder().encode("hello");
const SUM = crc32(HELLO);

function begun(): OutgoingStream {
  const stream = new OutgoingStream(WINDOW, { digest: false });
  stream.resumeAt(START, WINDOW);
  return stream;
}

function frame(
  type: keyof typeof FRAME,
  offset: number,
  payload: Uint8Array = new Uint8Array(),
): Frame {
  const { length } = payload;
  return { type: FRAME[type], offset, payload, length, checksum: 0 };
}

function confirm(offset: number, checksum: number): Frame {
  const payload = encodeSummary({ checksum, digest: undefined });
  return frame("confirm", offset, payload);
}

/** The type and the offset of a frame that was given out. */
function brief(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) return undefined;
  const { type, offset } = readHeader(viewOf(bytes), 0);
  return [type, offset];
}

Deno.test("OutgoingStream takes nothing before there was a connection", () => {
  const stream = new OutgoingStream(WINDOW, { digest: false });
  assertEquals([stream.reserve(), stream.accept(HELLO)], [undefined, 0]);
});

Deno.test("OutgoingStream gives out data, then END, once on each connection", () => {
  const stream = begun();
  stream.accept(HELLO);
  assertEquals(stream.takeEnd(), undefined);
  stream.end();
  const all = [[FRAME.data, 0], undefined, [FRAME.end, 5], undefined];
  for (let connection = 0; connection < 2; connection++) {
    const given = [
      stream.takeData(),
      stream.takeData(),
      stream.takeEnd(),
      stream.takeEnd(),
    ];
    assertEquals(given.map(brief), all);
    stream.resumeAt(START, WINDOW);
  }
  stream.takeData();
  stream.handleConfirm(confirm(5, SUM));
  assertEquals([stream.confirmed, stream.confirmedBytes], [true, 5]);
  assertEquals(stream.takeEnd(), undefined);
});

Deno.test("OutgoingStream takes the answers that are due, and no others", () => {
  const isDamage = (acts: (stream: OutgoingStream) => void) => {
    const stream = begun();
    stream.accept(HELLO);
    assertThrows(() => acts(stream), DamagedError);
  };
  isDamage((stream) => stream.handleAck(frame("ack", 1)));
  isDamage((stream) => stream.handleConfirm(confirm(5, SUM)));
  isDamage((stream) => stream.handleHeld(frame("held", 0)));
  isDamage((stream) => stream.handleStarted(frame("started", 0)));
  const sent = (acts: (stream: OutgoingStream) => void) =>
    isDamage((stream) => {
      stream.end();
      stream.takeData();
      stream.takeEnd();
      acts(stream);
    });
  sent((stream) => stream.handleAck(frame("ack", 6)));
  sent((stream) => stream.handleConfirm(confirm(4, SUM)));
  sent((stream) => stream.handleConfirm(confirm(5, SUM + 1)));
  sent((stream) => {
    stream.handleAck(frame("ack", 5));
    stream.handleAck(frame("ack", 4));
  });
});

/** A peer that holds `held` bytes of HELLO and maybe more. */
function compared(held: Uint8Array): OutgoingStream {
  const stream = new OutgoingStream(WINDOW, { digest: true });
  const hasher = new BlockHasher();
  hasher.update(held);
  const { end, digests } = hasher.finish();
  stream.compareWith(end, WINDOW);
  for (const digest of digests) stream.handleHeld(frame("held", 0, digest));
  return stream;
}

Deno.test("OutgoingStream sends what the peer does not hold, once it has started there", () => {
  const stream = compared(HELLO.subarray(0, 3));
  assertEquals([stream.reserve(), stream.takeStart()], [undefined, undefined]);
  stream.comparison?.take(HELLO.subarray(0, 3));
  assertEquals(brief(stream.takeStart()), [FRAME.start, 3]);
  assertEquals(stream.takeStart(), undefined);
  assertEquals(stream.accept(HELLO.subarray(3)), 0);
  stream.handleStarted(frame("started", 3));
  stream.handleStarted(frame("started", 3));
  assertEquals(stream.accept(HELLO.subarray(3)), 2);
  const data = stream.takeData();
  assertEquals([brief(data), data?.length], [
    [FRAME.data, 3],
    HEADER_BYTES + 2,
  ]);
  stream.end();
  assertEquals(stream.summary?.checksum, SUM);
  assertEquals(stream.skippedBytes, 3);
});

Deno.test("OutgoingStream compares again on a connection that comes before STARTED", () => {
  const stream = compared(HELLO);
  stream.comparison?.take(HELLO);
  stream.takeStart();
  assert(stream.owesStart(5, SUM));
  assertEquals([stream.owesStart(4, SUM), stream.owesStart(5, 0)], [
    false,
    false,
  ]);
  stream.compareWith({ offset: 5, checksum: SUM }, WINDOW);
  assertEquals(brief(stream.takeStart()), [FRAME.start, 5]);
  assertEquals([stream.canResumeAt(5, SUM), stream.canResumeAt(0, 0)], [
    true,
    false,
  ]);
  stream.resumeAt({ offset: 5, checksum: SUM }, WINDOW);
  stream.end();
  assertEquals(brief(stream.takeEnd()), [FRAME.end, 5]);
});

Deno.test("OutgoingStream ends a stream that is shorter than what is held", () => {
  const stream = compared(HELLO);
  stream.comparison?.take(HELLO.subarray(0, 2));
  stream.comparison?.end();
  stream.end();
  assertEquals([brief(stream.takeStart()), stream.takeEnd()], [
    [FRAME.start, 0],
    undefined,
  ]);
  assertEquals(stream.comparison?.result?.rest, HELLO.subarray(0, 2));
});
