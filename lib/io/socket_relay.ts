/**
 * Sockets joined with sockets, many pairs on this one thread: the fast way of
 * `--forward`, by epoll(7) of Linux.
 *
 * The thread is Deno's as well, which accepts and connects meanwhile: after some
 * milliseconds of work, and whenever nothing comes, another thread waits for the next
 * event.
 */

import { onAbort } from "../base/deadline.ts";
import { BrokenError, reasonOf } from "../base/errors.ts";
import {
  type LibC,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  SystemError,
} from "../base/libc.ts";
import { BufferPool } from "../../framing.ts";
import { AsyncPoll, BUSY_POLLS, TimeSlice } from "../base/poll.ts";
import type { Traffic } from "../pipe/traffic.ts";
import { Descriptor } from "./descriptor.ts";
import { Flow, type FlowEnd } from "./flow.ts";
import { type JoinedSocket, Pair, type Side } from "./joined_pair.ts";

/** The time of work before Deno has a turn, in ms. */
const SLICE_MS = 5;
/** After a wait shorter than this the next one begins with busy polls, in ms. */
const SHORT_WAIT_MS = 0.3;
/** The bytes from which on the time of moving them is not counted as waiting. */
const BULK_STEP_BYTES = 16 * 1024;
/** The most events of one call. */
const MAX_EVENTS = 256;
/** Numbers of `<sys/epoll.h>`; its events are those of poll(2). */
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
/** `struct epoll_event` is packed on x86-64 only. */
const [EVENT_BYTES, DATA_AT] = Deno.build.arch === "x86_64" ? [12, 4] : [16, 8];

/** The options of one pair. */
export interface JoinOptions {
  /** Its abort ends the pair, which rejects with its reason. */
  readonly signal: AbortSignal;
  /**
   * Counts what goes to and comes from the first socket, and the waits for both:
   * the second one's as those for stdin and stdout.
   */
  readonly traffic: Traffic;
}

/** All pairs of this process, and the loop that serves them while there are any. */
export class SocketRelay implements Disposable {
  readonly #c: LibC;
  readonly #linux: NonNullable<LibC["linux"]>;
  readonly #epoll: number;
  readonly #dataSize: number;
  readonly #buffers: BufferPool;
  readonly #waits: AsyncPoll;
  readonly #sides = new Map<number, Side>();
  /** Flows that have more to do, each with its side. */
  #ready: Side[] = [];
  readonly #events = new Uint8Array(EVENT_BYTES * MAX_EVENTS);
  readonly #eventsView = new DataView(this.#events.buffer);
  readonly #request = new Uint8Array(EVENT_BYTES);
  readonly #requestView = new DataView(this.#request.buffer);
  #isRunning = false;
  /** Whether the last wait of another thread was short. */
  #expectsShort = false;
  /** The time at which the last pair came. */
  #joinedAt = 0;
  #now = performance.now();
  /** The bytes that have moved since the last look at the clock. */
  #movedBytes = 0;

  private constructor(
    c: LibC,
    linux: NonNullable<LibC["linux"]>,
    epoll: number,
    dataSize: number,
  ) {
    this.#c = c;
    this.#linux = linux;
    this.#epoll = epoll;
    this.#dataSize = dataSize;
    this.#buffers = new BufferPool(dataSize);
    this.#waits = new AsyncPoll(c);
  }

  /**
   * Opens a relay; the caller's to dispose of.
   *
   * @param dataSize The most that one read may take, in bytes.
   * @returns `undefined` where there is no epoll(7), or no descriptor for it.
   */
  static open(c: LibC, dataSize: number): SocketRelay | undefined {
    const { linux, system } = c;
    const epoll = linux?.epoll_create1(system.O_CLOEXEC) ?? -1;
    return linux === undefined || epoll < 0
      ? undefined
      : new SocketRelay(c, linux, epoll, dataSize);
  }

