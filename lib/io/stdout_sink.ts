/** stdout as a sink, by its descriptor. */

import { delay } from "@std/async/delay";
import { writeAll } from "../base/bytes.ts";
import { type LibC, POLLOUT } from "../base/libc.ts";
import { AsyncPoll, PollSet, TimeSlice } from "../base/poll.ts";
import type { Sink } from "../pipe/duplex.ts";
import type { WaitTimes } from "../pipe/traffic.ts";
import { closeStdout } from "./close_stdout.ts";
import { Descriptor, WOULD_BLOCK } from "./descriptor.ts";
import { READER_GRACE_MS, stdoutError } from "./local_errors.ts";
import type { SharedPoll } from "./shared_poll.ts";

/** stdout, written to as far as it has room, and else on another thread. */
export class StdoutSink implements Sink, Disposable {
  readonly failed: Promise<never>;
  readonly #c: LibC;
  readonly #descriptor: Descriptor | undefined;
  readonly #waits: AsyncPoll;
  readonly #poll: SharedPoll | undefined;
  readonly #slice: TimeSlice;
  readonly #isLast: () => boolean;
  readonly #waited: WaitTimes | undefined;
  readonly #fail: (error: Error) => void;
  #isEnded = false;

  /**
   * @param isLast Whether the process ends as soon as stdout has ended.
   * @param waited Counts the waits for stdout.
   * @param poll Shared with other descriptors; disposed of by the caller, after this.
   */
  constructor(
    c: LibC,
    isLast: () => boolean,
    waited?: WaitTimes,
    poll?: SharedPoll,
  ) {
    this.#c = c;
    this.#poll = poll;
    this.#descriptor = Descriptor.ofGiven(c, 1, "write");
    this.#waits = new AsyncPoll(c);
    this.#slice = new TimeSlice(c);
    this.#isLast = isLast;
    this.#waited = waited;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
    if (this.#descriptor !== undefined) this.#watch(this.#descriptor);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) {
      throw stdoutError(new Error("bad file descriptor"));
    }
    try {
      await writeAll({ write: (rest) => this.#write(descriptor, rest) }, bytes);
    } catch (error) {
      throw stdoutError(error);
    }
    descriptor.countMoved(bytes.length);
  }

  writeNow(bytes: Uint8Array): number {
    const descriptor = this.#descriptor;
    const canWrite = descriptor?.isNonBlocking === true && !this.#isEnded;
    if (!canWrite) return 0;
    try {
      const count = descriptor.write(bytes);
      if (count === WOULD_BLOCK) return 0;
      descriptor.countMoved(count);
      return count;
    } catch (error) {
      throw stdoutError(error);
    }
  }

  end(): Promise<void> {
    if (!this.#isEnded && !this.#isLast()) closeStdout(this.#c);
    this.#isEnded = true;
    this[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    if (this.#descriptor !== undefined) {
      this.#poll?.release(this.#descriptor.fd);
    }
    this.#descriptor?.close();
  }

  /**
   * Writes once, or waits until there is room.
   *
   * @returns How many bytes were written; 0 when it has waited.
   */
  async #write(descriptor: Descriptor, bytes: Uint8Array): Promise<number> {
    await this.#slice.pauseIfOver();
    if (!descriptor.isNonBlocking) {
      this.#waited?.begin("stdout");
      const count = await this.#writeElsewhere(descriptor, bytes);
      this.#waited?.end("stdout");
      if (count > 0) return count;
    }
    const count = descriptor.write(bytes);
    if (count !== WOULD_BLOCK) return count;
    this.#waited?.begin("stdout");
    await (this.#poll ?? this.#waits).ready(descriptor.fd, POLLOUT);
    this.#slice.restart();
    this.#waited?.end("stdout");
    if (this.#waits.isOver) throw new Error("it was closed");
    return 0;
  }

  /**
   * Writes on another thread, where a write may have to wait.
   *
   * @returns -1 when it failed; why, the next call will tell.
   */
  #writeElsewhere(descriptor: Descriptor, bytes: Uint8Array): Promise<number> {
    return this.#c.writeAsync(
      descriptor.fd,
      new Uint8Array(bytes),
      BigInt(bytes.length),
    );
  }

  /** Watches for the reader to leave, also while there is nothing to write. */
  async #watch(descriptor: Descriptor): Promise<void> {
    const { fd, kind } = descriptor;
    if (kind !== "pipe" && kind !== "socket") return;
    const set = new PollSet(this.#c);
    const place = set.add(fd, 0);
    while (set.happened(place) === 0) {
      await this.#waits.wait(set);
      if (this.#waits.isOver) return;
    }
    if (!descriptor.tellsReaderLeft(set.happened(place))) return;
    await delay(READER_GRACE_MS);
    if (this.#isEnded || this.#waits.isOver) return;
    this.#fail(stdoutError(new Deno.errors.BrokenPipe()));
  }
}
