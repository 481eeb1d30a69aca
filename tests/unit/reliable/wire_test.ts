/** Prefaces and frames: cut at every byte, corrupted at every byte, hostile. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { DamagedError } from "../../../lib/base/errors.ts";
import { crc32 } from "../../../lib/reliable/crc32.ts";
import { chunks } from "../../../framing.ts";
import {
  encodePreface,
  MAX_PREFACE_BYTES,
  type Preface,
  PREFACE_BYTES,
  PrefaceReader,
  sealPreface,
} from "../../../lib/reliable/preface.ts";
import { ReceiveBuffer } from "../../../lib/reliable/receive_buffer.ts";
import {
  decodeAbort,
  decodeSummary,
  encodeAbort,
  encodeControl,
  encodeSummary,
  FRAME,
  type Frame,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  writeHeader,
} from "../../../lib/reliable/wire.ts";
import { Session } from "../../../lib/reliable/session.ts";
import { randomBytes, seeded } from "../../helpers/session_link.ts";

const WINDOW = 1000;

function dataFrame(payload: Uint8Array, offset = 0, previous = 0): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes.set(payload, HEADER_BYTES);
  writeHeader(bytes, {
    type: FRAME.data,
    length: payload.length,
    checksum: crc32(payload, previous),
    offset,
  });
  return bytes;
}

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
      decoder.hold(frame.length);
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

Deno.test("chunks() cuts at every DATA_SIZE", () => {
  const bytes = randomBytes(10, seeded(1));
  for (let dataSize = 1; dataSize <= 11; dataSize++) {
    const cut = [...chunks(bytes, dataSize)];
    assertEquals(cut.length, Math.ceil(10 / dataSize));
    assert(cut.every((chunk, i) => chunk.byteOffset === i * dataSize));
    assertEquals(concat(...cut), bytes);
  }
  assertEquals([...chunks(new Uint8Array(), 5)], []);
});

Deno.test("crc32() is the CRC-32 of zlib, and continues", () => {
  const digits = new TextEncoder().encode("123456789");
  assertEquals(crc32(digits), 0xcbf43926);
  const first = crc32(digits.subarray(0, 4));
  assertEquals(crc32(digits.subarray(4), first), 0xcbf43926);
});

Deno.test("crc32() stays right when it is hot", () => {
  const random = seeded(1);
  const bytes = randomBytes(60_000, random);
  const expected = crc32(bytes);
  for (let round = 0; round < 10; round++) {
    let running = 0;
    for (let at = 0; at < bytes.length;) {
      const n = Math.floor(random() * 40);
      running = crc32(bytes.subarray(at, at + n), running);
      at += n;
    }
    assertEquals(running, expected);
  }
});

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
  const ends = [29, 53, 82, 111, 171, 195];
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
      assertEquals(frames, ends.filter((end) => end <= at).length);
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
  decoder.hold(HELLO.length);
  assertEquals(decoder.held()?.byteOffset, room.byteOffset + HEADER_BYTES);
});

Deno.test("ReceiveBuffer forgets an unfinished frame on reset, not what it holds", () => {
  const decoder = new ReceiveBuffer(WINDOW);
  put(decoder, concat(dataFrame(HELLO), SAMPLE.subarray(0, 30)));
  decoder.next(0);
  decoder.hold(HELLO.length);
  decoder.reset();
  assertEquals(decoder.next(0), undefined);
  assertEquals(decoder.held(), HELLO);
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
  const stream = randomBytes(30_000, random);
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
      decoder.hold(frame.length);
    }
    const held = random() < 0.4 ? decoder.held() : undefined;
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
    const payload = randomBytes(length, this.#random);
    this.#read(dataFrame(payload, this.#offset, this.#running));
    this.#model.hold(payload);
    this.#offset += length;
    assertEquals(this.#decoder.heldBytes, this.#model.heldBytes);
  }

  control(length: number): void {
    const payload = new Uint8Array(length);
    this.#read(encodeControl(length === 0 ? FRAME.ack : 0x80, { payload }));
  }

  /** Takes up to `n` bytes that are held, and compares them. */
  deliver(n: number): void {
    const left = Math.min(n, this.#model.heldBytes);
    for (let taken = 0; taken < left;) {
      const piece = this.#decoder.held()?.subarray(0, left - taken);
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
      this.#decoder.hold(frame.length);
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

const PREFACE: Preface = {
  version: 1,
  role: 0,
  flags: 0x80000003,
  id: Uint8Array.from({ length: 16 }, (_, i) => i),
  received: 2 ** 52 + 1,
  checksum: 0xdeadbeef,
  window: 8 * 1024 * 1024 + 20,
  patienceMs: 15_000,
  additions: new Uint8Array(),
};

function readPreface(bytes: Uint8Array, portion = 1): Preface | undefined {
  const reader = new PrefaceReader();
  for (let at = 0; at < bytes.length;) {
    const room = reader.room();
    const n = Math.min(portion, room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + n));
    at += n;
    const preface = reader.filled(n);
    if (preface !== undefined) {
      assertEquals([at, reader.room().length], [bytes.length, 0]);
      return preface;
    }
  }
  return undefined;
}

Deno.test("PrefaceReader reads what encodePreface() made, in any portions", () => {
  const bytes = encodePreface(PREFACE);
  assertEquals(bytes.length, PREFACE_BYTES);
  for (let portion = 1; portion <= PREFACE_BYTES; portion++) {
    assertEquals(readPreface(bytes, portion), PREFACE);
  }
});

Deno.test("PrefaceReader hands on additions, whatever they are", () => {
  for (const length of [57, 100, MAX_PREFACE_BYTES]) {
    const additions = new Uint8Array(length - PREFACE_BYTES).fill(7);
    const preface = { ...PREFACE, additions };
    const bytes = encodePreface(preface);
    assertEquals(bytes.length, length);
    assertEquals(readPreface(bytes, 50), preface);
  }
});

Deno.test("PrefaceReader detects every corrupted byte", () => {
  for (let at = 0; at < PREFACE_BYTES; at++) {
    const bytes = encodePreface(PREFACE);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    // A length that grew is waited for; zeros are not what it waits for.
    const more = concat(bytes, new Uint8Array(MAX_PREFACE_BYTES));
    assertThrows(() => readPreface(more, 56), DamagedError);
  }
});

Deno.test("PrefaceReader says at the first byte what a peer that does not speak it sends", () => {
  const reader = new PrefaceReader();
  reader.room().set(new TextEncoder().encode("SSH-2.0\x1b[0m"));
  const error = assertThrows(() => reader.filled(11), DamagedError);
  assertEquals(
    error.message,
    'Cannot read the peer\'s preface: it begins with "SSH-2.0\ufffd[0m"; ' +
      "the other side must be sockpipe with --reliable, too",
  );
  const first = new PrefaceReader();
  first.room()[0] = 0x41;
  assertThrows(() => first.filled(1), DamagedError);
});

Deno.test("PrefaceReader rejects a hostile length before it is waited for", () => {
  for (const length of [0, 55, MAX_PREFACE_BYTES + 1, 0xffff]) {
    const bytes = encodePreface(PREFACE);
    new DataView(bytes.buffer).setUint16(10, length);
    sealPreface(bytes);
    assertThrows(() => readPreface(bytes), DamagedError, `"${length}"`);
  }
});

Deno.test("Summaries and aborts come out as they went in", () => {
  for (const digest of [undefined, randomBytes(32, seeded(1))]) {
    const summary = { checksum: 0xfedcba98, digest };
    assertEquals(decodeSummary(encodeSummary(summary)), summary);
  }
  const reason = { code: 7, text: "disk full – œuf" };
  assertEquals(decodeAbort(encodeAbort(reason)), reason);
  const long = encodeAbort({ code: 1, text: "œ".repeat(400) });
  assertEquals(decodeAbort(long).text, "œ".repeat(256));
  const nasty = encodeAbort({ code: 1, text: "\x1b]0;\u202e\n" });
  assertEquals(decodeAbort(nasty).text, "\ufffd]0;\ufffd\ufffd");
});

/** The lines of the example in docs/protocol.md, in order. */
async function readExample(): Promise<{ from: string; bytes: Uint8Array }[]> {
  const path = new URL("../../../docs/protocol.md", import.meta.url);
  const text = await Deno.readTextFile(path);
  const section = text.slice(text.indexOf("## 9. An example"));
  const lines: { from: string; bytes: number[] }[] = [];
  const line = /^ {4}([<>.]) ([0-9a-f ]+?) *(;.*)?$/gm;
  for (const [, mark, hex] of section.matchAll(line)) {
    const bytes = (hex ?? "").split(" ").map((h) => parseInt(h, 16));
    if (mark === ".") lines.at(-1)?.bytes.push(...bytes);
    else lines.push({ from: mark ?? "", bytes });
  }
  return lines.map(({ from, bytes }) => ({
    from,
    bytes: new Uint8Array(bytes),
  }));
}

/** The same session, played: what each side gives to its connection, in order. */
function playExample(): { from: string; bytes: Uint8Array }[] {
  const options = {
    window: 8 * 1024 * 1024,
    patienceMs: 15_000,
    resumeTimeoutMs: 60_000,
    digest: false,
  };
  const id = Uint8Array.from({ length: 16 }, (_, i) => i);
  const connect = new Session({ role: "connect", id, ...options });
  const listen = new Session({ role: "listen", ...options });
  const said: { from: string; bytes: Uint8Array }[] = [];
  const say = (from: string, bytes: Uint8Array) =>
    said.push({ from, bytes: bytes.slice() });
  const talk = (from: string, speaker: Session, listener: Session) => {
    for (;;) {
      const bytes = speaker.nextToSend(0);
      if (bytes === undefined) return;
      say(from, bytes);
      listener.incoming.room().set(bytes);
      listener.received(bytes.length, 0);
      listener.incoming.end();
    }
  };
  say(">", connect.preface());
  listen.attach(decodePreface(connect.preface()), 0);
  say("<", listen.preface());
  connect.attach(decodePreface(listen.preface()), 0);
  connect.outgoing.accept(new TextEncoder().encode("hi\n"));
  connect.outgoing.end();
  listen.outgoing.end();
  talk(">", connect, listen);
  listen.incoming.delivered(listen.incoming.toDeliver()?.length ?? 0, 0);
  listen.incoming.end();
  talk("<", listen, connect);
  talk(">", connect, listen);
  talk("<", listen, connect);
  assert(connect.finished && listen.finished);
  return said;
}

function decodePreface(bytes: Uint8Array): Preface {
  const preface = readPreface(bytes);
  assert(preface !== undefined);
  return preface;
}

Deno.test("The example in docs/protocol.md is what two sessions really say", async () => {
  const example = await readExample();
  const said = playExample();
  const hex = (lines: { from: string; bytes: Uint8Array }[]) =>
    lines.map(({ from, bytes }) => `${from} ${toHex(bytes)}`);
  assertEquals(hex(example), hex(said));
});

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");
}
