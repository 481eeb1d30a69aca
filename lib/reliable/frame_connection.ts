/**
 * One connection of a `--reliable` session: its prefaces, its reader and writer,
 * and how it ends. What is said over it is decided in `session.ts`.
 */

import { alarm, Bell } from "./wakeup.ts";
import type { Duplex } from "../pipe/duplex.ts";
import { BrokenError } from "../base/errors.ts";
import { type Preface, PrefaceReader } from "../../framing.ts";
import type { Session } from "./session.ts";

/** How long a peer may take for its preface (docs/protocol.md section 2). */
export const PREFACE_LIMIT_MS = 10_000;
/** How long the farewell of a session that ends by a failure may take. */
const FAREWELL_LIMIT_MS = 1000;
/** How often a connection is looked at whose peer may have fallen silent. */
const SILENCE_CHECK_MS = 250;

/** A connection, and what the user knows its peer by. */
export interface PeerConnection extends Duplex {
  readonly peer: string;
}

/**
 * Reads the peer's preface, and not a byte more.
 *
 * @param over Its abort ends the wait and the connection.
 * @returns `"ended"` or `"late"` when the connection ended, or time was up, before
 * the preface was complete.
 * @throws {DamagedError} What came is no preface.
 * @throws {BrokenError} The connection broke.
 */
export async function readPreface(
  connection: PeerConnection,
  over: AbortSignal,
): Promise<Preface | "ended" | "late"> {
  const reader = new PrefaceReader();
  let late = false;
  const abort = () => connection.abort();
  over.addEventListener("abort", abort, { once: true });
  using _limit = alarm(PREFACE_LIMIT_MS, () => {
    late = true;
    abort();
  });
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
  } finally {
    over.removeEventListener("abort", abort);
  }
}

/**
 * The reader and the writer of one connection whose prefaces were read: from
 * `session.attach` to `session.lost`.
 */
export class Link {
  readonly #session: Session;
  readonly #connection: PeerConnection;
  readonly #onNews: () => void;
  readonly #bell = new Bell();
  readonly #lost = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #reader: Promise<void> = Promise.resolve();
  #writer: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param connection It is this object's from now on.
   * @param onNews Called whenever the peer has said something.
   */
  constructor(
    session: Session,
    connection: PeerConnection,
    onNews: () => void,
  ) {
    this.#session = session;
    this.#connection = connection;
    this.#onNews = onNews;
  }

  /** Lets the writer ask the session what is to be sent. */
  wake(): void {
    this.#bell.ring();
  }

  /**
   * Moves frames until the connection is lost or nothing is left to be said; it is
   * closed then, and the session knows.
   *
   * @param first What is sent before the first frame.
   * @throws {DamagedError} The peer sent what must not be.
   * @throws What the peer's ABORT stands for. In both cases the connection is still
   * open, for {@linkcode farewell}.
   */
  async run(first?: Uint8Array): Promise<void> {
    this.#reader = this.#read();
    this.#writer = this.#write(first);
    using _silence = this.#watchForSilence();
    try {
      const loops = Promise.all([this.#reader, this.#writer]);
      await Promise.race([loops, this.#lost.promise]);
    } catch (error) {
      if (!(error instanceof BrokenError) || this.#session.over) throw error;
    }
    this.close();
    // Not the writer: Deno 2.4 never ends a write that waits for a silent peer.
    // It writes nothing more, since its connection is closed.
    await this.#reader.catch(() => {});
    this.#session.lost(performance.now());
    this.#ended.resolve();
  }

  /** Makes room for another connection; resolves when `run` is about to. */
  async stop(): Promise<void> {
    this.close();
    await this.#ended.promise;
  }

  /** In the ordinary way at the end of the session, else with a reset. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#lost.resolve();
    if (this.#session.finished) this.#connection.close();
    else this.#connection.abort();
    this.#bell[Symbol.dispose]();
    this.#bell.ring();
  }

  /**
   * Sends ABORT after the write that is under way, and reads until the peer has
   * closed, so that no reset destroys it; but not for long. The session is over.
   */
  async farewell(abort: Uint8Array): Promise<void> {
    const tooLate = Promise.withResolvers<void>();
    using _limit = alarm(FAREWELL_LIMIT_MS, tooLate.resolve);
    const said = this.#sayLast(abort).catch(() => {
      // The connection is gone; the peer finds that out by itself.
    });
    await Promise.race([said, tooLate.promise]);
    this.close();
  }

  /** Waits for the orderly end of a session that is done, but not for long. */
  async finish(): Promise<void> {
    using _limit = alarm(FAREWELL_LIMIT_MS, () => this.close());
    await this.#ended.promise;
  }

  async #sayLast(abort: Uint8Array): Promise<void> {
    const { source, sink } = this.#connection;
    this.#bell.ring();
    await this.#writer;
    await sink.write(abort);
    await sink.end();
    await this.#reader.catch(async () => {
      while (await source.read() !== null);
    });
  }

  async #read(): Promise<void> {
    for (;;) {
      const bytes = await this.#connection.source.read(this.#session.room());
      if (bytes === null) return this.close();
      this.#session.received(bytes.length, performance.now());
      this.#onNews();
      this.#bell.ring();
    }
  }

  async #write(first?: Uint8Array): Promise<void> {
    const { sink } = this.#connection;
    if (first !== undefined) await sink.write(first);
    while (!this.#closed && !this.#session.over) {
      const now = performance.now();
      const bytes = this.#session.nextToSend(now);
      if (bytes !== undefined) await sink.write(bytes);
      else if (this.#session.finished) return this.close();
      else await this.#bell.wait(this.#session.wakeAt - now);
    }
  }

  /** A peer that is gone may leave the writer stuck, so this is not its job. */
  #watchForSilence(): Disposable {
    const timer = setInterval(() => {
      if (this.#session.isSilent(performance.now())) this.close();
    }, SILENCE_CHECK_MS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }
}
