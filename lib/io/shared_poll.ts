/**
 * One wait for all descriptors of a run whose streams are read and written one by
 * one, as those of `--reliable` are: most of the time what is waited for is there
 * within microseconds, and then no other thread has to be asked.
 */

import { type LibC, POLLIN } from "../base/libc.ts";
import { PollSet, TimeSlice } from "../base/poll.ts";

/** The steps of promises that are enough, from an event to the next wait for one. */
const STEPS = 32;

interface Waiter {
  readonly fd: number;
  readonly events: number;
  readonly resolve: () => void;
}

/** Waits for any number of descriptors, for any number of callers. */
export class SharedPoll implements AsyncDisposable {
  /** The C library that it asks. */
  readonly c: LibC;
  readonly #set: PollSet;
  readonly #slice: TimeSlice;
  /** A pipe that ends the wait of another thread when something is written to it. */
  readonly #wakePipe = new Int32Array([-1, -1]);
  #waiters: Waiter[] = [];
  #loop: Promise<void> | undefined;
  #isElsewhere = false;
  #isOver = false;

  private constructor(c: LibC) {
    this.c = c;
    this.#set = new PollSet(c);
    this.#slice = new TimeSlice(c);
  }

  /** @returns `undefined` where it cannot be had: not on Linux, no descriptor left. */
  static open(c: LibC): SharedPoll | undefined {
    const poll = new SharedPoll(c);
    const bytes = new Uint8Array(poll.#wakePipe.buffer);
    const { O_CLOEXEC, O_NONBLOCK } = c.system;
    return c.linux?.pipe2(bytes, O_CLOEXEC | O_NONBLOCK) === 0
      ? poll
      : undefined;
  }

  /**
   * Waits until a descriptor is ready, has failed or is released, or this is
   * disposed of.
   *
   * @param events POLLIN or POLLOUT.
   */
  ready(fd: number, events: number): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ fd, events, resolve });
    if (this.#isElsewhere) this.#wake();
    this.#loop ??= this.#run();
    return promise;
  }

  /** Ends all waits for a descriptor, which may be closed then. */
  release(fd: number): void {
    this.#resolve((waiter) => waiter.fd === fd);
    // The system keeps open what another thread waits for.
    if (this.#isElsewhere) this.#wake();
  }

  /** Gives the event loop a turn, when that is due. */
  async pauseIfOver(): Promise<void> {
    await this.#slice.pauseIfOver();
  }

  /** Ends all waits, that of another thread as well. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#resolve(() => true);
    if (this.#isElsewhere) this.#wake();
    await this.#loop;
    for (const fd of this.#wakePipe) if (fd >= 0) this.c.close(fd);
    this.#wakePipe.fill(-1);
  }

  async #run(): Promise<void> {
    for (;;) {
      // Whoever can go on does so first, until it waits again; signals and timers
      // have a turn now and then.
      for (let step = 0; step < STEPS; step++) await undefined;
      await this.#slice.pauseIfOver();
      if (this.#waiters.length === 0) break;
      const asked = this.#ask();
      if (!this.#set.waitAwake(0)) await this.#waitElsewhere();
      this.#resolve((waiter) => {
        const place = asked.indexOf(waiter);
        return place >= 0 && this.#set.happened(place + 1) !== 0;
      });
    }
    this.#loop = undefined;
  }

  /** Fills the set: the pipe, and then all who wait. */
  #ask(): readonly Waiter[] {
    const asked = this.#waiters;
    const [end = -1] = this.#wakePipe;
    this.#set.clear();
    this.#set.add(end, POLLIN);
    for (const { fd, events } of asked) this.#set.add(fd, events);
    return asked;
  }

  async #waitElsewhere(): Promise<void> {
    this.#isElsewhere = true;
    await this.#set.waitAsync(-1);
    this.#slice.restart();
    this.#isElsewhere = false;
    const [end = -1] = this.#wakePipe;
    const room = new Uint8Array(64);
    while (this.c.read(end, room, BigInt(room.length)) === room.length);
  }

  #resolve(isDue: (waiter: Waiter) => boolean): void {
    const due = this.#waiters.filter(isDue);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { resolve } of due) resolve();
  }

  #wake(): void {
    this.c.write(this.#wakePipe[1] ?? -1, new Uint8Array(1), 1n);
  }
}
