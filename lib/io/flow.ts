/** One direction of a relay: bytes from a descriptor to another, as far as they go. */

import {
  EPIPE,
  type LibC,
  POLLIN,
  POLLOUT,
  SystemError,
} from "../base/libc.ts";
import { alignedBuffer, type BufferPool } from "../../framing.ts";
import { BULK_BYTES, type Descriptor, WOULD_BLOCK } from "./descriptor.ts";
import { PollSet } from "../base/poll.ts";

/** The bytes that may move before the other direction has its turn. */
const TURN_BYTES = 1024 * 1024;
/** The most that splice(2) moves at once, in bytes: as much as a large pipe holds. */
const SPLICE_BYTES = 1024 * 1024;
/** SPLICE_F_MOVE and SPLICE_F_NONBLOCK of `<fcntl.h>`. */
const SPLICE_FLAGS = 3;
/** EINVAL: splice(2) cannot do it between these two. */
const EINVAL = 22;

const NOTHING = new Uint8Array(0);

/** One end of a flow: a descriptor, and the error when it fails. */
export interface FlowEnd {
  readonly descriptor: Descriptor;
  /** Makes the error to throw. */
  readonly failed: (cause: unknown) => Error;
  /** Called with the bytes that a target took, unless they were spliced. */
  readonly took?: (bytes: Uint8Array) => void;
}

/** The ends of a flow, its limits and its counters. */
export interface FlowOptions {
  /** The source; nothing but `first` when `undefined`. */
  readonly from: FlowEnd | undefined;
  /** The target; bytes are dropped when `undefined`. */
  readonly to: FlowEnd | undefined;
  /** Sent before all others. */
  readonly first?: Uint8Array;
  /** The most that one read may take, in bytes. */
  readonly dataSize: number;
  /** The pool of buffers, when many flows share one; each has its own if absent. */
  readonly buffers?: BufferPool;
  /** Whether to change to splice(2) for bulk. */
  readonly splices: boolean;
  /** Called with the number of bytes that were read from `from`. */
  readonly onRead?: (bytes: number) => void;
  /** Called with the number of bytes that `to` took. */
  readonly onWritten?: (bytes: number) => void;
}

/**
 * The thing that a flow waits for: its source, its target, or nothing but its next
 * turn.
 */
export type FlowWait = "from" | "to" | "turn";

/** One direction of a relay. */
export class Flow {
  readonly from: FlowEnd | undefined;
  readonly to: FlowEnd | undefined;
  /**
   * Whether nothing more moves: all of the source has been taken and handed on, or
   * the owner has given it up.
   */
  ended = false;
  waitsFor: FlowWait = "turn";
  /** The side that has failed, after `step` has thrown. */
  failedSide: "from" | "to" | undefined;
  readonly #c: LibC;
  /** Asked which side a splice waits for. */
  readonly #readiness: PollSet;
  readonly #options: FlowOptions;
  /**
   * The bytes that were read; those from `#start` to `#end` are still to be
   * written.
   */
  #buffer: Uint8Array;
  #start = 0;
  #end: number;
  #hasBuffer = false;
  #sourceEnded: boolean;
  #moved = 0;
  #isBulk = false;
  #splices = false;

  constructor(c: LibC, options: FlowOptions) {
    this.#c = c;
    this.#readiness = new PollSet(c);
    this.#options = options;
    this.from = options.from;
    this.to = options.to;
    this.#buffer = options.first ?? NOTHING;
    this.#end = this.#buffer.length;
    this.#sourceEnded = options.from === undefined;
  }

  /**
   * Moves bytes until one side would have to wait, or the other direction is to
   * have its turn; then {@linkcode waitsFor} or {@linkcode ended} tells why.
   *
   * @throws What `failed` of either end makes. What was read before is lost only
   * when the target has failed.
   */
  step(): void {
    this.waitsFor = "turn";
    try {
      this.#move();
    } finally {
      this.#giveBack();
    }
  }

  #move(): void {
    for (let most = TURN_BYTES; most > 0 && !this.ended;) {
      const moved = this.#splices ? this.#splice() : this.#copy();
      if (!this.#isBulk && this.#moved >= BULK_BYTES) this.#becomeBulk();
      if (moved === WOULD_BLOCK) return;
      most -= moved;
    }
  }

