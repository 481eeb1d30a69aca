/**
 * Fast lanes for stdin and stdout. A read or write of a pipe costs Deno a round
 * trip through a pool of threads; a lane instead has a Worker that does nothing
 * but blocking calls, and a {@linkcode Ring} between that and this thread. It pays
 * for streams that are long and fast, and costs time to start and a little for
 * each small message, so `stdio.ts` goes over to it only when a stream has shown
 * that it is worth it.
 *
 * A lane does not touch stdin or stdout before the first call of `read`, `reserve`
 * or `write`. Until then the stream is read or written in the ordinary way; from
 * then on only through the lane. Between two calls is the time to change: a read
 * that is pending must have been answered first.
 */

import { copyBytes } from "../base/bytes.ts";
import type { Sink, Source } from "../pipe/duplex.ts";
import type { LaneFailure, LaneMessage, LaneTask } from "./lane_worker.ts";
import { Ring } from "./ring.ts";

/** The capacity of a lane's ring in bytes: of 1, 2, 4 and 8 MiB the best. */
const RING_CAPACITY = 4 * 1024 * 1024;

/**
 * The most of the ring that is read or written at once, and what must be free
 * before a full ring is filled again, so that both sides always have work.
 */
const PART_SIZE = RING_CAPACITY / 4;

/** stdin through a Worker. */
export class InputLane implements Source, Disposable {
  readonly #worker: LaneWorker;
  readonly #viewSize: number;
  #lent = 0;

  /** @param dataSize The most that one read may take, in bytes. */
  constructor(dataSize: number) {
    this.#viewSize = Math.min(dataSize, PART_SIZE);
    this.#worker = new LaneWorker("input", this.#viewSize);
  }

  /** Whether the first `read` may come. Never, if the Worker cannot be had. */
  get ready(): boolean {
    return this.#worker.ready;
  }

  /**
   * Waits for the next bytes. They lie in the ring, and their room is used again
   * after the next call.
   *
   * @throws What `Deno.stdin.read` would throw, once all bytes that were read
   * before it have been returned.
   */
  async read(): Promise<Uint8Array | null> {
    const { ring } = this.#worker;
    this.#worker.start();
    if (this.#lent > 0) ring.release(this.#lent);
    for (;;) {
      // Asked before the bytes, since none are added after either of them.
      const { ended } = ring;
      const { failure } = this.#worker;
      const bytes = ring.filled(this.#viewSize);
      this.#lent = bytes.length;
      if (bytes.length > 0) return bytes;
      if (ended) return null;
      if (failure !== undefined) throw failure;
      await this.#worker.wait(() => ring.mustWaitForBytes());
    }
  }

  /**
   * Lets the Worker go. If it is in the midst of a read it stays until that is
   * answered, and only `Deno.exit` ends the process before.
   */
  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }
}

/** stdout through a Worker. */
export class OutputLane implements Sink, Disposable {
  readonly #worker: LaneWorker;
  readonly #viewSize: number;
  #lent: Uint8Array | undefined;

  /** @param dataSize The most that `reserve` lends, in bytes. */
  constructor(dataSize: number) {
    this.#viewSize = Math.min(dataSize, PART_SIZE);
    this.#worker = new LaneWorker("output", PART_SIZE);
  }

  /** Whether the first `write` may come. Never, if the Worker cannot be had. */
  get ready(): boolean {
    return this.#worker.ready;
  }

  /**
   * Rejects when stdout fails, with what `Deno.stdout.write` would throw. A write
   * has resolved long before its bytes are written, so whoever waits for the next
   * bytes to come should watch this too.
   */
  get failed(): Promise<never> {
    return this.#worker.failed;
  }

