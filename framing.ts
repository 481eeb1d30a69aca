/**
 * The forms that bytes take on their way: chunks of at most DATA_SIZE, and the
 * prefaces and frames of `--reliable`, which `docs/protocol.md` defines.
 *
 * No sockets, no timers; everything here is a function of the bytes it is given.
 */

import process from "node:process";
import { DamagedError } from "./lib/base/errors.ts";

/** DATA_SIZE unless the user says otherwise: the most that one read may take. */
export const DEFAULT_DATA_SIZE = 64 * 1024;
/** The largest DATA_SIZE. */
export const MAX_DATA_SIZE = 16 * 1024 * 1024;

/** Cuts `bytes` into views of at most `dataSize` bytes, in order. */
export function* chunks(
  bytes: Uint8Array,
  dataSize: number,
): Generator<Uint8Array, void> {
  for (let i = 0; i < bytes.length; i += dataSize) {
    yield bytes.subarray(i, i + dataSize);
  }
}

/** The version of the protocol that is spoken here. */
export const PROTOCOL_VERSION = 1;
/** The size of a preface without additions. */
export const PREFACE_BYTES = 56;
/** Where additions begin. */
const ADDITIONS_AT = 52;
/** The largest preface of any version. */
export const MAX_PREFACE_BYTES = 1024;
/** The size of a session id. */
export const SESSION_ID_BYTES = 16;
/** The size of a frame without its payload. */
export const HEADER_BYTES = 24;
/** What the checksum of a header covers, which stands behind it. */
const CHECKED_HEADER_BYTES = 20;
/** The most that one DATA frame carries, so that it stays in a CPU's cache. */
export const MAX_DATA_BYTES = 256 * 1024;

/** Which way a side came to the connection; the number on the wire. */
export const ROLE = { connect: 0, listen: 1 } as const;

/** The flags of a preface. */
export const FLAG = {
  resume: 0x0001,
  digest: 0x0002,
  token: 0x0004,
  refused: 0x8000,
} as const;
/** The flags that a reader must know or refuse. */
export const MUST_UNDERSTAND = 0x0000ffff;

/** The types of frames. */
export const FRAME = {
  data: 1,
  ack: 2,
  end: 3,
  confirm: 4,
  goodbye: 5,
  abort: 6,
} as const;
/** Frames from this type on are skipped by whoever does not know them. */
const FIRST_IGNORABLE_TYPE = 0x80;

const SHA256_BYTES = 32;
const CHECKSUM_BYTES = 4;
const ABORT_CODE_BYTES = 2;
const MAX_ABORT_TEXT_BYTES = 512;
/** The largest payload of anything but DATA. */
const MAX_CONTROL_BYTES = 1024;

/** The shortest and the longest payload of each type of frame. */
const PAYLOAD_LIMITS = new Map<number, readonly [number, number]>([
  [FRAME.data, [1, MAX_DATA_BYTES]],
  [FRAME.ack, [0, 0]],
  [FRAME.end, [CHECKSUM_BYTES, CHECKSUM_BYTES + SHA256_BYTES]],
  [FRAME.confirm, [CHECKSUM_BYTES, CHECKSUM_BYTES]],
  [FRAME.goodbye, [0, 0]],
  [FRAME.abort, [ABORT_CODE_BYTES, ABORT_CODE_BYTES + MAX_ABORT_TEXT_BYTES]],
]);
const IGNORABLE_LIMITS = [0, MAX_CONTROL_BYTES] as const;

const MAGIC = Uint8Array.of(0x89, 0x53, 0x50, 0x50, 0x0d, 0x0a, 0x1a, 0x0a);
const TWO_32 = 2 ** 32;

/** What each byte does to a CRC-32. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) {
    byte = (byte >>> 1) ^ (byte & 1 ? 0xedb88320 : 0);
  }
  return byte;
});

/**
 * Continues the CRC-32 of zlib over `bytes`.
 *
 * @param previous The checksum of everything before; of nothing it is 0.
 */
