/** A descriptor that is read and written as one of many that wait together. */

import { POLLIN, POLLOUT } from "../base/libc.ts";
import type { ReadEach, ReadEnd } from "../pipe/duplex.ts";
import { type Descriptor, WOULD_BLOCK } from "./descriptor.ts";
import type { SharedPoll } from "./shared_poll.ts";

/** A counter of the waits for something to read. */
export interface ReadWait {
  begin(): void;
  end(): void;
}

/** A descriptor whose waits a {@linkcode SharedPoll} does; its owner closes it. */
export class PolledDescriptor {
  readonly #descriptor: Descriptor;
  readonly #poll: SharedPoll;
  #isReleased = false;

  constructor(poll: SharedPoll, descriptor: Descriptor) {
    this.#descriptor = descriptor;
    this.#poll = poll;
  }

  /**
   * Reads at least one byte, for which it waits if need be.
   *
   * @returns How many bytes, or `null` at the end.
   * @throws {SystemError} It cannot be read; of a socket: the connection has broken.
   * @throws {Deno.errors.Interrupted} It was released.
   */
  async read(into: Uint8Array): Promise<number | null> {
    const count = await this.#repeat(
      () => this.#descriptor.read(into),
      POLLIN,
    );
    return count === 0 ? null : count;
  }

  /**
   * Writes as much as there is room for, and waits for some if need be.
   *
   * @returns How many bytes, at least 1.
   * @throws {SystemError} It cannot be written.
   * @throws {Deno.errors.Interrupted} It was released.
   */
  write(bytes: Uint8Array): Promise<number> {
    return this.#repeat(() => this.#descriptor.write(bytes), POLLOUT);
  }

  /**
   * Reads on as {@linkcode ReadEach} does.
   *
   * @param failed Makes the error to throw of one that {@linkcode read} would throw.
   * @param wait Told of each wait for something to read.
   */
  readEach(
    [room, take]: Parameters<ReadEach>,
    failed: (cause: unknown) => Error,
    wait?: ReadWait,
  ): Promise<ReadEnd> {
    const { promise, resolve, reject } = Promise.withResolvers<ReadEnd>();
    // One read for each wait: so all that wait have their turn, and most reads of
    // messages need no other one that finds nothing.
    const step = () => {
      wait?.end();
      try {
        const into = room();
        if (into === undefined) return resolve("full");
        const count = this.#readNow(into, failed);
        if (count === 0) return resolve("ended");
        if (count !== WOULD_BLOCK) take(into.subarray(0, count));
        wait?.begin();
        this.#poll.whenReady(this.#descriptor.fd, POLLIN, step);
      } catch (error) {
        reject(error);
      }
    };
    step();
    return promise;
  }

  /**
   * Writes as much as there is room for.
   *
   * @returns How many bytes; 0 when there is no room, or it was released.
   * @throws {SystemError} It cannot be written.
   */
  writeNow(bytes: Uint8Array): number {
    if (this.#isReleased) return 0;
    const count = this.#descriptor.write(bytes);
    return count === WOULD_BLOCK ? 0 : count;
  }

  /** Ends all waits for it; to be called before it is closed. Idempotent. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#poll.release(this.#descriptor.fd);
  }

  #readNow(into: Uint8Array, failed: (cause: unknown) => Error): number {
    try {
      this.#throwIfReleased();
      return this.#descriptor.read(into);
    } catch (error) {
      throw failed(error);
    }
  }

  #throwIfReleased(): void {
    if (this.#isReleased) throw new Deno.errors.Interrupted("it was closed");
  }

  async #repeat(call: () => number, events: number): Promise<number> {
    for (;;) {
      await this.#poll.pauseIfOver();
      this.#throwIfReleased();
      const count = call();
      if (count !== WOULD_BLOCK) return count;
      await this.#poll.ready(this.#descriptor.fd, events);
    }
  }
}
