/**
 * One wait for all descriptors of a run whose streams are read and written one by
 * one, as those of `--reliable` are: most of the time what is waited for is there
 * within microseconds, and then no other thread has to be asked.
 */

import { type LibC, POLLIN, POLLOUT } from "../base/libc.ts";
import { BUSY_POLLS, PollSet, TimeSlice } from "../base/poll.ts";

/** The turns of microtasks before each poll, in which promises go on. */
const MICROTASK_TURNS = 2;
/**
 * The number of busy polls after a long wait, as many turns as promises that are
 * under way need; and while somebody waits for room to write, as the reader who makes
 * it needs the processor.
 */
const FEW_BUSY_POLLS = 16;
/** The longest sleep of this thread before another one waits, in ms. */
const SLEEP_MS = 5;
/** After a wait shorter than this the next one begins with many busy polls, in ms. */
const SHORT_WAIT_MS = 1;

interface Waiter {
  readonly fd: number;
  readonly events: number;
  readonly act: () => void;
  /** The place in the set; -1 until it was asked about. */
  place: number;
}

/** One wait for any number of descriptors, shared by any number of callers. */
export class SharedPoll implements AsyncDisposable {
  /** The C library that it asks. */
  readonly c: LibC;
  readonly #set: PollSet;
  readonly #slice: TimeSlice;
  /** A pipe that ends the wait of another thread when something is written to it. */
  readonly #wakePipe = new Int32Array([-1, -1]);
  #waiters: Waiter[] = [];
  /** Whether the set has to be filled again, as {@linkcode #waiters} has changed. */
  #hasChanged = true;
  #expectsShort = true;
  /** Whether anybody waits to write. */
  #awaitsRoom = false;
  #loop: Promise<void> | undefined;
  /** Whether another thread waits. */
  #isElsewhere = false;
  #isOver = false;

  private constructor(c: LibC) {
    this.c = c;
    this.#set = new PollSet(c);
    this.#slice = new TimeSlice(c);
  }

  /**
   * Opens one; the caller's to dispose of, once all that uses it is closed.
   *
   * @returns `undefined` elsewhere than on Linux, and where no descriptor is left.
   */
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
   * disposed of; which of them, the next call on the descriptor tells.
   *
   * @param events POLLIN or POLLOUT.
   */
  ready(fd: number, events: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whenReady(fd, events, resolve);
    return promise;
  }

  /**
   * Calls `act` once, when {@linkcode ready} would resolve, but before all promises;
   * at once when this was disposed of.
   *
   * @param act Must not throw.
   */
  whenReady(fd: number, events: number, act: () => void): void {
    if (this.#isOver) return act();
    this.#waiters.push({ fd, events, act, place: -1 });
    this.#hasChanged = true;
    if (this.#isElsewhere) this.#wake();
    this.#loop ??= this.#run();
  }

  /** Ends all waits for a descriptor, which may be closed then. */
  release(fd: number): void {
    this.#end((waiter) => waiter.fd === fd);
    // The system keeps open what another thread waits for.
    if (this.#isElsewhere) this.#wake();
  }

  /** Gives the event loop a turn, when that is due. */
  pauseIfOver(): Promise<void> {
    return this.#slice.pauseIfOver();
  }

  /** Ends all waits, that of another thread as well. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#end(() => true);
    if (this.#isElsewhere) this.#wake();
    await this.#loop;
    for (const fd of this.#wakePipe) if (fd >= 0) this.c.close(fd);
    this.#wakePipe.fill(-1);
  }

  async #run(): Promise<void> {
    for (let polls = 0;; polls++) {
      // Whoever can go on does so first, until it waits again; signals and timers
      // have a turn now and then.
      for (let turn = 0; turn < MICROTASK_TURNS; turn++) await undefined;
      if (this.#slice.isOver(performance.now())) {
        await this.#slice.pauseIfOver();
      }
      if (this.#waiters.length === 0) break;
      if (this.#hasChanged) this.#fillSet();
      const hasHappened = this.#set.wait(0);
      if (!hasHappened && polls < this.#maxPolls) {
        this.c.sched_yield();
        continue;
      }
      if (!hasHappened && !this.#sleep()) await this.#waitElsewhere();
      this.#end(({ place }) => place >= 0 && this.#set.happened(place) !== 0);
      polls = 0;
    }
    this.#loop = undefined;
  }

  /** The number of busy polls before a sleep. */
  get #maxPolls(): number {
    const isBusy = this.#expectsShort && !this.#awaitsRoom;
    return isBusy ? BUSY_POLLS : FEW_BUSY_POLLS;
  }

  /** Sleeps, if that will not be for long. @returns Whether something has happened. */
  #sleep(): boolean {
    return this.#expectsShort && this.#set.wait(SLEEP_MS);
  }

  /** Fills the set: the pipe, and then all who wait. */
  #fillSet(): void {
    this.#hasChanged = false;
    const [end = -1] = this.#wakePipe;
    this.#set.clear();
    this.#set.add(end, POLLIN);
    for (const waiter of this.#waiters) {
      waiter.place = this.#set.add(waiter.fd, waiter.events);
    }
    this.#awaitsRoom = this.#waiters.some(({ events }) => events === POLLOUT);
  }

  async #waitElsewhere(): Promise<void> {
    const before = performance.now();
    this.#isElsewhere = true;
    await this.#set.waitAsync(-1);
    this.#slice.restart();
    this.#isElsewhere = false;
    this.#expectsShort = performance.now() - before < SHORT_WAIT_MS;
    const [end = -1] = this.#wakePipe;
    const room = new Uint8Array(64);
    while (this.c.read(end, room, BigInt(room.length)) === room.length);
  }

  /** Ends the waits that are due, in their order. */
  #end(isDue: (waiter: Waiter) => boolean): void {
    const due = this.#waiters.filter(isDue);
    if (due.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    this.#hasChanged = true;
    for (const { act } of due) act();
  }

  #wake(): void {
    this.c.write(this.#wakePipe[1] ?? -1, new Uint8Array(1), 1n);
  }
}
