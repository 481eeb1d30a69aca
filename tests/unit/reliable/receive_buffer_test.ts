/** Frames that a connection brings: cut at every byte, corrupted at every byte, hostile. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { DamagedError } from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { ReceiveBuffer } from "../../../lib/reliable/receive_buffer.ts";
import {
  encodeControl,
  encodeSummary,
  FRAME,
  type Frame,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  writeHeader,
} from "../../../lib/reliable/wire.ts";
import { drawBytes, seeded } from "../../helpers/seeded.ts";
import { dataFrame } from "../../helpers/frames.ts";

const WINDOW = 1000;

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function put(decoder: ReceiveBuffer, bytes: Uint8Array): void {
  const room = decoder.room();
  assert(room.length >= bytes.length);
  room.set(bytes);
  decoder.filled(bytes.length);
}

/** All frames in `bytes`, which come in portions that end at `cuts`. */
function decodeAll(bytes: Uint8Array, ...cuts: readonly number[]): Frame[] {
  const decoder = new ReceiveBuffer(WINDOW);
  const frames: Frame[] = [];
  let running = 0;
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    put(decoder, bytes.subarray(from, cut));
    from = cut;
    for (;;) {
      const frame = decoder.next(running);
      if (frame === undefined) break;
      frames.push({ ...frame, payload: frame.payload.slice() });
      if (frame.type !== FRAME.data) continue;
      running = frame.checksum;
      decoder.keep(frame.length);
      decoder.release(frame.length);
    }
  }
  return frames;
}

const HELLO = new TextEncoder().encode("hello");

const SAMPLE = concat(
  dataFrame(HELLO),
  encodeControl(FRAME.ack, { offset: 2 ** 40 + 3 }),
  dataFrame(HELLO, 5, crc32(HELLO)),
  encodeControl(0x80, { payload: HELLO }),
  encodeControl(FRAME.end, {
    offset: 10,
    payload: encodeSummary({ checksum: 5, digest: new Uint8Array(32) }),
  }),
  encodeControl(FRAME.goodbye),
);

Deno.test("ReceiveBuffer finds the same frames wherever the bytes are cut", () => {
  const whole = decodeAll(SAMPLE);
  assertEquals(whole.map(({ type, offset }) => [type, offset]), [
    [FRAME.data, 0],
    [FRAME.ack, 2 ** 40 + 3],
    [FRAME.data, 5],
    [0x80, 0],
    [FRAME.end, 10],
    [FRAME.goodbye, 0],
  ]);
  for (let a = 0; a <= SAMPLE.length; a++) {
    assertEquals(decodeAll(SAMPLE, a), whole);
    for (let b = a; b <= SAMPLE.length; b += 7) {
      assertEquals(decodeAll(SAMPLE, a, b).length, whole.length);
    }
  }
});

Deno.test("ReceiveBuffer detects every corrupted byte, and gives no frame from there on", () => {
  const lastBytes = [29, 53, 82, 111, 171, 195];
  for (let at = 0; at < SAMPLE.length; at++) {
    for (const bit of [1, 16, 128, 255]) {
      const corrupted = SAMPLE.slice();
      corrupted[at] = (corrupted[at] ?? 0) ^ bit;
      const decoder = new ReceiveBuffer(WINDOW);
      put(decoder, corrupted);
      let running = 0;
      let frames = 0;
      assertThrows(() => {
        for (;;) {
          const frame = decoder.next(running);
          // A length that was believed would be waited for.
          assert(frame !== undefined, `byte ${at}`);
          if (frame.type === FRAME.data) running = frame.checksum;
          frames++;
        }
      }, DamagedError);
      assertEquals(frames, lastBytes.filter((end) => end <= at).length);
    }
  }
});

