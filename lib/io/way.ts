/**
 * The ways on which bytes come from stdin or go to stdout, and when a stream goes
 * over from one to the next. All begin with plain asynchronous calls, which are
 * best for small exchanges; only what has shown to be bulk pays for more.
 */

import { delay } from "@std/async/delay";
import { DEFAULT_DATA_SIZE } from "../../framing.ts";
import { PIPE_BUF, prepareForBulk, watchStdoutRoom } from "./kernel.ts";

/**
 * A chunk of at least this size is one of bulk, unless DATA_SIZE is smaller: a full
 * record of TLS.
 */
const LARGE_CHUNK_BYTES = 16 * 1024;
/** So much in large chunks, and nothing else in between, is bulk. */
const BULK_BYTES = 4 * 1024 * 1024;
/** From then on a read takes so much, without --data-size. */
const BULK_DATA_SIZE = 1024 * 1024;
/** From so much on the Worker of a lane pays. */
const LANE_BYTES = 16 * 1024 * 1024;
/** The same for a DATA_SIZE below {@linkcode LARGE_CHUNK_BYTES}. */
const SMALL_DATA_BYTES = 512 * 1024;
/** After so many calls a stream is worth the watching of stdout's room. */
const WATCHED_CALLS = 32;
/** How long a lane that is forced on may take to start. */
const LANE_START_LIMIT_MS = 10_000;

/** For tests, out of SOCKPIPE_LANE: no way but the first, or the lane at once. */
type Mode = "auto" | "on" | "off";

function modeOfTests(): Mode {
  const mode = Deno.env.get("SOCKPIPE_LANE");
  return mode === "on" || mode === "off" ? mode : "auto";
}

/** Chooses the way of stdin or of stdout. */
export class WayChooser<Lane extends Disposable & { readonly ready: boolean }>
  implements Disposable {
  /** The lane, from the moment on when it is used. */
  current: Lane | undefined;
  /** Whether calls never block for long. */
  #isFile = false;
  /** Whether the stream has shown that it is bulk. */
  isBulk = false;
  /** The most that one read may take, in bytes. */
  readSize: number;
  readonly #fd: 0 | 1;
  readonly #dataSize: number | undefined;
  readonly #open: (mostAtOnce: number) => Promise<Lane>;
  readonly #mode: Mode = modeOfTests();
  #opening: Lane | "soon" | undefined;
  #largeBytes = 0;
  #calls = 0;
  #hasRoom: (() => boolean) | undefined;
  readonly #laneAt: number;

  /**
   * @param fd 0 for stdin, 1 for stdout.
   * @param dataSize The most that one read may take, if the user says so.
   * @param open Opens the lane, whose calls take at most `mostAtOnce` bytes.
   */
  constructor(
    fd: 0 | 1,
    dataSize: number | undefined,
    open: (mostAtOnce: number) => Promise<Lane>,
  ) {
    this.#fd = fd;
    this.#dataSize = dataSize;
    this.#open = open;
    this.readSize = dataSize ?? DEFAULT_DATA_SIZE;
    this.#laneAt = this.readSize < LARGE_CHUNK_BYTES
      ? SMALL_DATA_BYTES
      : LANE_BYTES;
  }

  /**
   * Whether a read, or a write of `bytes` bytes, does not block for long, so that
   * the round trip through the pool of threads (some 20 µs) can be saved.
   */
  isPrompt(bytes = Infinity): boolean {
    return this.#isFile || bytes <= PIPE_BUF && this.#hasRoom?.() === true;
  }

  /** Says how much one call has moved, in bytes. */
  moved(bytes: number): void {
    if (this.#mode !== "auto") return;
    if (this.#fd === 1 && ++this.#calls === WATCHED_CALLS) {
      this.#hasRoom = watchStdoutRoom();
    }
    const large = Math.min(this.readSize, LARGE_CHUNK_BYTES);
    this.#largeBytes = bytes < large ? 0 : this.#largeBytes + bytes;
    if (!this.isBulk && this.#largeBytes >= BULK_BYTES) this.#becomeBulk();
    if (!this.#isFile && this.#largeBytes >= this.#laneAt) this.#start();
  }

  /** The lane, if it is to be used for what comes next. */
  async lane(): Promise<Lane | undefined> {
    if (this.current !== undefined) return this.current;
    if (this.#mode === "on") await this.#startNow();
    const opening = this.#opening;
    if (typeof opening !== "object" || !opening.ready) return undefined;
    this.#opening = undefined;
    return this.current = opening;
  }

  [Symbol.dispose](): void {
    this.current?.[Symbol.dispose]();
    if (typeof this.#opening === "object") this.#opening[Symbol.dispose]();
  }

  #becomeBulk(): void {
    this.isBulk = true;
    if (this.#dataSize !== undefined) return;
    const kind = prepareForBulk(this.#fd);
    this.#isFile = kind === "file";
    if (kind !== "other") this.readSize = BULK_DATA_SIZE;
  }

  #start(): void {
    if (this.#opening !== undefined || this.current !== undefined) return;
    this.#opening = "soon";
    this.#open(this.#dataSize ?? BULK_DATA_SIZE)
      .then((lane) => this.#opening = lane, () => {});
  }

  async #startNow(): Promise<void> {
    this.#start();
    const until = performance.now() + LANE_START_LIMIT_MS;
    while (performance.now() < until) {
      if (typeof this.#opening === "object" && this.#opening.ready) return;
      await delay(1);
    }
  }
}
