/** poll(2): waiting for many descriptors at once. */

import {
  FIOCLEX,
  type LibC,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
} from "./libc.ts";

/**
 * The pause before macOS is asked once more about descriptors that nothing is
 * wanted from, in ms: its poll(2) tells of no failure or hang-up unless it is asked
 * for something.
 */
const LOOK_AGAIN_MS = 200;

/** The events that are asked for, in the second word of struct pollfd. */
const EVENTS = 0xffff;

/** The number of busy polls before this thread sleeps: some 100 µs of them. */
export const BUSY_POLLS = 64;
/** After a sleep shorter than this the next wait begins with busy polls, in ms. */
const SHORT_SLEEP_MS = 0.15;

/** The slots of one call: which descriptors are asked about, and for what. */
export class PollSet {
  readonly #c: LibC;
  /** struct pollfd: the number; what is asked for and what is so, 16 bits each. */
  #slots = new Int32Array(16);
  #bytes = new Uint8Array(this.#slots.buffer);
  /** The number of places. */
  size = 0;
  /** Whether the last wait was so short that the next is expected to be. */
  #expectsShort = true;

  constructor(c: LibC) {
    this.#c = c;
  }

  /** Forgets all descriptors. */
  clear(): void {
    this.size = 0;
  }

  /**
   * Asks about a descriptor in the next call.
   *
   * @param events POLLIN, POLLOUT or both; with 0 only a failure or a hang-up is
   * told.
   * @returns Its place, for {@linkcode happened}.
   */
  add(fd: number, events: number): number {
    const at = this.size * 2;
    if (at === this.#slots.length) {
      const larger = new Int32Array(at * 2);
      larger.set(this.#slots);
      this.#slots = larger;
      this.#bytes = new Uint8Array(larger.buffer);
    }
    this.#slots[at] = fd;
    this.#slots[at + 1] = events;
    return this.size++;
  }

  /** Asks about a descriptor at a place that was added before; see {@linkcode add}. */
  replace(place: number, fd: number, events: number): void {
    this.#slots[place * 2] = fd;
    this.#slots[place * 2 + 1] = events;
  }

  /** Reads what has happened at a place: bits of POLLIN, POLLOUT, POLLERR, POLLHUP. */
  happened(place: number): number {
    return (this.#slots[place * 2 + 1] ?? 0) >>> 16;
  }

  /**
   * Blocks this thread until something has happened, a signal came, or the time
   * is over; on macOS, maybe sooner.
   *
   * @param limitMs -1 for no limit.
   * @returns Whether something has happened; false also when the call fails.
   */
  wait(limitMs: number): boolean {
    const quiet = this.#quietPlaces();
    const most = mostMs(limitMs, quiet);
    const count = this.#c.poll(this.#bytes, BigInt(this.size), most);
    return count > 0 || this.#lookAt(quiet);
  }

  /**
   * Waits as {@linkcode wait} does, but polls for some 100 µs before it sleeps when the
   * last wait was as short: to wake a sleeping processor takes longer than all else
   * in an exchange of messages. Other threads get this processor meanwhile.
   */
  waitAwake(limitMs: number): boolean {
    if (this.#expectsShort) {
      for (let polls = 0; polls < BUSY_POLLS; polls++) {
        if (this.wait(0)) return true;
        this.#c.sched_yield();
      }
    }
    const before = performance.now();
    const hasHappened = this.wait(limitMs);
    this.#expectsShort = performance.now() - before < SHORT_SLEEP_MS;
    return hasHappened;
  }

  /** Waits as {@linkcode wait} does, but blocks no thread of JavaScript. */
  async waitAsync(limitMs: number): Promise<boolean> {
    const quiet = this.#quietPlaces();
    const most = mostMs(limitMs, quiet);
    const size = BigInt(this.size);
    const count = await this.#c.pollAsync(this.#bytes, size, most);
    return count > 0 || this.#lookAt(quiet);
  }

  /** Lists the places of which the system tells nothing by itself: none on Linux. */
  #quietPlaces(): readonly number[] {
    if (this.#c.linux !== undefined) return NO_PLACES;
    const quiet: number[] = [];
    for (let place = 0; place < this.size; place++) {
      const [fd = -1, events = 0] = this.#slots.subarray(place * 2);
      if (fd >= 0 && (events & EVENTS) === 0) quiet.push(place);
    }
    return quiet;
  }

  /** Looks once for failures and hang-ups there; whether there is one. */
  #lookAt(places: readonly number[]): boolean {
    if (places.length === 0) return false;
    const slots = new Int32Array(
      places.flatMap((place) => [this.#slots[place * 2] ?? -1, POLLOUT]),
    );
    this.#c.poll(new Uint8Array(slots.buffer), BigInt(places.length), 0);
    let isAny = false;
    for (const [index, place] of places.entries()) {
      const lost = (slots[index * 2 + 1] ?? 0) >>> 16 & (POLLERR | POLLHUP);
      this.#slots[place * 2 + 1] = lost << 16;
      if (lost !== 0) isAny = true;
    }
    return isAny;
  }
}

const NO_PLACES: readonly number[] = [];

function mostMs(limitMs: number, quiet: readonly number[]): number {
  if (quiet.length === 0) return limitMs;
  return limitMs < 0 ? LOOK_AGAIN_MS : Math.min(limitMs, LOOK_AGAIN_MS);
}

/**
 * The longest wait of an {@linkcode AsyncPoll} that has no pipe to end it with, in
 * ms.
 */
const BLIND_MS = 100;

/**
 * Waits on other threads. Disposing of it ends all waits.
 *
 * Each wait occupies a thread of the runtime's pool until something has happened
 * or this is disposed of.
 */
export class AsyncPoll implements Disposable {
  readonly #c: LibC;
  /** A pipe that nobody ever reads from: written to once, to end all waits. */
  readonly #fds = new Int32Array([-1, -1]);
  #waits = 0;
  #isOver = false;

  constructor(c: LibC) {
    this.#c = c;
    const bytes = new Uint8Array(this.#fds.buffer);
    if (c.linux !== undefined) c.linux.pipe2(bytes, c.system.O_CLOEXEC);
    else if (c.pipe(bytes) === 0) {
      for (const fd of this.#fds) c.ioctl(fd, FIOCLEX);
    }
  }

  /** Whether it was disposed of. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Waits until something has happened in a set, the time is over, this was
   * disposed of, or sometimes earlier.
   *
   * @param set Not to be touched meanwhile.
   * @param limitMs -1 for no limit.
   */
  async wait(set: PollSet, limitMs = -1): Promise<void> {
    if (this.#isOver) return;
    const [end = -1] = this.#fds;
    const places = set.size;
    set.add(end, POLLIN);
    // Where no descriptor is left for a pipe, it is asked from time to time.
    const isLimited = end < 0 && (limitMs < 0 || limitMs > BLIND_MS);
    this.#waits++;
    try {
      await set.waitAsync(isLimited ? BLIND_MS : limitMs);
    } finally {
      set.size = places;
      this.#waits--;
      if (this.#isOver) this.#close();
    }
  }

  /** Waits for one descriptor; see {@linkcode wait}. */
  async ready(fd: number, events: number, limitMs = -1): Promise<void> {
    const set = new PollSet(this.#c);
    set.add(fd, events);
    await this.wait(set, limitMs);
  }

  /** Ends all waits. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#waits > 0) {
      this.#c.write(this.#fds[1] ?? -1, new Uint8Array(1), 1n);
    }
    this.#close();
  }

  #close(): void {
    if (this.#waits > 0) return;
    for (const fd of this.#fds) if (fd >= 0) this.#c.close(fd);
    this.#fds.fill(-1);
  }
}

/** The time that a thread may work before timers and signals have their turn, in ms. */
const SLICE_MS = 40;

/** The time that this thread may work before the event loop has its turn. */
export class TimeSlice {
  readonly #turn: PollSet | undefined;
  readonly #ms: number;
  #startedAt = performance.now();

  constructor(c: LibC | undefined, ms = SLICE_MS) {
    this.#turn = c && new PollSet(c);
    this.#ms = ms;
  }

  /** Begins a new slice, as the event loop had a turn just now. */
  restart(): void {
    this.#startedAt = performance.now();
  }

  /** Whether the event loop is to have a turn. */
  isOver(now: number): boolean {
    return now - this.#startedAt >= this.#ms;
  }

  /** Gives the event loop a turn, when that is due. */
  async pauseIfOver(): Promise<void> {
    if (!this.isOver(performance.now())) return;
    // 60 µs on every runtime, where a timer of 0 takes up to 2.5 ms.
    if (this.#turn !== undefined) await this.#turn.waitAsync(0);
    else await new Promise((next) => setTimeout(next, 0));
    this.restart();
  }
}
