/** A stream in memory that gives and takes as many bytes at once as chance has it. */

import type { ReadEach, ReadEnd, Sink, Source } from "../../lib/pipe/duplex.ts";

/** The most that is given or taken at once, in bytes. */
const MOST = 50_000;

/** A queue: bytes that are written to it are read again, with and without promises. */
export class ChanceStream implements Source, Sink {
  readonly #random: () => number;
  readonly #queue: Uint8Array[] = [];
  #hasEnded = false;
  #changed = Promise.withResolvers<void>();
  readonly readEach: ReadEach;

  constructor(random: () => number) {
    this.#random = random;
    this.readEach = (room, take) => this.#readEach(room, take);
  }

  async read(
    into: Uint8Array = new Uint8Array(MOST),
  ): Promise<Uint8Array | null> {
    await this.#untilReadable();
    const first = this.#queue.shift();
    if (first === undefined) return null;
    const count = Math.min(first.length, into.length, this.#draw(1));
    into.set(first.subarray(0, count));
    if (count < first.length) this.#queue.unshift(first.subarray(count));
    return into.subarray(0, count);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.#put(bytes);
    return Promise.resolve();
  }

  writeNow(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.#draw(0));
    if (count > 0) this.#put(bytes.subarray(0, count));
    return count;
  }

  end(): Promise<void> {
    this.#hasEnded = true;
    this.#notify();
    return Promise.resolve();
  }

  async #readEach(
    ...[room, take]: Parameters<ReadEach>
  ): Promise<ReadEnd> {
    for (;;) {
      await this.#untilReadable();
      const into = room();
      if (into === undefined) return "full";
      const bytes = await this.read(into);
      if (bytes === null) return "ended";
      take(bytes);
    }
  }

  async #untilReadable(): Promise<void> {
    while (this.#queue.length === 0 && !this.#hasEnded) {
      await this.#changed.promise;
    }
  }

  #put(bytes: Uint8Array): void {
    this.#queue.push(bytes.slice());
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #draw(least: number): number {
    return this.#random() < 0.3
      ? least
      : Math.floor(this.#random() * MOST) + least;
  }
}