  /**
   * @returns The number of bytes that went on, or WOULD_BLOCK once {@linkcode
   * waitsFor} is set.
   */
  #copy(): number {
    if (this.#end > this.#start) return this.#write();
    if (this.#sourceEnded) {
      this.ended = true;
      return 0;
    }
    const room = this.#room();
    const count = this.#read(room);
    if (count === WOULD_BLOCK) return this.#wait("from");
    if (count === 0) {
      this.#sourceEnded = true;
      return 0;
    }
    this.#options.onRead?.(count);
    if (this.to === undefined) return count;
    this.#start = 0;
    this.#end = count;
    const written = this.#write();
    // What was less than asked for was all that was there: poll(2) is cheaper
    // than a read in vain.
    const isDrained = count < room.length && this.#start === this.#end;
    return isDrained ? this.#wait("from") : written;
  }

  #write(): number {
    if (this.to === undefined) return WOULD_BLOCK;
    const { descriptor, failed, took } = this.to;
    let count: number;
    try {
      // Mostly it goes at once, without a view of a part.
      count = this.#start === 0
        ? descriptor.write(this.#buffer, this.#end)
        : descriptor.write(this.#buffer.subarray(this.#start, this.#end));
    } catch (error) {
      this.failedSide = "to";
      throw failed(error);
    }
    if (count === WOULD_BLOCK) return this.#wait("to");
    took?.(this.#buffer.subarray(this.#start, this.#start + count));
    this.#start += count;
    this.#moved += count;
    this.#options.onWritten?.(count);
    return count;
  }

  #read(room: Uint8Array): number {
    if (this.from === undefined) return 0;
    try {
      return this.from.descriptor.read(room);
    } catch (error) {
      this.failedSide = "from";
      throw this.from.failed(error);
    }
  }

  #wait(what: FlowWait): typeof WOULD_BLOCK {
    this.waitsFor = what;
    return WOULD_BLOCK;
  }

  #room(): Uint8Array {
    if (!this.#hasBuffer) {
      const { buffers, dataSize } = this.#options;
      this.#hasBuffer = true;
      this.#buffer = buffers?.take() ?? alignedBuffer(dataSize);
    }
    return this.#buffer;
  }

  /** Gives a shared buffer back, if nothing is in it. */
  #giveBack(): void {
    const { buffers } = this.#options;
    if (buffers === undefined || !this.#hasBuffer) return;
    if (this.#end > this.#start) return;
    buffers.giveBack(this.#buffer);
    this.#hasBuffer = false;
    this.#buffer = NOTHING;
    this.#start = this.#end = 0;
  }

  #becomeBulk(): void {
    this.#isBulk = true;
    const { from, to } = this;
    if (from === undefined || to === undefined) return;
    from.descriptor.enlarge();
    to.descriptor.enlarge();
    const kinds = [from.descriptor.kind, to.descriptor.kind];
    this.#splices = this.#options.splices && this.#c.linux !== undefined &&
      kinds.includes("pipe") && from.descriptor.isNonBlocking &&
      to.descriptor.isNonBlocking;
  }

  /** Lets the kernel move what is there, past this process. */
  #splice(): number {
    if (this.#end > this.#start) return this.#write();
    const { from, to } = this;
    const splice = this.#c.linux?.splice;
    if (from === undefined || to === undefined || splice === undefined) {
      return 0;
    }
    const most = Math.min(SPLICE_BYTES, this.#options.dataSize);
    const count = splice(
      from.descriptor.fd,
      null,
      to.descriptor.fd,
      null,
      BigInt(most),
      SPLICE_FLAGS,
    );
    if (count > 0) {
      this.#options.onRead?.(count);
      this.#options.onWritten?.(count);
      // Less than asked for is mostly all that was there; else poll(2) says so at once.
      return count < most ? this.#wait("from") : count;
    }
    if (count === 0) {
      this.ended = true;
      return 0;
    }
    return this.#spliceFailed(from, to);
  }

  #spliceFailed(from: FlowEnd, to: FlowEnd): number {
    const errno = this.#c.errno();
    if (errno === this.#c.system.EAGAIN) {
      const set = this.#readiness;
      set.clear();
      const source = set.add(from.descriptor.fd, POLLIN);
      set.add(to.descriptor.fd, POLLOUT);
      set.wait(0);
      return this.#wait(set.happened(source) === 0 ? "from" : "to");
    }
    // A pipe without a reader is refused before the source is looked at, which may
    // be at its end: an ordinary read tells.
    const hasNoReader = errno === EPIPE && to.descriptor.kind === "pipe";
    if (errno === EINVAL || hasNoReader) {
      this.#splices = false;
      return 0;
    }
    // Not asked again by an ordinary call: a socket tells its error only once.
    const isTarget = errno === EPIPE || to.descriptor.kind === "socket";
    this.failedSide = isTarget ? "to" : "from";
    throw (isTarget ? to : from).failed(new SystemError(this.#c, errno));
  }
}
