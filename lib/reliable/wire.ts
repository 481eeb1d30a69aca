/**
 * The frames of `--reliable`, as section 5 of `docs/protocol.md` defines them.
 *
 * No sockets, no timers; everything here is a function of the bytes it is given.
 */

import { DamagedError } from "../base/errors.ts";
import type { WaitedMs } from "../pipe/traffic.ts";
import { crc32 } from "./crc32.ts";

/** The size of a frame without its payload. */
export const HEADER_BYTES = 24;
/** The part of a header that its checksum covers, which stands behind it. */
const CHECKED_HEADER_BYTES = 20;
/** The most that one DATA frame carries, so that it stays in a CPU's cache. */
export const MAX_DATA_BYTES = 256 * 1024;

/** The types of frames. */
export const FRAME = {
  data: 1,
  ack: 2,
  end: 3,
  confirm: 4,
  goodbye: 5,
  abort: 6,
  held: 7,
  start: 8,
  started: 9,
  waited: 0x80,
  size: 0x81,
} as const;
/** The first of the types that are skipped by a reader that does not know them. */
const FIRST_IGNORABLE_TYPE = 0x80;

/** The size of a SHA-256. */
export const SHA256_BYTES = 32;
const CHECKSUM_BYTES = 4;
const ABORT_CODE_BYTES = 2;
const MAX_ABORT_TEXT_BYTES = 512;
/** The largest payload of anything but DATA. */
export const MAX_CONTROL_BYTES = 1024;

/** The shortest and the longest payload of each type of frame. */
const PAYLOAD_LIMITS = new Map<number, readonly [number, number]>([
  [FRAME.data, [1, MAX_DATA_BYTES]],
  [FRAME.ack, [0, 0]],
  [FRAME.end, [CHECKSUM_BYTES, CHECKSUM_BYTES + SHA256_BYTES]],
  [FRAME.confirm, [CHECKSUM_BYTES, CHECKSUM_BYTES]],
  [FRAME.goodbye, [0, 0]],
  [FRAME.abort, [ABORT_CODE_BYTES, ABORT_CODE_BYTES + MAX_ABORT_TEXT_BYTES]],
  [FRAME.held, [SHA256_BYTES, MAX_CONTROL_BYTES]],
  [FRAME.start, [0, 0]],
  [FRAME.started, [0, 0]],
]);
const IGNORABLE_LIMITS = [0, MAX_CONTROL_BYTES] as const;

const TWO_32 = 2 ** 32;

/** The fields of a header. */
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
  /** Valid until the buffer that it lies in lends room again. */
  readonly payload: Uint8Array;
}

/** Writes a header into the first {@linkcode HEADER_BYTES} bytes of `into`. */
export function writeHeader(into: Uint8Array, header: FrameHeader): void {
  const view = viewOf(into);
  view.setUint32(0, header.type * 2 ** 24 + header.length);
  view.setUint32(4, header.checksum);
  setUint64(view, 8, header.offset);
  view.setUint32(16, 0);
  const checked = into.subarray(0, CHECKED_HEADER_BYTES);
  view.setUint32(CHECKED_HEADER_BYTES, crc32(checked));
}

/** Reads the header at `at`; checks nothing. */
export function readHeader(view: DataView, at: number): FrameHeader {
  const word = view.getUint32(at);
  return {
    type: word >>> 24,
    length: word & 0xffffff,
    checksum: view.getUint32(at + 4),
    offset: getUint64(view, at + 8),
  };
}

/**
 * Reads the header at the beginning of `bytes` and checks its checksum, type,
 * length and offset, before any room is given to the payload or a byte of it
 * waited for.
 *
 * @param maxData The longest payload of a DATA frame that may come.
 * @throws {DamagedError} This is no header of a frame that may come.
 */
export function readCheckedHeader(
  bytes: Uint8Array,
  maxData: number,
): FrameHeader {
  const view = viewOf(bytes);
  const checked = bytes.subarray(0, CHECKED_HEADER_BYTES);
  if (crc32(checked) !== view.getUint32(CHECKED_HEADER_BYTES)) {
    throw damaged("the checksum of a header does not match");
  }
  const header = readHeader(view, 0);
  const { type, length, offset } = header;
  const limits = type >= FIRST_IGNORABLE_TYPE
    ? IGNORABLE_LIMITS
    : PAYLOAD_LIMITS.get(type);
  if (limits === undefined) {
    throw damaged(`a frame has the unknown type "${type}"`);
  }
  const most = type === FRAME.data ? maxData : limits[1];
  if (length < limits[0] || length > most) {
    throw damaged(`a frame of type "${type}" has the length "${length}"`);
  }
  if (offset > Number.MAX_SAFE_INTEGER) {
    throw damaged(`the offset "${offset}" is too large`);
  }
  return header;
}

