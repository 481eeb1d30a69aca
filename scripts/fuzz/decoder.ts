/**
 * A fuzzer of the frame decoder: streams of frames that a peer may send, and what
 * becomes of them when somebody changes them who knows the protocol, in any
 * portions, with a stdout of any speed. What must hold: the decoder does what a
 * model of it does that is too simple to be wrong; it throws nothing but its own
 * error; it takes no more memory than the window lets it.
 */

import { assert, assertEquals } from "@std/assert";
import { DamagedError } from "../../lib/base/errors.ts";
import { crc32 } from "../../lib/reliable/crc32.ts";
import { ReceiveBuffer } from "../../lib/reliable/receive_buffer.ts";
import {
  areBytesEqual,
  encodeControl,
  FRAME,
  type Frame,
  HEADER_BYTES,
  MAX_CONTROL_BYTES,
  MAX_DATA_BYTES,
  viewOf,
} from "../../lib/reliable/wire.ts";
import { concat } from "../../tests/helpers/bytes.ts";
import { dataFrame } from "../../tests/helpers/frames.ts";
import { mutate, reseal } from "../../tests/helpers/mutations.ts";
import { drawBytes, seeded } from "../../tests/helpers/seeded.ts";

/** The end of a stream: whole, within a frame, or with damage. */
export type Ending = "whole" | "within a frame" | "damage";

/** Windows, in bytes: most are small, so that a stream fills them many times. */
const SMALL_WINDOW = 4000;
const LARGE_WINDOW = 600_000;
const MOST_FRAMES = 300;
/** After so many bytes a stream has no further frame. */
const MUCH_BYTES = 20_000;
/** The most portions of a stream, on average. */
const MOST_PORTIONS = 200;

/**
 * Gives the decoder the stream of a seed.
 *
 * @throws {AssertionError} It did something else than the model.
 */
export function fuzzDecoder(seed: number): Ending {
  const random = seeded(seed);
  const mostWindow = random() < 0.02 ? LARGE_WINDOW : SMALL_WINDOW;
  const window = HEADER_BYTES + 1 + Math.floor(mostWindow * random() ** 2);
  const wire = changed(stream(window, random), random);
  return compare(wire, window, random);
}

/** A stream as it may come: DATA that fits together, and all else in between. */
function stream(window: number, random: () => number): Uint8Array {
  const frames: Uint8Array[] = [];
  const most = Math.min(window - HEADER_BYTES, MAX_DATA_BYTES);
  const chatter = random();
  let running = 0;
  let offset = 0;
  for (let count = random() * MOST_FRAMES; count > 0; count--) {
    if (offset > MUCH_BYTES) break;
    if (random() < chatter) {
      frames.push(control(random));
      continue;
    }
    const payload = drawBytes(Math.ceil(most * random() ** 4) || 1, random);
    frames.push(dataFrame(payload, offset, running));
    running = crc32(payload, running);
    offset += payload.length;
  }
  return concat(frames);
}

const CONTROL_TYPES = [...Object.values(FRAME), 0x81, 0xff]
  .filter((type) => type !== FRAME.data);
const RARE_TYPES = [0, 10, 0x7f];
const RARE_LENGTHS = [0, 1, 2, 4, 31, 32, 36, 37, 514, 515, 1024, 1025];

/** Any other frame, most often one that may come. */
function control(random: () => number): Uint8Array {
  const pick = (choices: readonly number[]) =>
    choices[Math.floor(random() * choices.length)] ?? 0;
  const type = pick(random() < 0.01 ? RARE_TYPES : CONTROL_TYPES);
  const length = random() < 0.02 ? pick(RARE_LENGTHS) : usualLength(type);
  const offset = Math.floor(random() * 2 ** (random() * 53));
  return encodeControl(type, { offset, payload: drawBytes(length, random) });
}

function usualLength(type: number): number {
  const usual: Record<number, number> = {
    [FRAME.end]: 36,
    [FRAME.confirm]: 4,
    [FRAME.abort]: 20,
    [FRAME.held]: 64,
    [FRAME.waited]: 16,
  };
  return usual[type] ?? 0;
}

function changed(wire: Uint8Array, random: () => number): Uint8Array {
  if (random() < 0.3) return wire;
  const isForged = random() < 0.7;
  const bytes = isForged ? reseal(wire, random) : mutate(wire, random);
  return random() < 0.3 ? bytes.subarray(0, random() * bytes.length) : bytes;
}

/** A frame as the decoder and the model both see it. */
type Found = Pick<Frame, "type" | "offset" | "payload"> | "damage" | undefined;