  /**
   * Joins two sockets until both directions have ended; half-closes are passed on.
   * The caller closes them; neither is touched after this has settled.
   *
   * @throws {BrokenError} Either connection broke. What had come from the other side
   * is delivered.
   * @throws `signal.reason`.
   */
  async join(
    first: JoinedSocket,
    second: JoinedSocket,
    { signal, traffic }: JoinOptions,
  ): Promise<void> {
    signal.throwIfAborted();
    const pair = this.#pair(first, second, traffic);
    this.#joinedAt = performance.now();
    using _abort = onAbort(signal, () => this.#finish(pair, signal.reason));
    const sides = [pair.first, pair.second];
    for (const side of sides) this.#sides.set(side.socket.fd, side);
    for (const side of sides) {
      if (!this.#isCurrent(side)) break;
      this.#watch(EPOLL_CTL_ADD, side, POLLIN);
      this.#ready.push(side);
    }
    this.#start();
    await pair.done.promise;
  }

  [Symbol.dispose](): void {
    this.#waits[Symbol.dispose]();
    this.#c.close(this.#epoll);
  }

  #pair(first: JoinedSocket, second: JoinedSocket, traffic: Traffic): Pair {
    const [a, b] = [this.#flowEnd(first), this.#flowEnd(second)];
    const toFirst = this.#flow(b, a, {
      onWritten: (bytes) => {
        this.#movedBytes += bytes;
        traffic.addSent(bytes, this.#now);
      },
    });
    const toSecond = this.#flow(a, b, {
      onRead: (bytes) => {
        this.#movedBytes += bytes;
        traffic.addReceived(bytes, this.#now);
      },
    });
    return new Pair(first, second, toFirst, toSecond, traffic);
  }

  #flowEnd({ fd, peer }: JoinedSocket): FlowEnd {
    return {
      descriptor: Descriptor.ofSocket(this.#c, fd),
      failed: (cause) =>
        new BrokenError(
          `Cannot exchange bytes with "${peer}": ${reasonOf(cause)}`,
          { cause },
        ),
    };
  }