/** Makes a frame of any type but DATA, ready to be sent. */
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
  writeHeader(bytes, { type, length, offset, checksum: crc32(payload) });
  return bytes;
}

/** The claim of END and CONFIRM about a stream, apart from its length. */
export interface StreamSummary {
  /** The running checksum at the end. */
  readonly checksum: number;
  /** The SHA-256 of the stream, when both sides want one. */
  readonly digest: Uint8Array | undefined;
}

/** Makes the payload of END, and without a digest that of CONFIRM. */
export function encodeSummary(summary: StreamSummary): Uint8Array {
  const digest = summary.digest ?? new Uint8Array();
  const payload = new Uint8Array(CHECKSUM_BYTES + digest.length);
  viewOf(payload).setUint32(0, summary.checksum);
  payload.set(digest, CHECKSUM_BYTES);
  return payload;
}

/**
 * Reads the payload of END or CONFIRM.
 *
 * @param payload At least 4 bytes, as {@linkcode readCheckedHeader} has checked.
 */
export function decodeSummary(payload: Uint8Array): StreamSummary {
  return {
    checksum: viewOf(payload).getUint32(0),
    digest: payload.length > CHECKSUM_BYTES
      ? payload.slice(CHECKSUM_BYTES)
      : undefined,
  };
}

/** The reason why a session ended, as ABORT gives it. */
export interface AbortReason {
  /** A code of section 8. */
  readonly code: number;
  /** An explanation for people. */
  readonly text: string;
}

/** Makes the payload of ABORT; a text that is too long is cut. */
export function encodeAbort({ code, text }: AbortReason): Uint8Array {
  const payload = new Uint8Array(ABORT_CODE_BYTES + MAX_ABORT_TEXT_BYTES);
  viewOf(payload).setUint16(0, code);
  const room = payload.subarray(ABORT_CODE_BYTES);
  const { written } = new TextEncoder().encodeInto(text, room);
  return payload.subarray(0, ABORT_CODE_BYTES + written);
}

/**
 * Reads the payload of ABORT; its text is made harmless to a terminal.
 *
 * @param payload At least 2 bytes, as {@linkcode readCheckedHeader} has checked.
 */
export function decodeAbort(payload: Uint8Array): AbortReason {
  return {
    code: viewOf(payload).getUint16(0),
    text: decodePrintable(payload.subarray(ABORT_CODE_BYTES)),
  };
}

const WAITED_BYTES = 16;
const MAX_UINT32 = 2 ** 32 - 1;

/** Makes the payload of WAITED; what is longer than 49 days is cut to it. */
export function encodeWaited(ms: WaitedMs): Uint8Array {
  const payload = new Uint8Array(WAITED_BYTES);
  const view = viewOf(payload);
  [ms.stdin, ms.sending, ms.receiving, ms.stdout].forEach((value, i) =>
    view.setUint32(4 * i, Math.min(Math.round(value), MAX_UINT32))
  );
  return payload;
}

/** Reads the payload of WAITED; `undefined` when it is too short to be one. */
export function decodeWaited(payload: Uint8Array): WaitedMs | undefined {
  if (payload.length < WAITED_BYTES) return undefined;
  const view = viewOf(payload);
  return {
    stdin: view.getUint32(0),
    sending: view.getUint32(4),
    receiving: view.getUint32(8),
    stdout: view.getUint32(12),
  };
}

/** Makes the error of a peer's stream that is not as it has to be. */
export function damaged(what: string): DamagedError {
  return new DamagedError(`Cannot receive the stream: ${what}`);
}

/** Whether both have the same bytes. */
export function areBytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Makes a view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes a whole number from 0 to 2^53 - 1 in 8 bytes. */
export function setUint64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / TWO_32));
  view.setUint32(at + 4, value % TWO_32);
}

/** Reads 8 bytes: exact up to 2^53 - 1, else some number above it as well. */
export function getUint64(view: DataView, at: number): number {
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
}

/** Decodes UTF-8 of a peer to text that cannot steer a terminal. */
export function decodePrintable(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\p{C}/gu, "\ufffd");
}
