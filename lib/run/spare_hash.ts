/**
 * The SHA-256 of a file that is written, made meanwhile, as long as the transfer does
 * not wait for it: on a line that is nearly as fast as hashing it is given up.
 */

import { createHash, type Hash } from "node:crypto";

/** The bytes between two looks at the time that it takes. */
const SPAN_BYTES = 64 * 1024 * 1024;
/**
 * The largest share of the time that it may take. On a line that is slower than this
 * thread so much is spare; at full speed, over loopback, it took 0.34 to 0.55.
 */
const MOST_SHARE = 0.3;

/** A SHA-256 that is given up when making it takes too large a share of the time. */
export class SpareHash {
  readonly #now: () => number;
  #hash: Hash | undefined = createHash("sha256");
  // Of the present span:
  #startedAt = 0;
  #bytes = 0;
  #ms = 0;

  /** @param now A clock, in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Hashes the next bytes, unless the hash was given up. */
  update(bytes: Uint8Array): void {
    if (this.#hash === undefined) return;
    const before = this.#now();
    if (this.#bytes === 0) this.#startedAt = before;
    this.#hash.update(bytes);
    const now = this.#now();
    this.#ms += now - before;
    this.#bytes += bytes.length;
    if (this.#bytes < SPAN_BYTES) return;
    const isSlow = this.#ms > MOST_SHARE * (now - this.#startedAt);
    if (isSlow) this.#hash = undefined;
    this.#bytes = this.#ms = 0;
  }

  /** Ends the hash. Call it once. @returns It in hex; `undefined` when given up. */
  digest(): string | undefined {
    return this.#hash?.digest("hex");
  }
}
