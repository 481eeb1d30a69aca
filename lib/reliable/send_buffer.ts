/** The bytes of stdin that the peer is not yet known to have delivered. */

import { crc32 } from "./crc32.ts";
import {
  FRAME,
  HEADER_BYTES,
  MAX_DATA_BYTES,
  readHeader,
  writeHeader,
} from "./wire.ts";

/** The least room that is lent, in bytes; of a small window, a quarter of it. */
const MIN_ROOM_BYTES = 64 * 1024;

const PAGE_BYTES = 4096;

/** A point in a stream: its offset, and the running checksum there. */
export interface StreamPoint {
  readonly offset: number;
  readonly checksum: number;
}

/**
 * Our stream as DATA frames, kept until they are acknowledged.
 *
 * The frames lie in a ring as they go over the wire, header and payload, each in
 * one piece. So many small ones go out in one write, a large one needs no second
 * write for its header, and a replay sends the same bytes again.
 *
 *     tail          next         head           wrap
 *     | sent, kept  | to be sent | free ........|         or, wrapped:
 *     | to be sent  | free ......| sent, kept   |
 *               head         tail            wrap
 */
export class SendBuffer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** The most that may be kept, in bytes on the wire: the window. */
  limit: number;
  /** Bytes on the wire that are kept. */
  #kept = 0;
  #tail = 0;
  #head = 0;
  /** The end of the older part, while newer frames lie before it. */
  #wrap: number | undefined;
  #next = 0;
  #tailPoint: StreamPoint = { offset: 0, checksum: 0 };
  #nextPoint: StreamPoint = { offset: 0, checksum: 0 };
  #endPoint: StreamPoint = { offset: 0, checksum: 0 };
  #farthest = 0;
  #acknowledged = 0;
  #lent: Uint8Array | undefined;

  /** @param capacity Bytes on the wire; at least `HEADER_BYTES + 1`. */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
    this.limit = capacity;
  }

  /** The end of what was appended. */
  get end(): StreamPoint {
    return this.#endPoint;
  }

  /** The end of what `take` gave out, since the last `rewind`. */
  get next(): StreamPoint {
    return this.#nextPoint;
  }

  /** The last offset that was acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Begins at a point other than 0; call it while nothing was appended. */
  startAt(point: StreamPoint): void {
    this.#tailPoint = this.#nextPoint = this.#endPoint = point;
    this.#farthest = this.#acknowledged = point.offset;
  }

  /**
   * Lends room for the payload of the next frame, the same until something is
   * appended; `undefined` while there is too little.
   *
   * @param most The longest room, in bytes.
   */
  reserve(most: number): Uint8Array | undefined {
    if (this.#lent !== undefined) return this.#lent;
    const least = Math.min(
      most,
      MIN_ROOM_BYTES,
      Math.max(1, (this.limit - HEADER_BYTES) >> 2),
    );
    const allowed = this.limit - this.#kept - HEADER_BYTES;
    if (allowed < least || !this.#findRoom(least)) return undefined;
    const start = this.#head + HEADER_BYTES;
    const room = Math.min(this.#freeEnd() - start, allowed);
    const length = wholePages(Math.min(room, most, MAX_DATA_BYTES));
    this.#lent = this.#bytes.subarray(start, start + length);
    return this.#lent;
  }

  /**
   * Appends one frame of bytes that lie in the reserved room, or of a copy.
   *
   * @returns How many bytes it holds; 0 when there is no room.
   */
  append(bytes: Uint8Array): number {
    const room = this.reserve(bytes.length);
    if (room === undefined) return 0;
    const inPlace = bytes.buffer === room.buffer &&
      bytes.byteOffset === room.byteOffset;
    const length = Math.min(bytes.length, room.length);
    if (!inPlace) room.set(bytes.subarray(0, length));
    this.#seal(room.subarray(0, length));
    return length;
  }

  /**
   * Gives out the frames that are to be sent next, in one piece: as many as fit
   * into `most` bytes, but at least one; `undefined` when there are none.
   */
  take(most: number): Uint8Array | undefined {
    if (this.#nextPoint.offset === this.#endPoint.offset) return undefined;
    const start = this.#next;
    const pieceEnd = start < this.#head ? this.#head : this.#wrap ?? this.#head;
    let end = start;
    let frame = this.#frameAt(end);
    do {
      this.#nextPoint = frame.end;
      end += frame.size;
      if (end === pieceEnd) break;
      frame = this.#frameAt(end);
    } while (end - start + frame.size <= most);
    this.#next = end === this.#wrap ? 0 : end;
    this.#farthest = Math.max(this.#farthest, this.#nextPoint.offset);
    return this.#bytes.subarray(start, end);
  }

  /** Forgets the frames that end at `offset`, which was given out, or before it. */
  acknowledge(offset: number): void {
    this.#acknowledged = offset;
    while (this.#tailPoint.offset < offset) {
      const frame = this.#frameAt(this.#tail);
      if (frame.end.offset > offset) return;
      this.#kept -= frame.size;
      this.#tailPoint = frame.end;
      this.#tail += frame.size;
      if (this.#tail !== this.#wrap) continue;
      this.#tail = 0;
      this.#wrap = undefined;
    }
  }

  /**
   * Whether the peer can have received the stream up to `offset`: it is the end
   * of a frame that was given out and may not yet be acknowledged.
   */
  canRewind(offset: number, checksum: number): boolean {
    if (offset < this.#acknowledged || offset > this.#farthest) return false;
    const { point } = this.#find(offset);
    return point.offset === offset && point.checksum === checksum;
  }

  /** Gives out again what follows `offset`, for which `canRewind` holds. */
  rewind(offset: number): void {
    const { at, point } = this.#find(offset);
    this.#next = at;
    this.#nextPoint = point;
  }

  /** Finds the end of the first frame that ends at or after `offset`. */
  #find(offset: number): { at: number; point: StreamPoint } {
    let at = this.#tail;
    let point = this.#tailPoint;
    while (point.offset < offset) {
      const frame = this.#frameAt(at);
      at += frame.size;
      if (at === this.#wrap) at = 0;
      point = frame.end;
    }
    return { at, point };
  }

  #frameAt(at: number): { size: number; end: StreamPoint } {
    const { length, offset, checksum } = readHeader(this.#view, at);
    const end = { offset: offset + length, checksum };
    return { size: HEADER_BYTES + length, end };
  }

  #freeEnd(): number {
    return this.#wrap === undefined ? this.#bytes.length : this.#tail;
  }

  /** Moves `head` to where a frame of `least` bytes has room. */
  #findRoom(least: number): boolean {
    if (this.#kept === 0) this.#restart();
    const needed = HEADER_BYTES + least;
    if (this.#freeEnd() - this.#head >= needed) return true;
    if (this.#wrap !== undefined || this.#tail < needed) return false;
    this.#wrap = this.#head;
    if (this.#next === this.#head) this.#next = 0;
    this.#head = 0;
    return true;
  }

  #restart(): void {
    this.#tail = 0;
    this.#head = 0;
    this.#next = 0;
    this.#wrap = undefined;
  }

  #seal(payload: Uint8Array): void {
    const { length } = payload;
    const { offset } = this.#endPoint;
    const running = crc32(payload, this.#endPoint.checksum);
    const header = this.#bytes.subarray(this.#head, this.#head + HEADER_BYTES);
    writeHeader(header, {
      type: FRAME.data,
      length,
      checksum: running,
      offset,
    });
    this.#endPoint = { offset: offset + length, checksum: running };
    this.#head += HEADER_BYTES + length;
    this.#kept += HEADER_BYTES + length;
    this.#lent = undefined;
  }
}

/**
 * Rounds what is not small down to whole pages: reads of other sizes leave the rest
 * of the stream at odd places, to where the kernel and we copy more slowly.
 */
function wholePages(bytes: number): number {
  return bytes < PAGE_BYTES ? bytes : bytes - bytes % PAGE_BYTES;
}
