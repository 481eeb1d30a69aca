/**
 * The beginning of a stream that the receiver's side still holds from an earlier
 * run, and finding out how much of it is right (`docs/protocol.md` section 11).
 *
 * Digests are running: one for each block, of everything up to its end. So one pass
 * of SHA-256 over the bytes gives all of them, and that of the whole stream.
 */

import { createHash, type Hash } from "node:crypto";
import { crc32 } from "./crc32.ts";
import type { StreamPoint } from "./send_buffer.ts";
import { areBytesEqual, MAX_CONTROL_BYTES, SHA256_BYTES } from "./wire.ts";

/** The distance of digests, in bytes: the most that is sent again for nothing. */
const BLOCK_BYTES = 4 * 1024 * 1024;
/** The most digests in one HELD frame. */
const DIGESTS_PER_FRAME = MAX_CONTROL_BYTES / SHA256_BYTES;

/** A point in a stream, and the SHA-256 of everything before it, to be continued. */
export interface HashedPoint extends StreamPoint {
  readonly hash: Hash;
}

/** The beginning of the peer's stream that this side holds. */
export interface HeldPrefix {
  /** The end of what is held; its hash is the session's from then on. */
  readonly end: HashedPoint;
  /** The running digest at the end of each block, the last one at the end of all. */
  readonly digests: readonly Uint8Array[];
}

/** Hashes a stream from its beginning, block by block. */
export class BlockHasher {
  readonly #blockBytes: number;
  readonly #hash: Hash = createHash("sha256");
  readonly #digests: Uint8Array[] = [];
  #offset = 0;
  #checksum = 0;

  /** @param blockBytes The distance of digests. */
  constructor(blockBytes: number = BLOCK_BYTES) {
    this.#blockBytes = blockBytes;
  }

  /** Takes the next bytes of the stream. */
  update(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const left = this.#blockBytes - this.#offset % this.#blockBytes;
      const piece = bytes.subarray(at, at + left);
      this.#hash.update(piece);
      this.#checksum = crc32(piece, this.#checksum);
      this.#offset += piece.length;
      at += piece.length;
      if (this.#offset % this.#blockBytes === 0) {
        this.#digests.push(this.#digest());
      }
    }
  }

  /** Ends the stream here. */
  finish(): HeldPrefix {
    if (this.#offset % this.#blockBytes > 0) this.#digests.push(this.#digest());
    const [offset, checksum, hash] = [this.#offset, this.#checksum, this.#hash];
    return { end: { offset, checksum, hash }, digests: this.#digests };
  }

  #digest(): Uint8Array {
    return this.#hash.copy().digest();
  }
}

/** Cuts running digests into the payloads of HELD frames, in order. */
export function* digestFrames(
  digests: readonly Uint8Array[],
): Generator<Uint8Array, void> {
  for (let i = 0; i < digests.length; i += DIGESTS_PER_FRAME) {
    const some = digests.slice(i, i + DIGESTS_PER_FRAME);
    const payload = new Uint8Array(some.length * SHA256_BYTES);
    some.forEach((digest, k) => payload.set(digest, k * SHA256_BYTES));
    yield payload;
  }
}

/**
 * Compares the beginning of our stream with the digests of what the peer holds. It
 * holds one block of the stream, so that the stream can go on from any block's
 * beginning without being read again.
 */
export class PrefixComparison {
  /** The number of bytes that the peer holds. */
  readonly heldBytes: number;
  readonly #blockBytes: number;
  readonly #digests: Uint8Array[] = [];
  readonly #block: Uint8Array;
  #filled = 0;
  /** The last point up to which the peer holds what we have. */
  #equal: HashedPoint = { offset: 0, checksum: 0, hash: createHash("sha256") };
  #ended = false;
  #result: ComparedPrefix | undefined;

  /**
   * @param heldBytes How much the peer holds; at least 1.
   * @param blockBytes The distance of its digests.
   */
  constructor(heldBytes: number, blockBytes: number = BLOCK_BYTES) {
    this.#blockBytes = blockBytes;
    this.heldBytes = heldBytes;
    this.#block = new Uint8Array(Math.min(heldBytes, blockBytes));
  }

  /** The number of digests that were taken. */
  get digestCount(): number {
    return this.#digests.length;
  }

  /** The outcome, once it is known. */
  get result(): ComparedPrefix | undefined {
    return this.#result;
  }

  /** Takes the digests of one HELD frame, which follow those before. */
  addDigests(payload: Uint8Array): void {
    for (let at = 0; at < payload.length; at += SHA256_BYTES) {
      this.#digests.push(payload.slice(at, at + SHA256_BYTES));
    }
    this.#compare();
  }

  /** Whether no more digests may come. */
  get hasAllDigests(): boolean {
    return this.#digests.length >= Math.ceil(this.heldBytes / this.#blockBytes);
  }

  /** Lends room for the next bytes of stdin; `undefined` while none are wanted. */
  room(): Uint8Array | undefined {
    if (this.#result !== undefined || this.#ended) return undefined;
    const room = this.#block.subarray(this.#filled, this.#wantedBytes());
    return room.length === 0 ? undefined : room;
  }

  /**
   * Takes bytes of stdin, from the room or from elsewhere.
   *
   * @returns How many were taken: no more than the room has.
   */
  take(bytes: Uint8Array): number {
    const room = this.room() ?? new Uint8Array();
    const piece = bytes.subarray(0, room.length);
    if (piece.buffer !== room.buffer) room.set(piece);
    this.#filled += piece.length;
    this.#compare();
    return piece.length;
  }

  /** Takes the end of stdin, which may come before what the peer holds. */
  end(): void {
    this.#ended = true;
    if (this.#filled < this.#wantedBytes()) this.#decide();
  }

  #wantedBytes(): number {
    return Math.min(this.#blockBytes, this.heldBytes - this.#equal.offset);
  }

  /** Compares the block when it is whole and its digest is there. */
  #compare(): void {
    const length = this.#wantedBytes();
    const { offset, checksum, hash } = this.#equal;
    const digest = this.#digests[Math.floor(offset / this.#blockBytes)];
    if (this.#filled < length || digest === undefined || this.#result) return;
    const block = this.#block.subarray(0, length);
    const next = hash.copy().update(block);
    if (!areBytesEqual(next.copy().digest(), digest)) return this.#decide();
    this.#equal = {
      offset: offset + length,
      checksum: crc32(block, checksum),
      hash: next,
    };
    this.#filled = 0;
    if (this.#equal.offset === this.heldBytes) this.#decide();
  }

  #decide(): void {
    const rest = this.#block.subarray(0, this.#filled);
    this.#result ??= { start: this.#equal, rest };
  }
}

/** The point from which on a stream is to be sent. */
export interface ComparedPrefix {
  readonly start: HashedPoint;
  /** The bytes of the stream from there on that were taken from stdin already. */
  readonly rest: Uint8Array;
}
