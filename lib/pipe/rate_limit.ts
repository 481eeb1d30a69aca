/**
 * `--limit-rate`: an end with a limited rate.
 *
 * It sits beside the socket, so that it works whatever stdin and stdout are moved
 * by, and so that the peer is slowed down by TCP itself.
 */

import { delay } from "@std/async/delay";
import { type Duplex, type Sink, type Source, withStreams } from "./duplex.ts";

/** The size of one read when nobody lends room, in bytes. */
const OWN_ROOM_BYTES = 65536;

/** The size of one slice, as the time that it stands for, in ms. */
const SLICE_MS = 25;

/**
 * The most of the time lost by a stalled pipe or a late timer that is made up for,
 * in ms. With one slice this is the largest burst: 225 ms' worth.
 */
const MAX_LAG_MS = 200;

/**
 * Limits the rate of an end, each direction for itself.
 *
 * @param inner A connection.
 * @param bytesPerSecond At least 1.
 * @returns An end like `inner`, which is closed with it. After that, a read or write
 * that waits for its time rejects when that has come, a second later at most.
 */
export function limitRate(inner: Duplex, bytesPerSecond: number): Duplex {
  return withStreams(inner, {
    source: limitedSource(inner.source, new RateLimiter(bytesPerSecond)),
    sink: limitedSink(inner.sink, new RateLimiter(bytesPerSecond)),
  });
}

/** The rate limit of one direction. */
export class RateLimiter {
  /** The most bytes that may go at once; at least 1. */
  readonly sliceBytes: number;
  readonly #bytesPerMs: number;
  /** The time at which the bytes so far have had theirs, as `performance.now()`. */
  #paidUntil = performance.now();

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.sliceBytes = Math.max(1, Math.floor(this.#bytesPerMs * SLICE_MS));
  }

  /** Waits until the time that this many bytes take is over. */
  async wait(bytes: number): Promise<void> {
    const now = performance.now();
    this.#paidUntil = Math.max(this.#paidUntil, now - MAX_LAG_MS) +
      bytes / this.#bytesPerMs;
    // Less than a timer can wait for is made up for by the next.
    if (this.#paidUntil - now < 1) return;
    await delay(this.#paidUntil - now);
  }
}

function limitedSink(inner: Sink, limiter: RateLimiter): Sink {
  return {
    async write(bytes) {
      for (let at = 0; at < bytes.length; at += limiter.sliceBytes) {
        const slice = bytes.subarray(at, at + limiter.sliceBytes);
        await limiter.wait(slice.length);
        await inner.write(slice);
      }
    },
    end: () => inner.end(),
  };
}

function limitedSource(inner: Source, limiter: RateLimiter): Source {
  /** Room for a slice, so that no more than that is taken from the peer. */
  let room: Uint8Array | undefined;
  /** Bytes that the source gave in one piece beyond a slice. */
  let rest: Uint8Array = new Uint8Array();
  return {
    async read(into) {
      if (rest.length === 0) {
        const lent = into ?? (room ??= new Uint8Array(OWN_ROOM_BYTES));
        const bytes = await inner.read(lent.subarray(0, limiter.sliceBytes));
        if (bytes === null) return null;
        rest = bytes;
      }
      const slice = rest.subarray(0, limiter.sliceBytes);
      rest = rest.subarray(slice.length);
      await limiter.wait(slice.length);
      return slice;
    },
  };
}
