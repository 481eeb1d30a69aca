/** One connection of a session: its prefaces, its reader and writer, its end. */

import { Deadline, onAbort } from "../base/deadline.ts";
import { BrokenError } from "../base/errors.ts";
import { type Duplex, readEach } from "../pipe/duplex.ts";
import type { Line } from "../pipe/traffic.ts";
import { type Preface, PrefaceReader } from "./preface.ts";
import type { Session } from "./session.ts";
import { callAfter, Wakeup } from "./wakeup.ts";

/** The time limit of a preface, in ms (`docs/protocol.md` section 2). */
export const PREFACE_LIMIT_MS = 10_000;
/** The time limit of the orderly end of a connection (ABORT, GOODBYE), in ms. */
const CLOSING_LIMIT_MS = 1000;
/** The pause between two checks for a silent peer, in ms. */
const SILENCE_CHECK_MS = 250;

/**
 * A connection, and the addresses of its ends for the user. Its source always reads
 * into the room that is lent.
 */
export interface PeerConnection extends Duplex {
  readonly peer: string;
  readonly local: string;
  /** The SHA-256 of the listening side's TLS key, where this side knows it. */
  readonly listenerKey?: Uint8Array | undefined;
  /** The line that it goes over, where it is measured. */
  readonly line?: Line;
}

/**
 * Reads the peer's preface, and not a byte more.
 *
 * @param over Its abort ends the wait and the connection.
 * @returns `"ended"` or `"late"` when the connection ended, or time was up, before
 * the preface was complete.
 * @throws {DamagedError} These bytes are no preface.
 * @throws {BrokenError} The connection broke.
 */
export async function readPreface(
  connection: PeerConnection,
  over: AbortSignal,
): Promise<Preface | "ended" | "late"> {
  const reader = new PrefaceReader();
  let late = false;
  using deadline = new Deadline(over, PREFACE_LIMIT_MS, () => {
    late = true;
    return new BrokenError("The peer's preface is late");
  });
  onAbort(deadline.signal, () => connection.abort());
  try {
    for (;;) {
      const bytes = await connection.source.read(reader.room());
      if (bytes === null) return "ended";
      const preface = reader.filled(bytes.length);
      if (preface !== undefined) return preface;
    }
  } catch (error) {
    if (late) return "late";
    throw error;
  }
}

/**
 * The reader and the writer of one connection whose prefaces were read: from
 * `session.attach` to `session.lost`.
 */
export class FrameConnection {
  readonly #session: Session;
  readonly #connection: PeerConnection;
  readonly #onProgress: () => void;
  readonly #wakeup = new Wakeup();
  /** Resolves when it is closed; rejects when a write by `wake` has failed. */
  readonly #lost = Promise.withResolvers<void>();
  /** Resolves when the session knows that it is lost. */
  readonly #ended = Promise.withResolvers<void>();
  #reader: Promise<void> = Promise.resolve();
  #writer: Promise<void> = Promise.resolve();
  #closed = false;
  /** The end of a frame for which there was no room yet. */
  #unsent: Uint8Array = new Uint8Array();
  /** The time until which the writer waits; `-Infinity` while it writes. */
  #waitsUntil = -Infinity;

  /**
   * @param connection Closed by this object from now on.
   * @param onProgress Called whenever the peer has sent something.
   */
  constructor(
    session: Session,
    connection: PeerConnection,
    onProgress: () => void,
  ) {
    this.#session = session;
    this.#connection = connection;
    this.#onProgress = onProgress;
  }

  /**
   * Sends what the session now has to send, at once where there is room; the writer
   * does the rest.
   */
  wake(): void {
    const isWaiting = this.#waitsUntil > -Infinity && !this.#closed;
    if (!isWaiting) return this.#wakeup.notify();
    try {
      this.#sendNow(performance.now());
      const isDone = this.#unsent.length === 0 && !this.#session.isClosed &&
        this.#session.wakeAt >= this.#waitsUntil;
      if (!isDone) this.#wakeup.notify();
    } catch (error) {
      this.#lost.reject(error);
    }
  }