export function checksum(bytes: Uint8Array, previous = 0): number {
  let running = previous;
  let at = 0;
  // Deno 2.4.2's crc32, once optimized, gives nonsense for a previous value from
  // 2^31 on. Every second byte, on average, leads to a smaller one.
  while (running >= 2 ** 31 && at < bytes.length) {
    running = nextChecksum(running, bytes[at++] ?? 0);
  }
  if (at === bytes.length) return running;
  // Not imported: that would cost every start, also without --reliable, 20 ms.
  zlib ??= process.getBuiltinModule("node:zlib");
  return zlib.crc32(at === 0 ? bytes : bytes.subarray(at), running);
}

let zlib: typeof import("node:zlib") | undefined;

/** Of the header at `at`, which is too short to be worth a call of zlib. */
function headerChecksum(bytes: Uint8Array, at: number): number {
  let running = 0;
  for (let i = at; i < at + CHECKED_HEADER_BYTES; i++) {
    running = nextChecksum(running, bytes[i] ?? 0);
  }
  return running;
}

function nextChecksum(running: number, byte: number): number {
  const state = ~running;
  return ~((CRC_TABLE[(state ^ byte) & 0xff] ?? 0) ^ (state >>> 8)) >>> 0;
}

/** What the two sides tell each other first on each connection. */
export interface Preface {
  readonly version: number;
  /** One of {@linkcode ROLE}. */
  readonly role: number;
  /** {@linkcode FLAG}s, or'ed. */
  readonly flags: number;
  /** {@linkcode SESSION_ID_BYTES} bytes. */
  readonly id: Uint8Array;
  /** Up to which offset the other's stream was received. */
  readonly received: number;
  /** The running checksum at that offset; in a refusal the reason. */
  readonly checksum: number;
  /** Bytes on the wire that may be unacknowledged, headers included. */
  readonly window: number;
  /** For how many ms the other may be silent; 0 is for ever. */
  readonly patienceMs: number;
  /** What follows the fields above; at most 968 bytes. */
  readonly additions: Uint8Array;
}

