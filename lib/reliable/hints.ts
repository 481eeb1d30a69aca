/**
 * The hints that the two sides of a session give each other, as section 6 of
 * `docs/protocol.md` has them: SIZE and WAITED. Nothing else depends on them.
 */

import type { WaitedMs } from "../pipe/traffic.ts";
import {
  decodeWaited,
  encodeControl,
  encodeWaited,
  FRAME,
  type Frame,
} from "./wire.ts";

/** The shortest pause between two WAITED, but for the last, in ms. */
const WAITED_EVERY_MS = 1000;

/** The hints of both sides. SIZE is given once on each connection. */
export class Hints {
  /** The length of our own stream, in bytes, if it is known. */
  size: number | undefined;
  /** Adds up how long this side has waited. */
  waited: (() => WaitedMs) | undefined;
  #sizeSentHere = false;
  /** The time of the last WAITED, else of the connection, as `performance.now()`. */
  #waitedAt = 0;
  #lastWaitedSentHere = false;
  #peerSize: number | undefined;
  #peerWaited: WaitedMs | undefined;

  /** The length that the peer expects its stream to have, in bytes. */
  get peerSize(): number | undefined {
    return this.#peerSize;
  }

  /** The waits of the peer, as it has told them last. */
  get peerWaited(): WaitedMs | undefined {
    return this.#peerWaited;
  }

  /** Begins a connection. @param now As `performance.now()`, in ms. */
  begin(now: number): void {
    this.#sizeSentHere = false;
    this.#waitedAt = now;
    this.#lastWaitedSentHere = false;
  }

  /** Gives out SIZE, if it is due. */
  takeSize(): Uint8Array | undefined {
    if (this.size === undefined || this.#sizeSentHere) return undefined;
    this.#sizeSentHere = true;
    return encodeControl(FRAME.size, { offset: this.size });
  }

  /** Gives out WAITED, unless the last one was within a second. */
  takeWaited(now: number): Uint8Array | undefined {
    if (now - this.#waitedAt < WAITED_EVERY_MS) return undefined;
    this.#waitedAt = now;
    return this.#encodeWaited();
  }

  /** Gives out the last WAITED of a connection, once. */
  takeLastWaited(): Uint8Array | undefined {
    if (this.#lastWaitedSentHere) return undefined;
    this.#lastWaitedSentHere = true;
    return this.#encodeWaited();
  }

  #encodeWaited(): Uint8Array | undefined {
    if (this.waited === undefined) return undefined;
    const payload = encodeWaited(this.waited());
    return encodeControl(FRAME.waited, { payload });
  }

  /** Takes a frame of the peer; one that is no hint is skipped. */
  handle({ type, offset, payload }: Frame): void {
    if (type === FRAME.size) this.#peerSize ??= offset;
    if (type === FRAME.waited) this.#peerWaited = decodeWaited(payload);
  }
}
