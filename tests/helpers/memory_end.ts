/** An end of a pipe in memory, whose other side is the test. */

import { BrokenError } from "../../lib/base/errors.ts";
import type { LocalEnd } from "../../lib/pipe/pipe.ts";
import type { Sink, Source } from "../../lib/pipe/duplex.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What the test has put in and the pipe has not read. */
type Item = Uint8Array | null | Error;

export class MemoryEnd implements LocalEnd {
  readonly source: Source = { read: () => this.#read() };
  readonly sink: Sink = {
    write: (bytes) => this.#write(bytes),
    end: () => Promise.resolve(void this.#seen("end")),
  };
  sends = true;
  endsWithPeer = false;
  gone?: Promise<void>;
  /** What was written, and `end`, `close` and `abort`, in their order. */
  readonly seen: string[] = [];
  readonly #items: Item[] = [];
  #filled = Promise.withResolvers<void>();
  #changed = Promise.withResolvers<void>();
  #refusal: Error | undefined;

  /** Has something to send. */
  say(text: string): void {
    this.#put(encoder.encode(text));
  }

  /** Has nothing more to send. */
  finish(): void {
    this.#put(null);
  }

  /** Breaks, once what was said is read. */
  break(): void {
    this.#put(new BrokenError(`Cannot receive: reset`));
  }

  /** Takes nothing more. */
  refuse(error: Error = new BrokenError("Cannot send: reset")): void {
    this.#refusal = error;
  }

  /** Waits until this has been seen. */
  async sees(...expected: readonly string[]): Promise<void> {
    while (this.seen.length < expected.length) {
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  close(): void {
    this.#seen("close");
  }

  abort(): void {
    this.#seen("abort");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #put(item: Item): void {
    this.#items.push(item);
    this.#filled.resolve();
  }

  #seen(what: string): void {
    this.seen.push(what);
    this.#changed.resolve();
  }

  async #read(): Promise<Uint8Array | null> {
    for (;;) {
      const item = this.#items.shift();
      if (item instanceof Error) throw item;
      if (item !== undefined) return item;
      this.#filled = Promise.withResolvers();
      await this.#filled.promise;
    }
  }

  #write(bytes: Uint8Array): Promise<void> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    this.#seen(decoder.decode(bytes));
    return Promise.resolve();
  }
}