Deno.test("ReceiveBuffer rejects a length above the cap before the payload is there", () => {
  const hostile: readonly (readonly [number, number])[] = [
    [FRAME.data, MAX_DATA_BYTES + 1],
    [FRAME.data, WINDOW - HEADER_BYTES + 1],
    [FRAME.data, 0xffffff],
    [FRAME.data, 0],
    [FRAME.ack, 1],
    [FRAME.end, 3],
    [FRAME.end, 37],
    [FRAME.confirm, 5],
    [FRAME.goodbye, 1],
    [FRAME.abort, 1],
    [FRAME.abort, 515],
    [0, 0],
    [7, 0],
    [0x7f, 0],
    [0x80, 1025],
  ];
  for (const [type, length] of hostile) {
    const header = new Uint8Array(HEADER_BYTES);
    writeHeader(header, { type, length, checksum: 0, offset: 0 });
    const decoder = new ReceiveBuffer(WINDOW);
    put(decoder, header);
    assertThrows(() => decoder.next(0), DamagedError, `"${type}"`);
  }
});

Deno.test("ReceiveBuffer rejects an offset above 2^53 - 1", () => {
  const header = new Uint8Array(HEADER_BYTES);
  for (
    const [offset, valid] of [[2 ** 53 - 1, true], [2 ** 53, false]] as const
  ) {
    writeHeader(header, { type: FRAME.ack, length: 0, checksum: 0, offset });
    const decoder = new ReceiveBuffer(WINDOW);
    put(decoder, header);
    if (valid) assertEquals(decoder.next(0)?.offset, offset);
    else assertThrows(() => decoder.next(0), DamagedError, "offset");
  }
});

Deno.test("ReceiveBuffer does not take the right bytes in the wrong place", () => {
  const decoder = new ReceiveBuffer(WINDOW);
  put(decoder, dataFrame(HELLO, 5, crc32(HELLO)));
  assertThrows(() => decoder.next(0), DamagedError, "checksum of a frame");
});

Deno.test("ReceiveBuffer gives payloads as views of where they were read to", () => {
  const decoder = new ReceiveBuffer(WINDOW);
  const room = decoder.room();
  put(decoder, dataFrame(HELLO));
  const frame = decoder.next(0);
  assertEquals(frame?.payload.buffer, room.buffer);
  decoder.keep(HELLO.length);
  assertEquals(decoder.oldest()?.byteOffset, room.byteOffset + HEADER_BYTES);
});

Deno.test("ReceiveBuffer forgets an unfinished frame on reset, not what it holds", () => {
  const decoder = new ReceiveBuffer(WINDOW);
  put(decoder, concat(dataFrame(HELLO), SAMPLE.subarray(0, 30)));
  decoder.next(0);
  decoder.keep(HELLO.length);
  decoder.reset();
  assertEquals(decoder.next(0), undefined);
  assertEquals(decoder.oldest(), HELLO);
  put(decoder, encodeControl(FRAME.goodbye));
  assertEquals(decoder.next(0)?.type, FRAME.goodbye);
});

Deno.test("ReceiveBuffer has room for the largest frame whatever it holds", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const window = HEADER_BYTES + 1 + Math.floor(random() * 5000);
    fillAndDrain(new ReceiveBuffer(window), window, random);
  }
});

/** What a peer does that uses its window as far as it goes, and what stdout does. */
function fillAndDrain(
  decoder: ReceiveBuffer,
  window: number,
  random: () => number,
): void {
  const stream = drawBytes(30_000, random);
  /** Bytes on the wire of each frame that is not delivered whole. */
  const owed: { end: number; size: number }[] = [];
  let wire: Uint8Array = new Uint8Array();
  let sent = 0;
  let running = 0;
  let delivered = 0;
  while (delivered < stream.length) {
    const used = owed.reduce((sum, { size }) => sum + size, 0);
    const n = Math.min(
      1 + Math.floor(random() * random() * 4000),
      window - used - HEADER_BYTES,
      stream.length - sent,
    );
    if (n > 0) {
      const payload = stream.subarray(sent, sent + n);
      const previous = crc32(stream.subarray(0, sent));
      wire = concat(wire, dataFrame(payload, sent, previous));
      sent += n;
      owed.push({ end: sent, size: HEADER_BYTES + n });
    }
    if (random() < 0.3) wire = concat(wire, encodeControl(FRAME.ack));
    const room = decoder.room();
    assert(room.length > 0);
    const read = Math.min(
      1 + Math.floor(random() * 3000),
      room.length,
      wire.length,
    );
    room.set(wire.subarray(0, read));
    wire = wire.slice(read);
    decoder.filled(read);
    for (;;) {
      const frame = decoder.next(running);
      if (frame === undefined) break;
      if (frame.type !== FRAME.data) continue;
      running = frame.checksum;
      decoder.keep(frame.length);
    }
    const held = random() < 0.4 ? decoder.oldest() : undefined;
    if (held === undefined) continue;
    const taken = 1 + Math.floor(random() * held.length);
    assertEquals(
      held.subarray(0, taken),
      stream.subarray(delivered, delivered + taken),
    );
    decoder.release(taken);
    delivered += taken;
    while ((owed[0]?.end ?? Infinity) <= delivered) owed.shift();
  }
}

