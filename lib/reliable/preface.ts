/**
 * The preface of `--reliable`: what each side says first on each connection, as
 * section 3 of `docs/protocol.md` defines it.
 */

import { DamagedError } from "../base/errors.ts";
import { crc32 } from "./crc32.ts";
import { decodePrintable, getUint64, setUint64, viewOf } from "./wire.ts";

/** The version of the protocol that is spoken here. */
export const PROTOCOL_VERSION = 1;
/** The size of a preface without additions. */
export const PREFACE_BYTES = 56;
/** The largest preface of any version. */
export const MAX_PREFACE_BYTES = 1024;
/** The size of a session id. */
export const SESSION_ID_BYTES = 16;

const ADDITIONS_AT = 52;
const CRC_BYTES = 4;
const MAGIC = Uint8Array.of(0x89, 0x53, 0x50, 0x50, 0x0d, 0x0a, 0x1a, 0x0a);

/** The side that a preface comes from; the number on the wire. */
export const ROLE = { connect: 0, listen: 1 } as const;

/** The flags of a preface. */
export const FLAG = {
  resume: 0x0001,
  digest: 0x0002,
  token: 0x0004,
  held: 0x0008,
  started: 0x0010,
  bound: 0x0020,
  refused: 0x8000,
} as const;
/** The flags that a reader must know or refuse. */
export const MUST_UNDERSTAND = 0x0000ffff;

/** The fields of a preface. */
export interface Preface {
  readonly version: number;
  /** One of {@linkcode ROLE}. */
  readonly role: number;
  /** {@linkcode FLAG}s, or'ed. */
  readonly flags: number;
  /** {@linkcode SESSION_ID_BYTES} bytes. */
  readonly id: Uint8Array;
  /** The offset up to which the other's stream was received. */
  readonly received: number;
  /** The running checksum at that offset; in a refusal the reason. */
  readonly checksum: number;
  /** Bytes on the wire that may be unacknowledged, headers included. */
  readonly window: number;
  /**
   * The longest silence that the sender accepts from the other side, in ms; 0 for
   * no limit.
   */
  readonly patienceMs: number;
  /**
   * The bytes after the fields above; at most {@linkcode MAX_PREFACE_BYTES} -
   * {@linkcode PREFACE_BYTES}.
   */
  readonly additions: Uint8Array;
}

/**
 * Whether the sender of a preface holds the beginning of a stream from an earlier
 * run, and waits to be told by START how much of it is right.
 */
export function awaitsStart({ flags }: Preface): boolean {
  return (flags & FLAG.held) !== 0 && (flags & FLAG.started) === 0;
}

/** Whether its proof covers the key of the listening side. */
export function isBound({ flags }: Preface): boolean {
  return (flags & FLAG.bound) !== 0;
}

/** Makes the bytes of a preface, ready to be sent. */
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

/** Writes the checksum into the last bytes of a preface of any length. */
export function sealPreface(bytes: Uint8Array): void {
  const at = bytes.length - CRC_BYTES;
  viewOf(bytes).setUint32(at, crc32(bytes.subarray(0, at)));
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

  /** Lends room for what is still missing; the same until `filled`. */
  room(): Uint8Array {
    return this.#bytes.subarray(this.#filled, this.#length);
  }

  /**
   * Takes `n` bytes that were put into the room.
   *
   * @returns The preface, once it is complete.
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
      throw unreadable(`its length is "${this.#length}"`);
    }
    if (this.#filled < this.#length) return undefined;
    return decodePreface(this.#bytes.subarray(0, this.#length));
  }

  #checkMagic(): void {
    const length = Math.min(this.#filled, MAGIC.length);
    for (let i = 0; i < length; i++) {
      if (this.#bytes[i] === MAGIC[i]) continue;
      const start = decodePrintable(this.#bytes.subarray(0, this.#filled));
      throw unreadable(
        `it begins with "${start}"; ` +
          "the other side must be sockpipe with --reliable, too",
      );
    }
  }
}

/** @throws {DamagedError} The checksum does not match. */
function decodePreface(bytes: Uint8Array): Preface {
  const view = viewOf(bytes);
  const end = bytes.length - CRC_BYTES;
  if (view.getUint32(end) !== crc32(bytes.subarray(0, end))) {
    throw unreadable("its checksum does not match");
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

function unreadable(why: string): DamagedError {
  return new DamagedError(`Cannot read the peer's preface: ${why}`);
}