/** The bytes of a preface, ready to be sent. */
export function encodePreface(preface: Preface): Uint8Array {
  const bytes = new Uint8Array(PREFACE_BYTES + preface.additions.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint8(8, preface.version);
  view.setUint8(9, preface.role);
  view.setUint16(10, bytes.length);
  view.setUint32(12, preface.flags);
  bytes.set(preface.id, 16);
  setUint64(view, 32, preface.received);
  view.setUint32(40, preface.checksum);
  view.setUint32(44, preface.window);
  view.setUint32(48, preface.patienceMs);
  bytes.set(preface.additions, ADDITIONS_AT);
  sealPreface(bytes);
  return bytes;
}

/** Puts the checksum into the last bytes of a preface of any length. */
export function sealPreface(bytes: Uint8Array): void {
  const at = bytes.length - CHECKSUM_BYTES;
  viewOf(bytes).setUint32(at, checksum(bytes.subarray(0, at)));
}

/**
 * Reads one preface, however it is cut, and not a byte of what follows it.
 *
 * @example
 * ```ts ignore
 * const reader = new PrefaceReader();
 * let preface: Preface | undefined;
 * while (preface === undefined) {
 *   const n = await conn.read(reader.room());
 *   if (n === null) throw new BrokenError("…");
 *   preface = reader.filled(n);
 * }
 * ```
 */
export class PrefaceReader {
  readonly #bytes = new Uint8Array(MAX_PREFACE_BYTES);
  #filled = 0;
  #length = PREFACE_BYTES;

  /** How many bytes have come. */
  get size(): number {
    return this.#filled;
  }

  /** Room for what is still missing, to read into; the same until `filled`. */
  room(): Uint8Array {
    return this.#bytes.subarray(this.#filled, this.#length);
  }

  /**
   * Says that `n` bytes were put into the room.
   *
   * @returns The preface, once it is there.
   * @throws {DamagedError} These bytes are no preface; known at the first byte
   * that cannot be one.
   */
  filled(n: number): Preface | undefined {
    this.#filled += n;
    this.#checkMagic();
    if (this.#filled < this.#length) return undefined;
    const view = viewOf(this.#bytes);
    this.#length = view.getUint16(10);
    if (this.#length < PREFACE_BYTES || this.#length > MAX_PREFACE_BYTES) {
      throw new DamagedError(
        `Cannot read the peer's preface: its length is "${this.#length}"`,
      );
    }
    if (this.#filled < this.#length) return undefined;
    return decodePreface(this.#bytes.subarray(0, this.#length));
  }

  #checkMagic(): void {
    const length = Math.min(this.#filled, MAGIC.length);
    for (let i = 0; i < length; i++) {
      if (this.#bytes[i] === MAGIC[i]) continue;
      const start = printable(this.#bytes.subarray(0, this.#filled));
      throw new DamagedError(
        `Cannot read the peer's preface: it begins with "${start}"; ` +
          "the other side must be sockpipe with --reliable, too",
      );
    }
  }
}

/** @throws {DamagedError} The checksum does not match. */
function decodePreface(bytes: Uint8Array): Preface {
  const view = viewOf(bytes);
  const end = bytes.length - CHECKSUM_BYTES;
  if (view.getUint32(end) !== checksum(bytes.subarray(0, end))) {
    throw new DamagedError(
      "Cannot read the peer's preface: its checksum does not match",
    );
  }
  return {
    version: view.getUint8(8),
    role: view.getUint8(9),
    flags: view.getUint32(12),
    id: bytes.slice(16, 16 + SESSION_ID_BYTES),
    received: getUint64(view, 32),
    checksum: view.getUint32(40),
    window: view.getUint32(44),
    patienceMs: view.getUint32(48),
    additions: bytes.slice(ADDITIONS_AT, end),
  };
}

/** What stands before each payload. */
export interface FrameHeader {
  /** One of {@linkcode FRAME}, or a type that is ignored. */
  readonly type: number;
  /** The length of the payload in bytes. */
  readonly length: number;
  /** DATA: the running checksum after the payload; else that of the payload. */
  readonly checksum: number;
  readonly offset: number;
}

/** A frame whose checksums matched. */
export interface Frame extends FrameHeader {
  /** Valid until the decoder lends room again. */
  readonly payload: Uint8Array;
}

/** Writes a header into the first {@linkcode HEADER_BYTES} bytes of `into`. */
export function writeHeader(into: Uint8Array, header: FrameHeader): void {
  const view = viewOf(into);
  view.setUint32(0, header.type * 2 ** 24 + header.length);
  view.setUint32(4, header.checksum);
  setUint64(view, 8, header.offset);
  view.setUint32(16, 0);
  view.setUint32(CHECKED_HEADER_BYTES, headerChecksum(into, 0));
}

/** The header at `at`, whatever it says. */
export function readHeader(view: DataView, at: number): FrameHeader {
  const word = view.getUint32(at);
  return {
    type: word >>> 24,
    length: word & 0xffffff,
    checksum: view.getUint32(at + 4),
    offset: getUint64(view, at + 8),
  };
}

/** A frame of any type but DATA, ready to be sent. */
export function encodeControl(
  type: number,
  { offset = 0, payload = new Uint8Array() }: {
    offset?: number;
    payload?: Uint8Array;
  } = {},
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes.set(payload, HEADER_BYTES);
  const length = payload.length;
  writeHeader(bytes, { type, length, offset, checksum: checksum(payload) });
  return bytes;
}

/** What END and CONFIRM say about a stream, apart from its length. */
export interface StreamSummary {
  readonly checksum: number;
  /** The SHA-256 of the stream, when both sides want one. */
  readonly digest: Uint8Array | undefined;
}

/** The payload of END, and without a digest that of CONFIRM. */
export function encodeSummary(summary: StreamSummary): Uint8Array {
  const digest = summary.digest ?? new Uint8Array();
  const payload = new Uint8Array(CHECKSUM_BYTES + digest.length);
  viewOf(payload).setUint32(0, summary.checksum);
  payload.set(digest, CHECKSUM_BYTES);
  return payload;
}

/** @param payload At least 4 bytes, which the decoder has seen to. */
export function decodeSummary(payload: Uint8Array): StreamSummary {
  return {
    checksum: viewOf(payload).getUint32(0),
    digest: payload.length > CHECKSUM_BYTES
      ? payload.slice(CHECKSUM_BYTES)
      : undefined,
  };
}

/** Why a session ended, as ABORT says it. */
export interface AbortReason {
  readonly code: number;
  /** For people. */
  readonly text: string;
}

/** The payload of ABORT; a text that is too long is cut. */
export function encodeAbort({ code, text }: AbortReason): Uint8Array {
  const payload = new Uint8Array(ABORT_CODE_BYTES + MAX_ABORT_TEXT_BYTES);
  viewOf(payload).setUint16(0, code);
  const room = payload.subarray(ABORT_CODE_BYTES);
  const { written } = new TextEncoder().encodeInto(text, room);
  return payload.subarray(0, ABORT_CODE_BYTES + written);
}

/** @param payload At least 2 bytes, which the decoder has seen to. */
export function decodeAbort(payload: Uint8Array): AbortReason {
  return {
    code: viewOf(payload).getUint16(0),
    text: printable(payload.subarray(ABORT_CODE_BYTES)),
  };
}

/** How far the buffer is used while everything is delivered as it comes. */
const HOT_BYTES = 1024 * 1024;

/**
 * Finds the frames in what a connection brings, and holds the payloads of DATA
 * frames until they are delivered.
 *
 * It owns one buffer. The connection reads straight into it, a DATA payload is
 * checked and delivered from where it lies, and moves (by some bytes, within the
 * buffer) only when another one is still waiting before it: so what is held is
 * always one piece, or two where the buffer begins anew.
 *
 *     0      lower.start    lower.end   parsed    filled     upper
 *     | free |   held      | old headers | unread | room...  |held, older| free |
 */
export class FrameDecoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #window: number;
  /** The largest frame that may come: so much room is needed in one piece. */
  readonly #maxFrame: number;
  #upper: Range = { start: 0, end: 0 };
  #lower: Range = { start: 0, end: 0 };
  #parsed = 0;
  #filled = 0;

  /**
   * @param window The most that the peer may have under way, in bytes on the
   * wire; at least `HEADER_BYTES + 1`. The buffer is larger by two frames; memory
   * of it that is never reached is never taken from the system.
   */
  constructor(window: number) {
    this.#window = window;
    this.#maxFrame = HEADER_BYTES +
      Math.max(MAX_CONTROL_BYTES, this.#maxPayload());
    // Large memory begins 16 bytes into a page (glibc). A read of the kernel into
    // such a place took 1.5 times as long as 240 bytes further on (AMD Zen 3, see
    // ring.ts).
    const size = window + 2 * this.#maxFrame;
    this.#bytes = new Uint8Array(new ArrayBuffer(size + 240), 240);
    this.#view = viewOf(this.#bytes);
  }

  /** Bytes of payload that are held. */
  get heldBytes(): number {
    return sizeOf(this.#upper) + sizeOf(this.#lower);
  }

  /**
   * Room to read into. Call it only while no read into earlier room is under way,
   * and not while a frame of `next` is in use.
   */
  room(): Uint8Array {
    if (this.heldBytes === 0 && this.#isFarOut()) this.#moveUnread(0);
    if (this.#limit() - this.#parsed < this.#maxFrame) this.#makeRoom();
    return this.#bytes.subarray(this.#filled, this.#limit());
  }

  /** Says that `n` bytes were read into the room. */
  filled(n: number): void {
    this.#filled += n;
  }

  /**
   * The next frame that is whole, or `undefined`.
   *
   * @param running The running checksum up to here, which a DATA frame continues.
   * @throws {DamagedError} The bytes are not a frame that may come; final.
   */
  next(running: number): Frame | undefined {
    const header = this.#header();
    if (header === undefined) return undefined;
    const start = this.#parsed + HEADER_BYTES;
    const end = start + header.length;
    if (this.#filled < end) return undefined;
    const payload = this.#bytes.subarray(start, end);
    const previous = header.type === FRAME.data ? running : 0;
    if (checksum(payload, previous) !== header.checksum) {
      throw new DamagedError(
        "Cannot receive the stream: the checksum of a frame does not match",
      );
    }
    this.#parsed = end;
    return { ...header, payload };
  }

  /** Holds the payload of `length` bytes of the frame that `next` gave last. */
  hold(length: number): void {
    const from = this.#parsed - length;
    // While older bytes stand above, none may be wasted below: #makeRoom counts on
    // all that is free being in one piece.
    if (sizeOf(this.#lower) === 0) {
      const start = sizeOf(this.#upper) === 0 ? from : 0;
      this.#lower = { start, end: start };
    }
    if (this.#lower.end !== from) {
      this.#bytes.copyWithin(this.#lower.end, from, this.#parsed);
    }
    this.#lower.end += length;
  }

  /**
   * The oldest held bytes, in one piece; `undefined` when there are none. The
   * view stays valid until `release` has let go of it.
   */
  held(): Uint8Array | undefined {
    const { start, end } = this.#oldest();
    return start === end ? undefined : this.#bytes.subarray(start, end);
  }

  /** Lets go of the first `n` bytes that `held` gave. */
  release(n: number): void {
    this.#oldest().start += n;
  }

  /** Forgets an unfinished frame: its connection is gone. What is held stays. */
  reset(): void {
    this.#filled = this.#parsed;
  }

  #oldest(): Range {
    return sizeOf(this.#upper) > 0 ? this.#upper : this.#lower;
  }

  #maxPayload(): number {
    return Math.min(MAX_DATA_BYTES, this.#window - HEADER_BYTES);
  }

  #header(): FrameHeader | undefined {
    if (this.#filled - this.#parsed < HEADER_BYTES) return undefined;
    const at = this.#parsed;
    const view = this.#view;
    const expected = view.getUint32(at + CHECKED_HEADER_BYTES);
    if (headerChecksum(this.#bytes, at) !== expected) {
      throw new DamagedError(
        "Cannot receive the stream: the checksum of a header does not match",
      );
    }
    const header = readHeader(view, at);
    this.#checkLength(header.type, header.length);
    if (header.offset > Number.MAX_SAFE_INTEGER) {
      throw new DamagedError(
        `Cannot receive the stream: the offset "${header.offset}" is too large`,
      );
    }
    return header;
  }

  /** Before any room is given to the payload, or a byte of it waited for. */
  #checkLength(type: number, length: number): void {
    const limits = type >= FIRST_IGNORABLE_TYPE
      ? IGNORABLE_LIMITS
      : PAYLOAD_LIMITS.get(type);
    if (limits === undefined) {
      throw new DamagedError(
        `Cannot receive the stream: a frame has the unknown type "${type}"`,
      );
    }
    const isData = type === FRAME.data;
    const most = isData ? this.#maxPayload() : limits[1];
    if (length < limits[0] || length > most) {
      throw new DamagedError(
        `Cannot receive the stream: a frame of type "${type}" has the length "${length}"`,
      );
    }
    if (isData && this.heldBytes + length > this.#window - HEADER_BYTES) {
      throw new DamagedError(
        "Cannot receive the stream: the peer sent more than the window allows",
      );
    }
  }

  #limit(): number {
    return sizeOf(this.#upper) > 0 ? this.#upper.start : this.#bytes.length;
  }

  /** Whether what is unread should go back to where the cache is warm. */
  #isFarOut(): boolean {
    return this.#filled === this.#parsed || this.#parsed > HOT_BYTES;
  }

  /**
   * Makes room for the largest frame in one piece. With less than a window held,
   * and two frames more than a window in the buffer, there always is: either
   * behind what is held, over old headers, or at the beginning. What is held below
   * never becomes the upper part while that still holds bytes: they end less than
   * a frame before the end of the buffer, and the lower part begins with it.
   */
  #makeRoom(): void {
    if (this.#limit() - this.#lower.end < this.#maxFrame) {
      this.#upper = this.#lower;
      this.#lower = { start: 0, end: 0 };
    }
    this.#moveUnread(this.#lower.end);
  }

  #moveUnread(to: number): void {
    this.#bytes.copyWithin(to, this.#parsed, this.#filled);
    this.#filled += to - this.#parsed;
    this.#parsed = to;
  }
}

/** A part of a buffer; empty when both are equal. */
interface Range {
  start: number;
  end: number;
}

function sizeOf({ start, end }: Range): number {
  return end - start;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** Exact up to 2^53 - 1; above that, some number that is above it as well. */
function getUint64(view: DataView, at: number): number {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
}

/** UTF-8 of a peer as text that cannot steer a terminal. */
function printable(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\p{C}/gu, "\ufffd");
}