/** What a receive buffer has to do: DATA that came, in order, until it is let go. */
class ModelBuffer {
  #held: number[] = [];
  hold(bytes: Uint8Array): void {
    this.#held.push(...bytes);
  }
  release(n: number): Uint8Array {
    return new Uint8Array(this.#held.splice(0, n));
  }
  get heldBytes(): number {
    return this.#held.length;
  }
}

/** A decoder and the model of it, which are given the same. */
class Compared {
  readonly #decoder: ReceiveBuffer;
  readonly #model = new ModelBuffer();
  readonly #window: number;
  readonly #random: () => number;
  #offset = 0;
  #running = 0;

  constructor(window: number, random: () => number) {
    this.#decoder = new ReceiveBuffer(window);
    this.#window = window;
    this.#random = random;
  }

  get free(): number {
    return this.#window - HEADER_BYTES - this.#model.heldBytes;
  }

  data(length: number): void {
    const payload = drawBytes(length, this.#random);
    this.#read(dataFrame(payload, this.#offset, this.#running));
    this.#model.hold(payload);
    this.#offset += length;
    assertEquals(this.#decoder.bufferedBytes, this.#model.heldBytes);
  }

  control(length: number): void {
    const payload = new Uint8Array(length);
    this.#read(encodeControl(length === 0 ? FRAME.ack : 0x80, { payload }));
  }

  /** Takes up to `n` bytes that are held, and compares them. */
  deliver(n: number): void {
    const left = Math.min(n, this.#model.heldBytes);
    for (let taken = 0; taken < left;) {
      const piece = this.#decoder.oldest()?.subarray(0, left - taken);
      assert(piece !== undefined);
      assertEquals(piece, this.#model.release(piece.length));
      this.#decoder.release(piece.length);
      taken += piece.length;
    }
  }

  #read(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = this.#decoder.room();
      const most = Math.min(room.length, bytes.length - at);
      const n = this.#random() < 0.7 ? most : Math.ceil(this.#random() * most);
      assert(n > 0);
      room.set(bytes.subarray(at, at + n));
      this.#decoder.filled(n);
      at += n;
      const frame = this.#decoder.next(this.#running);
      if (frame?.type !== FRAME.data) continue;
      this.#running = frame.checksum;
      this.#decoder.keep(frame.length);
    }
  }
}

Deno.test("ReceiveBuffer keeps what it holds, at every fill level, whatever control frames come between", () => {
  const random = seeded(11);
  const window = 2000;
  for (let level = 1; level < window - HEADER_BYTES; level += 7) {
    const compared = new Compared(window, random);
    for (let round = 0; round < 30; round++) {
      const length = 1 + Math.floor(random() * 300);
      for (let i = random() * 60; i > 0; i--) compared.control(0);
      compared.deliver(Math.max(0, length - compared.free));
      compared.data(length);
      const held = window - HEADER_BYTES - compared.free;
      if (held > level) compared.deliver(held - level);
      if (random() < 0.1) compared.control(Math.floor(random() * 1024));
    }
    compared.deliver(window);
  }
});

Deno.test("ReceiveBuffer does what its model does", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const window = HEADER_BYTES + 1 + Math.floor(random() ** 2 * 6000);
    const compared = new Compared(window, random);
    const chatter = random();
    const haste = random();
    for (let step = 0; step < 400; step++) {
      if (random() < chatter) compared.control(random() < 0.9 ? 0 : 1024);
      else if (random() < haste) {
        compared.deliver(Math.floor(random() * window));
      } else if (compared.free > 0) {
        compared.data(Math.ceil(random() * random() * compared.free));
      }
    }
  }
});