  /**
   * Moves frames until the connection is lost or nothing is left to be sent; it is
   * closed then, and the session knows.
   *
   * @param first The preface to send before the first frame, if it is still due.
   * @throws {DamagedError} The peer broke the protocol.
   * @throws The error that the peer's ABORT stands for. In both cases the connection
   * is still open, for {@linkcode sendAbort}.
   */
  async run(first?: Uint8Array): Promise<void> {
    this.#reader = this.#read();
    this.#writer = this.#write(first);
    using _silence = this.#watchForSilence();
    try {
      const loops = Promise.all([this.#reader, this.#writer]);
      await Promise.race([loops, this.#lost.promise]);
    } catch (error) {
      if (!(error instanceof BrokenError) || this.#session.isAborted) {
        throw error;
      }
    }
    this.close();
    // Not the writer: Deno 2.4 never ends a write that waits for a silent peer.
    // It writes nothing more, since its connection is closed.
    await this.#reader.catch(() => {});
    this.#session.lost(performance.now());
    this.#ended.resolve();
  }

  /** Closes it, to make room for another; resolves when the session knows. */
  async stop(): Promise<void> {
    this.close();
    await this.#ended.promise;
  }

  /** Closes in the ordinary way at the end of the session, else with a reset. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lost.resolve();
    if (this.#session.isClosed) this.#connection.close();
    else this.#connection.abort();
    this.#wakeup[Symbol.dispose]();
    this.#wakeup.notify();
  }

  /**
   * Sends ABORT after the write that is under way, and reads until the peer has
   * closed, so that no reset destroys it; but not for long. The session is over.
   */
  async sendAbort(abort: Uint8Array): Promise<void> {
    const tooLate = Promise.withResolvers<void>();
    using _limit = callAfter(CLOSING_LIMIT_MS, tooLate.resolve);
    const sent = this.#writeAbort(abort).catch(() => {
      // The connection is gone; the peer finds that out by itself.
    });
    await Promise.race([sent, tooLate.promise]);
    this.close();
  }

  /**
   * Waits for the orderly end of a session whose streams are confirmed, but not for
   * long.
   */
  async finish(): Promise<void> {
    using _limit = callAfter(CLOSING_LIMIT_MS, () => this.close());
    await this.#ended.promise;
  }

  async #writeAbort(abort: Uint8Array): Promise<void> {
    const { source, sink } = this.#connection;
    this.#wakeup.notify();
    await this.#writer;
    await sink.write(abort);
    await sink.end();
    await this.#reader.catch(async () => {
      while (await source.read() !== null);
    });
  }

  async #read(): Promise<void> {
    const { incoming } = this.#session;
    await readEach(
      this.#connection.source,
      () => incoming.room(),
      ({ length }) => {
        this.#session.received(length, performance.now());
        this.#onProgress();
        this.wake();
      },
    );
    this.close();
  }

  async #write(first?: Uint8Array): Promise<void> {
    const { sink } = this.#connection;
    if (first !== undefined) await sink.write(first);
    // A frame that was begun is ended, so that ABORT can follow it.
    while (
      !this.#closed && (!this.#session.isAborted || this.#unsent.length > 0)
    ) {
      const now = performance.now();
      this.#sendNow(now);
      if (this.#unsent.length > 0) {
        await sink.write(this.#unsent);
        this.#unsent = new Uint8Array();
      } else if (this.#session.isClosed) {
        return this.close();
      } else {
        this.#waitsUntil = this.#session.wakeAt;
        await this.#wakeup.wait(this.#waitsUntil - now);
        this.#waitsUntil = -Infinity;
      }
    }
  }

  /** Sends frames as long as there is room, and keeps the end of one that has none. */
  #sendNow(now: number): void {
    const { sink } = this.#connection;
    while (this.#unsent.length === 0) {
      const bytes = this.#session.nextToSend(now);
      if (bytes === undefined) return;
      this.#unsent = bytes.subarray(sink.writeNow?.(bytes) ?? 0);
    }
  }

  /**
   * Closes the connection when the peer has been silent for too long. A timer of
   * its own, since the writer may be stuck in a write.
   */
  #watchForSilence(): Disposable {
    const timer = setInterval(() => {
      if (this.#session.isSilent(performance.now())) this.close();
    }, SILENCE_CHECK_MS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }
}
