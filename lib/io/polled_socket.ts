/** A connected socket that is read and written by its descriptor. */

import { POLLIN, POLLOUT } from "../base/libc.ts";
import { Descriptor, WOULD_BLOCK } from "./descriptor.ts";
import type { SharedPoll } from "./shared_poll.ts";

/** Reads and writes a socket that somebody else has opened, and closes. */
export class PolledSocket {
  readonly #descriptor: Descriptor;
  readonly #poll: SharedPoll;
  #isReleased = false;

  constructor(poll: SharedPoll, fd: number) {
    this.#descriptor = Descriptor.ofSocket(poll.c, fd);
    this.#poll = poll;
  }

  /**
   * Reads what is there, and waits for it if need be.
   *
   * @returns How many bytes, or `null` at the end.
   * @throws {SystemError} The connection has broken.
   * @throws {Deno.errors.Interrupted} It was released meanwhile.
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
   * @throws As {@linkcode read} does.
   */
  write(bytes: Uint8Array): Promise<number> {
    return this.#repeat(() => this.#descriptor.write(bytes), POLLOUT);
  }

  /** Ends what waits; to be called before the socket is closed. Idempotent. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#poll.release(this.#descriptor.fd);
  }

  async #repeat(call: () => number, events: number): Promise<number> {
    for (;;) {
      await this.#poll.pauseIfOver();
      if (this.#isReleased) {
        throw new Deno.errors.Interrupted("it was closed");
      }
      const count = call();
      if (count !== WOULD_BLOCK) return count;
      await this.#poll.ready(this.#descriptor.fd, events);
    }
  }
}
