/**
 * A byte ring in shared memory, between one producer and one consumer that may be
 * in different threads. Of the two, one may block (a Worker) and the other one may
 * live in an event loop; the ring knows no messages and no files, so that both
 * ends can also be driven by one thread, in the tests.
 *
 * **No wakeup is lost.** A side that has nothing to do announces what it waits
 * for by a store to its word, and then looks once more. The other side publishes
 * what it did by a store to `head`, `tail` or `state`, and then looks for an
 * announcement. These are sequentially consistent, so one of the two stores is
 * the first: either the side that waits sees the news in its second look, or the
 * other side sees the announcement, takes it away and wakes it. Who blocks, does
 * so only while its announcement stands, so a wakeup that comes before the sleep
 * prevents it. A wakeup that is no longer needed is harmless: whoever is woken
 * looks, and waits again.
 */

/** The control words; the two that both sides use all the time lie apart. */
const WORD = {
  /** All bytes ever committed, modulo 2³². Written by the producer. */
  head: 0,
  /** All bytes ever released, modulo 2³². Written by the consumer. */
  tail: 16,
  /** Any of the bits of {@linkcode STATE}. */
  state: 32,
  /** The room in bytes that the producer waits for; 0 when it does not wait. */
  producerWants: 33,
  /** The bytes that the consumer waits for; 0 when it does not wait. */
  consumerWants: 34,
} as const;

const STATE = { started: 1, ended: 2, stopped: 4 } as const;

/**
 * Where the bytes begin. What is allocated for a ring begins 16 bytes into a page
 * (glibc), so that the first byte is at a cache line's begin, well inside a page.
 * The kernel copies whole pages with `rep movsb`, and AMD's Zen 3 does that five
 * times slower when the target begins up to 16 bytes further into its page than
 * what is copied.
 */
const DATA_OFFSET = 240;

/** The largest capacity in bytes: what is used must be less than 2³¹. */
const MAX_CAPACITY = 2 ** 30;

/** The ring, as either thread sees it. */
export class Ring {
  /** In bytes, a power of two. */
  readonly capacity: number;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;

