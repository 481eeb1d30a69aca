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

/** The hints of both sides. Each of ours is given once on each connection. */
export class Hints {
  /** The length of our own stream, in bytes, if it is known. */
  size: number | undefined;
  /** Adds up how long this side has waited, for the end. */
  waited: (() => WaitedMs) | undefined;
  #sizeSentHere = false;
  #waitedSentHere = false;
  #peerSize: number | undefined;
  #peerWaited: WaitedMs | undefined;

  /** The length that the peer expects its stream to have, in bytes. */
  get peerSize(): number | undefined {
    return this.#peerSize;
  }

  /** The waiting times that the peer has told at the end. */
  get peerWaited(): WaitedMs | undefined {
    return this.#peerWaited;
  }

  /** Begins a connection. */
  begin(): void {
    this.#sizeSentHere = false;
    this.#waitedSentHere = false;
  }

  /** Gives out SIZE, if it is due. */
  takeSize(): Uint8Array | undefined {
    if (this.size === undefined || this.#sizeSentHere) return undefined;
    this.#sizeSentHere = true;
    return encodeControl(FRAME.size, { offset: this.size });
  }

  /** Gives out WAITED, if it is due. */
  takeWaited(): Uint8Array | undefined {
    if (this.waited === undefined || this.#waitedSentHere) return undefined;
    this.#waitedSentHere = true;
    const payload = encodeWaited(this.waited());
    return encodeControl(FRAME.waited, { payload });
  }

  /** Takes a frame of the peer; one that is no hint is skipped. */
  handle({ type, offset, payload }: Frame): void {
    if (type === FRAME.size) this.#peerSize ??= offset;
    if (type === FRAME.waited) this.#peerWaited = decodeWaited(payload);
  }
}