  #flow(
    from: FlowEnd,
    to: FlowEnd,
    counts: {
      onRead?: (bytes: number) => void;
      onWritten?: (bytes: number) => void;
    },
  ): Flow {
    return new Flow(this.#c, {
      from,
      to,
      dataSize: this.#dataSize,
      buffers: this.#buffers,
      splices: false,
      ...counts,
    });
  }

  #start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run();
  }

  async #run(): Promise<void> {
    const slice = new TimeSlice(this.#c, SLICE_MS);
    while (this.#sides.size > 0) {
      this.#lookAtClock();
      const isIdle = this.#takeEvents() === 0 && this.#ready.length === 0 &&
        !this.#pollBusily();
      if (isIdle || slice.isOver(this.#now)) {
        // What is ready already is no reason to wait.
        const limitMs = this.#ready.length > 0 ? 0 : -1;
        await this.#waits.ready(this.#epoll, POLLIN, limitMs);
        const waitedMs = performance.now() - this.#now;
        if (isIdle) this.#expectsShort = waitedMs < SHORT_WAIT_MS;
        slice.restart();
      }
      this.#serveReady();
    }
    this.#isRunning = false;
  }

  /**
   * Polls for some 100 µs, when the next event is expected as soon: another thread
   * would take as long to tell of it. Not while connections come and go, as the
   * runtime has work then.
   *
   * @returns Whether something has happened, which is served.
   */
  #pollBusily(): boolean {
    const isSteady = this.#now - this.#joinedAt > SLICE_MS;
    if (!isSteady || !this.#expectsShort) return false;
    for (let polls = 0; polls < BUSY_POLLS; polls++) {
      this.#c.sched_yield();
      this.#lookAtClock();
      if (this.#takeEvents() > 0) return true;
    }
    return false;
  }

  /** Serves what has happened; returns the number of events. */
  #takeEvents(): number {
    const count = this.#linux.epoll_wait(
      this.#epoll,
      this.#events,
      MAX_EVENTS,
      0,
    );
    for (let i = 0; i < count; i++) {
      const at = i * EVENT_BYTES;
      const events = this.#eventsView.getUint32(at, LITTLE_ENDIAN);
      const fd = this.#eventsView.getInt32(at + DATA_AT, LITTLE_ENDIAN);
      const side = this.#sides.get(fd);
      if (side !== undefined) this.#serve(side, events);
    }
    return count;
  }

  #serveReady(): void {
    const ready = this.#ready;
    this.#ready = [];
    for (const side of ready) {
      if (!this.#isCurrent(side)) continue;
      this.#step(side);
      this.#updateWatches(side.pair);
    }
  }

  #isCurrent(side: Side): boolean {
    return this.#sides.get(side.socket.fd) === side;
  }

  #serve(side: Side, events: number): void {
    const { pair, waitsToRead, waitsToWrite } = side;
    const isBroken = (events & (POLLERR | POLLHUP)) !== 0;
    if (waitsToRead && (isBroken || (events & POLLIN) !== 0)) this.#step(side);
    if (waitsToWrite && (isBroken || (events & POLLOUT) !== 0)) {
      this.#step(pair.otherThan(side));
    }
    if (isBroken && !waitsToRead && !waitsToWrite) this.#checkBroken(side);
    this.#updateWatches(pair);
  }

  /** Checks for a reset, where nothing is read or written. */
  #checkBroken(side: Side): void {
    const error = side.socket.takeError();
    if (error !== undefined) {
      this.#finish(side.pair, this.#flowEnd(side.socket).failed(error));
    } else if (side.events !== undefined) {
      // The hang-up of a unix socket would be told again and again.
      this.#watch(EPOLL_CTL_DEL, side, 0);
    }
  }

  /** Moves what comes from a side. */
  #step(side: Side): void {
    const { outgoing, pair } = side;
    if (outgoing.ended) return;
    side.endWait(this.#now);
    try {
      outgoing.step();
      if (outgoing.ended) pair.otherThan(side).socket.shutdown();
      else if (outgoing.waitsFor === "turn") this.#ready.push(side);
    } catch (error) {
      outgoing.ended = true;
      pair.failure ??= error;
      // What the other had sent before it broke is still delivered.
      if (outgoing.failedSide === "to") this.#ready.push(pair.otherThan(side));
      else this.#finish(pair, pair.failure);
    }
    // Moving takes time only when there is much of it; else all was waiting.
    if (this.#movedBytes >= BULK_STEP_BYTES) this.#lookAtClock();
    side.beginWait(this.#now);
  }

  #lookAtClock(): void {
    this.#now = performance.now();
    this.#movedBytes = 0;
  }

  /** Ends a pair of which nothing is left, or updates what epoll(7) is asked for. */
  #updateWatches(pair: Pair): void {
    const { first, second } = pair;
    if (!this.#isCurrent(first)) return;
    if (first.outgoing.ended && second.outgoing.ended) {
      this.#finish(pair, pair.failure);
      return;
    }
    for (const side of [first, second]) {
      const events = (side.waitsToRead ? POLLIN : 0) |
        (side.waitsToWrite ? POLLOUT : 0);
      if (events === (side.events ?? 0)) continue;
      const call = side.events === undefined ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
      this.#watch(call, side, events);
    }
  }

  #finish(pair: Pair, failure: unknown): void {
    for (const side of [pair.first, pair.second]) {
      if (!this.#isCurrent(side)) continue;
      this.#sides.delete(side.socket.fd);
      if (side.events !== undefined) this.#watch(EPOLL_CTL_DEL, side, 0);
    }
    if (failure === undefined) pair.done.resolve();
    else pair.done.reject(failure);
  }

  /** Tells epoll(7) of a side; a pair of which it takes no notice is ended. */
  #watch(call: number, side: Side, events: number): void {
    const { fd } = side.socket;
    const isEnd = call === EPOLL_CTL_DEL;
    side.events = isEnd ? undefined : events;
    this.#requestView.setUint32(0, events, LITTLE_ENDIAN);
    this.#requestView.setInt32(DATA_AT, fd, LITTLE_ENDIAN);
    const answer = this.#linux.epoll_ctl(this.#epoll, call, fd, this.#request);
    if (answer === 0 || isEnd) return;
    // Nobody would ever be told of what happens there.
    const error = new SystemError(this.#c);
    this.#finish(side.pair, this.#flowEnd(side.socket).failed(error));
  }
}

/** The byte order of all processors that Deno runs on. */
const LITTLE_ENDIAN = true;