  /**
   * Lends the ring's next free room.
   *
   * @throws What `Deno.stdout.write` would throw, also for earlier bytes.
   */
  async reserve(): Promise<Uint8Array> {
    const { ring } = this.#worker;
    this.#worker.start();
    for (;;) {
      this.#worker.throwFailure();
      this.#lent = ring.room(this.#viewSize);
      if (this.#lent.length > 0) return this.#lent;
      await this.#worker.wait(() => ring.mustWaitForRoom(PART_SIZE));
    }
  }

  /**
   * Takes bytes: those in the room that `reserve` lent stay where they are, others
   * are copied.
   *
   * @throws What `Deno.stdout.write` would throw, also for earlier bytes.
   */
  async write(bytes: Uint8Array): Promise<void> {
    const { ring } = this.#worker;
    if (this.#isLent(bytes)) {
      this.#worker.throwFailure();
      ring.commit(bytes.length);
    } else {
      for (let rest = bytes; rest.length > 0;) {
        const room = await this.reserve();
        const piece = rest.subarray(0, room.length);
        copyBytes(piece, room);
        ring.commit(piece.length);
        rest = rest.subarray(piece.length);
      }
    }
    this.#lent = undefined;
  }

  /** How many bytes are not written yet. */
  get pending(): number {
    return this.#worker.ring.used;
  }

  /**
   * Waits until everything is written.
   *
   * @throws What `Deno.stdout.write` would throw, also for earlier bytes.
   */
  async flush(): Promise<void> {
    const { ring } = this.#worker;
    while (ring.used > 0) {
      this.#worker.throwFailure();
      await this.#worker.wait(() => ring.mustWaitForRoom(ring.capacity));
    }
  }

  /** Flushes, and lets the Worker go. stdout itself stays open. Idempotent. */
  async end(): Promise<void> {
    await this.flush();
    this.#worker[Symbol.dispose]();
  }

  /** Lets the Worker go, whether or not everything was written; see `end`. */
  [Symbol.dispose](): void {
    this.#worker[Symbol.dispose]();
  }

  #isLent(bytes: Uint8Array): boolean {
    return this.#lent !== undefined && bytes.buffer === this.#lent.buffer &&
      bytes.byteOffset === this.#lent.byteOffset;
  }
}

/** The Worker of a lane, as this thread sees it. */
class LaneWorker implements Disposable {
  readonly ring: Ring;
  readonly #worker: Worker;
  readonly #failed = Promise.withResolvers<never>();
  #failure: Error | undefined;
  #isReady = false;
  #isStarted = false;
  #wake: (() => void) | undefined;

  constructor(direction: LaneTask["direction"], blockSize: number) {
    const memory = Ring.allocate(RING_CAPACITY);
    this.ring = new Ring(memory);
    // Nobody has to watch it.
    this.#failed.promise.catch(() => {});
    const url = new URL("./lane_worker.ts", import.meta.url);
    this.#worker = new Worker(url.href, { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<LaneMessage>) =>
      this.#hear(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(new Error(event.message));
    };
    const task: LaneTask = { direction, memory, blockSize };
    this.#worker.postMessage(task);
  }

  get ready(): boolean {
    return this.#isReady && this.#failure === undefined;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Lets the Worker begin. Idempotent. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.ring.start();
  }

  /** Waits until the Worker has something to say. One wait at a time. */
  async wait(mustWait: () => boolean): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    if (mustWait()) await woken.promise;
  }

  /** Lets the Worker go. Whoever waits is told that there is no use in it. */
  [Symbol.dispose](): void {
    this.ring.stop();
    this.#worker.terminate();
    this.#failure ??= new Deno.errors.BadResource("The lane was closed");
    this.#wake?.();
  }

  #hear(message: LaneMessage): void {
    if (message === "ready") this.#isReady = true;
    else if (message === "wake") this.#wake?.();
    else this.#fail(rebuild(message));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#failed.reject(error);
    this.#wake?.();
  }
}

/** The error that the Worker met: of the same class, as far as Deno has one. */
function rebuild({ name, message, code }: LaneFailure): Error {
  const classes: Partial<Record<string, new (message: string) => Error>> =
    Deno.errors;
  const error = new (classes[name] ?? Error)(message);
  return code === undefined ? error : Object.assign(error, { code });
}