function compare(
  wire: Uint8Array,
  window: number,
  random: () => number,
): Ending {
  const decoder = new ReceiveBuffer(window);
  const model = new Model(window);
  const portion = 2 * wire.length / (MOST_PORTIONS * random());
  const speed = random() ** 3;
  for (let at = 0; at < wire.length;) {
    const room = decoder.room();
    const { byteLength } = room.buffer;
    assert(byteLength <= window + 2 * (HEADER_BYTES + MAX_DATA_BYTES) + 240);
    assert(room.length > 0, "there is no room to read into");
    const n = Math.min(
      Math.ceil(random() * portion),
      room.length,
      wire.length - at,
    );
    room.set(wire.subarray(at, at + n));
    decoder.filled(n);
    model.filled(wire.subarray(at, at + n));
    at += n;
    for (;;) {
      // As a peer has it that keeps to the window, but not for ever.
      if (random() < 0.999) deliver(decoder, model, model.excessBytes);
      if (random() < speed) {
        deliver(decoder, model, random() * model.held.length);
      }
      const expected = model.next();
      assert(isSame(next(decoder, model.running), expected), "another frame");
      if (expected === "damage") return "damage";
      if (expected === undefined) break;
      if (expected.type !== FRAME.data) continue;
      model.hold(expected.payload);
      decoder.keep(expected.payload.length);
      assertEquals(decoder.bufferedBytes, model.held.length);
    }
  }
  return model.isWithinFrame ? "within a frame" : "whole";
}

/** @throws What must not be thrown. */
function next(decoder: ReceiveBuffer, running: number): Found {
  try {
    const frame = decoder.next(running);
    if (frame === undefined) return undefined;
    const { type, offset, payload } = frame;
    return { type, offset, payload: payload.slice() };
  } catch (error) {
    if (error instanceof DamagedError) return "damage";
    throw error;
  }
}

function isSame(a: Found, b: Found): boolean {
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  return a.type === b.type && a.offset === b.offset &&
    areBytesEqual(a.payload, b.payload);
}

/** Lets stdout take bytes that are held, in one or two pieces. */
function deliver(decoder: ReceiveBuffer, model: Model, bytes: number): void {
  for (let left = Math.floor(bytes); left > 0;) {
    const piece = decoder.oldest()?.subarray(0, left);
    assert(piece !== undefined, "what is held is not there");
    assert(areBytesEqual(piece, model.release(piece.length)), "other bytes");
    decoder.release(piece.length);
    left -= piece.length;
  }
}

/** Section 5 of `docs/protocol.md`, with a copy of everything and no buffer. */
class Model {
  readonly #most: number;
  #wire: Uint8Array = new Uint8Array();
  held: Uint8Array = new Uint8Array();
  running = 0;

  constructor(window: number) {
    this.#most = window - HEADER_BYTES;
  }

  get isWithinFrame(): boolean {
    return this.#wire.length > 0;
  }

  filled(bytes: Uint8Array): void {
    this.#wire = concat([this.#wire, bytes]);
  }

  /** The bytes that have to be delivered before the next frame may come. */
  get excessBytes(): number {
    if (this.#wire[0] !== FRAME.data || this.#wire.length < 4) return 0;
    const length = viewOf(this.#wire).getUint32(0) & 0xffffff;
    const excess = this.held.length + length - this.#most;
    return Math.min(Math.max(excess, 0), this.held.length);
  }

  next(): Found {
    if (this.#wire.length < HEADER_BYTES) return undefined;
    const view = viewOf(this.#wire);
    const type = view.getUint8(0);
    const length = view.getUint32(0) & 0xffffff;
    const offset = view.getBigUint64(8);
    const [least, most] = this.#lengths(type);
    if (
      simpleCrc(this.#wire.subarray(0, 20)) !== view.getUint32(20) ||
      length < least || length > most || offset >= 2n ** 53n
    ) return "damage";
    const end = HEADER_BYTES + length;
    if (this.#wire.length < end) return undefined;
    const payload = this.#wire.slice(HEADER_BYTES, end);
    const previous = type === FRAME.data ? this.running : 0;
    const sum = simpleCrc(payload, previous);
    if (sum !== view.getUint32(4)) return "damage";
    this.#wire = this.#wire.slice(end);
    return { type, offset: Number(offset), payload };
  }

  /** The shortest and the longest payload of a type that may come now. */
  #lengths(type: number): readonly [number, number] {
    if (type >= 0x80) return [0, MAX_CONTROL_BYTES];
    switch (type) {
      case 1:
        return [1, Math.min(this.#most - this.held.length, MAX_DATA_BYTES)];
      case 3:
        return [4, 36];
      case 4:
        return [4, 4];
      case 6:
        return [2, 514];
      case 7:
        return [32, 1024];
      case 2:
      case 5:
      case 8:
      case 9:
        return [0, 0];
      default:
        return [Infinity, 0];
    }
  }

  hold(payload: Uint8Array): void {
    this.held = concat([this.held, payload]);
    this.running = simpleCrc(payload, this.running);
  }

  release(n: number): Uint8Array {
    const taken = this.held.slice(0, n);
    this.held = this.held.slice(n);
    return taken;
  }
}

/** CRC-32, by its definition. */
function simpleCrc(bytes: Uint8Array, previous = 0): number {
  let state = ~previous;
  for (const byte of bytes) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      state = (state >>> 1) ^ (state & 1 ? 0xedb88320 : 0);
    }
  }
  return ~state >>> 0;
}