  /** @param memory What {@linkcode Ring.allocate} made, in either thread. */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, DATA_OFFSET / 4);
    this.#bytes = new Uint8Array(memory, DATA_OFFSET);
    this.capacity = this.#bytes.length;
  }

  /**
   * Makes the memory of an empty ring.
   *
   * @param capacity In bytes, a power of two up to 2³⁰.
   * @throws {RangeError} It is not.
   */
  static allocate(capacity: number): SharedArrayBuffer {
    const isPowerOfTwo = Number.isInteger(Math.log2(capacity));
    if (!isPowerOfTwo || capacity < 1 || capacity > MAX_CAPACITY) {
      throw new RangeError(
        `Cannot allocate a ring: capacity must be a power of two up to ${MAX_CAPACITY}: current value is ${capacity}`,
      );
    }
    return new SharedArrayBuffer(DATA_OFFSET + capacity);
  }

  /** How many bytes are in the ring. */
  get used(): number {
    const head = Atomics.load(this.#words, WORD.head);
    const tail = Atomics.load(this.#words, WORD.tail);
    return (head - tail) >>> 0;
  }

  /** Whether the producer is done; what is in the ring is still to be had. */
  get ended(): boolean {
    return this.#has(STATE.ended);
  }

  /** Whether both sides are to let go, whatever is in the ring. */
  get stopped(): boolean {
    return this.#has(STATE.stopped);
  }

  /** Lets the side that is in {@linkcode waitForStart} go on. */
  start(): void {
    this.#declare(STATE.started);
  }

  /**
   * Producer: no more bytes will come.
   *
   * @returns Whether the consumer was waiting; see {@linkcode commit}.
   */
  end(): boolean {
    return this.#declare(STATE.ended).consumerWaited;
  }

  /** Either side: both sides are to let go. */
  stop(): void {
    this.#declare(STATE.stopped);
  }

  /**
   * Producer: room for the next bytes, in one piece.
   *
   * @param most In bytes.
   * @returns Less than `most` where the ring is nearly full, or begins anew; no
   * byte when it is full.
   */
  room(most: number): Uint8Array<SharedArrayBuffer> {
    const head = Atomics.load(this.#words, WORD.head);
    return this.#piece(head, Math.min(most, this.capacity - this.used));
  }

  /**
   * Producer: the next `count` bytes are in place, at most what `room` gave.
   *
   * @returns Whether the consumer was waiting for them. If it blocks, it is awake
   * now; if it lives in an event loop, it is to be sent a message.
   */
  commit(count: number): boolean {
    Atomics.add(this.#words, WORD.head, count);
    return this.#answer(WORD.consumerWants, this.used);
  }

  /**
   * Producer: announces that it waits for `count` bytes of room, not necessarily
   * in one piece.
   *
   * @returns Whether it has to wait: `false` when there is that much room already
   * or the ring was stopped.
   */
  mustWaitForRoom(count: number): boolean {
    return this.#announce(
      WORD.producerWants,
      count,
      () => this.capacity - this.used >= count || this.stopped,
    );
  }

  /**
   * Consumer: the next bytes, in one piece.
   *
   * @param most In bytes.
   * @returns Less than `most` where there are less, or the ring begins anew; no
   * byte when it is empty.
   */
  filled(most: number): Uint8Array<SharedArrayBuffer> {
    const tail = Atomics.load(this.#words, WORD.tail);
    return this.#piece(tail, Math.min(most, this.used));
  }

  /**
   * Consumer: the next `count` bytes are done with, at most what `filled` gave.
   *
   * @returns Whether the producer was waiting for their room; see
   * {@linkcode commit}.
   */
  release(count: number): boolean {
    Atomics.add(this.#words, WORD.tail, count);
    return this.#answer(WORD.producerWants, this.capacity - this.used);
  }

  /**
   * Consumer: announces that it waits for bytes.
   *
   * @returns Whether it has to wait: `false` when there are some already, none
   * are to come, or the ring was stopped.
   */
  mustWaitForBytes(): boolean {
    return this.#announce(
      WORD.consumerWants,
      1,
      () => this.used > 0 || this.ended || this.stopped,
    );
  }

  /** Blocks until the ring was started or stopped. */
  waitForStart(): void {
    for (;;) {
      const state = Atomics.load(this.#words, WORD.state);
      if ((state & (STATE.started | STATE.stopped)) !== 0) return;
      Atomics.wait(this.#words, WORD.state, state);
    }
  }

  /** Producer: blocks until there is room or the ring was stopped. */
  waitForRoom(): void {
    while (this.mustWaitForRoom(1)) {
      Atomics.wait(this.#words, WORD.producerWants, 1);
    }
  }

  /** Consumer: blocks until there are bytes, none are to come, or it was stopped. */
  waitForBytes(): void {
    while (this.mustWaitForBytes()) {
      Atomics.wait(this.#words, WORD.consumerWants, 1);
    }
  }

  /** Blocks for `ms` milliseconds, or less when the ring is stopped or ended. */
  sleep(ms: number): void {
    const state = Atomics.load(this.#words, WORD.state);
    if ((state & STATE.stopped) === 0) {
      Atomics.wait(this.#words, WORD.state, state, ms);
    }
  }

  #piece(position: number, most: number): Uint8Array<SharedArrayBuffer> {
    const offset = position & (this.capacity - 1);
    // What would go beyond the end is cut off.
    return this.#bytes.subarray(offset, offset + most);
  }

  #has(state: number): boolean {
    return (Atomics.load(this.#words, WORD.state) & state) !== 0;
  }

  #declare(state: number): { consumerWaited: boolean } {
    Atomics.or(this.#words, WORD.state, state);
    Atomics.notify(this.#words, WORD.state);
    this.#answer(WORD.producerWants, Infinity);
    return { consumerWaited: this.#answer(WORD.consumerWants, Infinity) };
  }

  #announce(word: number, count: number, enough: () => boolean): boolean {
    Atomics.store(this.#words, word, count);
    if (!enough()) return true;
    Atomics.store(this.#words, word, 0);
    return false;
  }

  /** Ends the wait of the other side, if what is there is enough for it. */
  #answer(word: number, available: number): boolean {
    const wanted = Atomics.load(this.#words, word);
    if (wanted === 0 || available < wanted) return false;
    if (Atomics.exchange(this.#words, word, 0) === 0) return false;
    Atomics.notify(this.#words, word);
    return true;
  }
}
