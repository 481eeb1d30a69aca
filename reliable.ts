/**
 * `--reliable`: our end of the pipe joined to a peer over as many connections as
 * it takes. The state is `session.ts`, the wire `framing.ts`, the rules
 * `docs/protocol.md`; here are the loops, the clock and the sockets.
 *
 *     stdin → takeStdin → Session → writer → connection
 *     stdout ← giveStdout ← Session ← reader ← connection
 *
 * The two on the left live as long as the session, the two on the right as long
 * as one connection.
 */

import type { Duplex } from "./duplex.ts";
import {
  BrokenError,
  DamagedError,
  LocalIoError,
  ReaderGoneError,
  SignalError,
  TimeLimitError,
} from "./errors.ts";
import { type Preface, PrefaceReader } from "./framing.ts";
import { type LocalEnd, watchIdle } from "./pipe.ts";
import type { Reporter } from "./report.ts";
import { REASON, Session } from "./session.ts";
import type { Traffic } from "./traffic.ts";

/** How long a peer may take for its preface (docs/protocol.md section 2). */
const PREFACE_LIMIT_MS = 10_000;
/** How long the farewell of a session that ends by a failure may take. */
const ABORT_LIMIT_MS = 500;
/** How often a connection is looked at whose peer may have fallen silent. */
const SILENCE_CHECK_MS = 250;
/** How many connections may be without a preface at one time. */
const MAX_STRANGERS = 64;

/** A connection, and what the user knows its peer by. */
export interface PeerConnection extends Duplex {
  readonly peer: string;
}

/** How the next connection is had. */
export type Meeting =
  | {
    readonly role: "connect";
    /**
     * Dials, as the retry options say.
     *
     * @param limits.timeoutMs The most that it may take, when resuming.
     * @param limits.once Try only once.
     */
    dial(
      limits: { timeoutMs?: number; once?: boolean },
    ): Promise<PeerConnection>;
  }
  | {
    readonly role: "listen";
    /** Waits for the next connection; rejects when the listener is closed. */
    accept(): Promise<PeerConnection>;
    /** The longest wait for the first peer, in ms. */
    readonly acceptTimeoutMs: number | undefined;
  };

export interface ReliableOptions {
  readonly window: number;
  readonly heartbeatMs: number;
  readonly resumeTimeoutMs: number;
  readonly digest: boolean;
  readonly idleTimeoutMs: number | undefined;
}

export interface ReliableContext {
  /** Its abort ends the session on both sides; rejects with its reason. */
  readonly signal: AbortSignal;
  readonly report: Reporter;
  /** Counts what the session has taken from stdin and given to stdout. */
  readonly traffic: Traffic;
}

/**
 * Joins our end and the peer's until both streams have arrived whole and both
 * sides know it.
 *
 * The caller closes `local` and whatever `meeting` uses to get connections; the
 * connections themselves are closed here.
 *
 * @throws {DamagedError} Something is damaged, or the peer does not speak this.
 * @throws {TimeLimitError} No connection for `resumeTimeoutMs`, no byte for
 * `idleTimeoutMs`, nobody came.
 * @throws {BrokenError} The peer ended the session for a failure of its own.
 * @throws What `local` and `meeting` throw, and `signal.reason`.
 */
export async function runReliable(
  local: LocalEnd,
  meeting: Meeting,
  options: ReliableOptions,
  context: ReliableContext,
): Promise<Session> {
  const driver = new Driver(local, meeting, options, context);
  await driver.run();
  return driver.session;
}

/** Wakes one waiting loop. Rung while nobody waits, it ends the next wait at once. */
class Bell {
  #rung = false;
  #wake: () => void = () => {};

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  /** Waits for the bell, for at most `ms`. */
  async wait(ms = Infinity): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = ms === Infinity
        ? undefined
        : setTimeout(resolve, Math.max(0, Math.ceil(ms)));
      await promise;
      clearTimeout(timer);
      this.#wake = () => {};
    }
    this.#rung = false;
  }
}

class Driver {
  readonly session: Session;
  readonly #local: LocalEnd;
  readonly #meeting: Meeting;
  readonly #context: ReliableContext;
  readonly #options: ReliableOptions;
  /** Aborted when the run is over, in whatever way. */
  readonly #over = new AbortController();
  /** Rejects with the first failure of any loop. */
  readonly #failure = Promise.withResolvers<never>();
  readonly #stdinBell = new Bell();
  readonly #stdoutBell = new Bell();
  readonly #writerBell = new Bell();
  #link: Link | undefined;

  constructor(
    local: LocalEnd,
    meeting: Meeting,
    options: ReliableOptions,
    context: ReliableContext,
  ) {
    this.#local = local;
    this.#meeting = meeting;
    this.#options = options;
    this.#context = context;
    this.session = new Session({
      role: meeting.role,
      ...(meeting.role === "connect"
        ? { id: crypto.getRandomValues(new Uint8Array(16)) }
        : {}),
      window: options.window,
      patienceMs: options.heartbeatMs,
      resumeTimeoutMs: options.resumeTimeoutMs,
      digest: options.digest,
    });
  }

  async run(): Promise<void> {
    const { signal, traffic } = this.#context;
    const { idleTimeoutMs } = this.#options;
    signal.throwIfAborted();
    const onAbort = () => this.#failure.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const stopWatch = idleTimeoutMs === undefined
      ? undefined
      : watchIdle(traffic, idleTimeoutMs, this.#failure.reject);
    this.#failure.promise.catch(() => {});
    this.#guard(this.#takeStdin());
    this.#guard(this.#giveStdout());
    const connections = this.#meeting.role === "connect"
      ? this.#dialOn(this.#meeting.dial)
      : this.#acceptOn(this.#meeting);
    try {
      await Promise.race([connections, this.#failure.promise]);
    } catch (error) {
      await this.#farewell(error);
      throw error;
    } finally {
      this.#over.abort();
      stopWatch?.();
      signal.removeEventListener("abort", onAbort);
      this.#link?.close();
    }
  }

  #guard(loop: Promise<void>): void {
    loop.catch(this.#failure.reject);
  }

  // Our end.

  async #takeStdin(): Promise<void> {
    const { session } = this;
    if (this.#local.sends) {
      const reading = this.#copyStdin();
      if (this.#local.endsWithPeer) {
        await Promise.race([reading, this.#incomingComplete.promise]);
      } else {
        await reading;
      }
    } else {
      await this.#incomingComplete.promise;
    }
    session.endLocal();
    this.#writerBell.ring();
  }

  readonly #incomingComplete = Promise.withResolvers<void>();

  async #copyStdin(): Promise<void> {
    const { session } = this;
    for (;;) {
      const room = session.reserve();
      if (room === undefined) {
        await this.#stdinBell.wait();
        continue;
      }
      const bytes = await this.#local.source.read(room);
      if (bytes === null) return;
      this.#context.traffic.addSent(bytes.length);
      for (let rest = bytes; rest.length > 0;) {
        const taken = session.accept(rest);
        rest = rest.subarray(taken);
        this.#writerBell.ring();
        if (rest.length > 0) await this.#stdinBell.wait();
      }
    }
  }

  async #giveStdout(): Promise<void> {
    const { session } = this;
    for (;;) {
      const bytes = session.toDeliver();
      if (bytes !== undefined) {
        await this.#local.sink.write(bytes);
        session.delivered(bytes.length, performance.now());
        this.#context.traffic.addReceived(bytes.length);
        this.#writerBell.ring();
      } else if (session.incomingComplete) {
        break;
      } else {
        await this.#stdoutBell.wait();
      }
    }
    await this.#local.sink.end();
    this.#incomingComplete.resolve();
    this.#writerBell.ring();
  }

  // Connections of the connecting side.

  async #dialOn(
    dial: (
      limits: { timeoutMs?: number; once?: boolean },
    ) => Promise<PeerConnection>,
  ): Promise<void> {
    const { session } = this;
    for (;;) {
      const connection = await this.#dialAgain(dial);
      if (connection === undefined) return;
      const preface = await this.#callPeer(connection);
      if (preface === "gone") return;
      if (preface === "lost") continue;
      if (await this.#converse(connection)) return;
      if (session.finished) return;
      this.#sayLost(connection.peer);
    }
  }

  /** @returns `undefined` when everything is done and the peer is gone. */
  async #dialAgain(
    dial: (
      limits: { timeoutMs?: number; once?: boolean },
    ) => Promise<PeerConnection>,
  ): Promise<PeerConnection | undefined> {
    const { session } = this;
    if (!session.begun) return await dial({});
    const timeoutMs = session.giveUpAt - performance.now();
    try {
      if (timeoutMs <= 0) session.giveUp();
      return await dial({ timeoutMs, once: session.done });
    } catch (error) {
      if (session.done) return undefined;
      if (error instanceof TimeLimitError) session.giveUp();
      throw error;
    }
  }

  /** The prefaces, seen from the connecting side. */
  async #callPeer(
    connection: PeerConnection,
  ): Promise<"met" | "lost" | "gone"> {
    const { session } = this;
    try {
      await connection.sink.write(session.preface());
      const preface = await this.#readPreface(connection);
      session.attach(preface, performance.now());
      return "met";
    } catch (error) {
      connection.close();
      if (session.done) return "gone";
      if (session.begun && error instanceof BrokenError) return "lost";
      throw session.begun || !(error instanceof BrokenError)
        ? error
        : new DamagedError(
          `Cannot begin a session with "${connection.peer}": it closed the connection; ` +
            "the other side must be sockpipe with --reliable, too",
          { cause: error },
        );
    }
  }

  // Connections of the listening side.

  async #acceptOn(
    meeting: Meeting & { role: "listen" },
  ): Promise<void> {
    const { session } = this;
    const ended = Promise.withResolvers<void>();
    this.#guard(this.#receiveVisitors(meeting, ended.resolve));
    using firstLimit = limit(meeting.acceptTimeoutMs, () => {
      if (session.begun) return;
      this.#failure.reject(
        new TimeLimitError("Nobody came in time (--accept-timeout)"),
      );
    });
    void firstLimit;
    const watch = async () => {
      for (;;) {
        await this.#linkBell.wait();
        while (session.begun && !session.connected) {
          const ms = session.giveUpAt - performance.now();
          if (ms <= 0) {
            session.giveUp();
            return;
          }
          await this.#linkBell.wait(ms);
        }
      }
    };
    await Promise.race([ended.promise, watch()]);
  }

  /** Rung when a connection of the listening side begins or ends. */
  readonly #linkBell = new Bell();

  async #receiveVisitors(
    meeting: Meeting & { role: "listen" },
    end: () => void,
  ): Promise<void> {
    let strangers = 0;
    while (!this.#over.signal.aborted) {
      const visitor = await meeting.accept();
      if (this.#over.signal.aborted || strangers >= MAX_STRANGERS) {
        visitor.close();
        continue;
      }
      strangers++;
      this.#guard(
        this.#receiveVisitor(visitor, () => strangers--).then((finished) => {
          if (finished) end();
        }),
      );
    }
  }

  /** @returns Whether the session is over. */
  async #receiveVisitor(
    visitor: PeerConnection,
    onKnown: () => void,
  ): Promise<boolean> {
    const { session } = this;
    try {
      const preface = await this.#readPreface(visitor).finally(onKnown);
      if (await this.#refuse(visitor, preface)) return false;
      await this.#link?.stop();
      if (await this.#refuse(visitor, preface)) return false;
      session.attach(preface, performance.now());
      this.#linkBell.ring();
      await visitor.sink.write(session.preface());
    } catch (error) {
      visitor.close();
      // Whoever is not the peer of this session does not disturb it.
      if (session.begun || error instanceof BrokenError) return false;
      throw error;
    }
    if (await this.#converse(visitor) || session.finished) return true;
    this.#linkBell.ring();
    this.#sayLost(visitor.peer);
    return false;
  }

  async #refuse(visitor: PeerConnection, preface: Preface): Promise<boolean> {
    const refusal = this.session.refusal(preface);
    if (refusal === undefined) return false;
    await visitor.sink.write(refusal);
    await visitor.sink.end();
    visitor.close();
    return true;
  }

  // Either side.

  /**
   * @throws {DamagedError} It is none, or it took too long on first contact.
   * @throws {BrokenError} The connection ended or broke before it was complete.
   */
  async #readPreface(connection: PeerConnection): Promise<Preface> {
    const reader = new PrefaceReader();
    let late = false;
    using _limit = limit(PREFACE_LIMIT_MS, () => {
      late = true;
      connection.abort();
    });
    try {
      for (;;) {
        const bytes = await connection.source.read(reader.room());
        if (bytes === null) {
          throw new BrokenError(
            `Cannot begin a session with "${connection.peer}": it closed the connection`,
          );
        }
        const preface = reader.filled(bytes.length);
        if (preface !== undefined) return preface;
      }
    } catch (error) {
      if (!late || this.session.begun) throw error;
      throw new DamagedError(
        `Cannot begin a session with "${connection.peer}": no answer within 10s; ` +
          "the other side must be sockpipe with --reliable, too",
        { cause: error },
      );
    }
  }

  /**
   * Moves frames over one connection until it is lost or the session is over.
   *
   * @returns Whether the session is over. The connection is closed in any case.
   */
  async #converse(connection: PeerConnection): Promise<boolean> {
    const link = new Link(this.session, connection, {
      writer: this.#writerBell,
      onRead: () => {
        this.#stdinBell.ring();
        this.#stdoutBell.ring();
        this.#writerBell.ring();
      },
    });
    this.#link = link;
    this.#stdinBell.ring();
    this.#context.report.say({
      event: "session",
      peer: connection.peer,
      resumed: this.#resumed,
    });
    if (!this.#resumed) this.#reportFrom(performance.now());
    this.#resumed = true;
    try {
      await link.run();
    } catch (error) {
      // A broken connection is mended; one that the peer ended by ABORT is not.
      if (!(error instanceof BrokenError) || this.session.over) throw error;
    } finally {
      this.session.lost(performance.now());
    }
    return this.session.finished;
  }

  #resumed = false;
  #breaks = 0;

  #reportFrom(begunAt: number): void {
    const { report, traffic } = this.#context;
    report.follow(() => ({
      sent: traffic.sent,
      received: traffic.received,
      connectedMs: performance.now() - begunAt,
      confirmed: this.session.confirmedBytes,
      breaks: this.#breaks,
    }));
  }

  #sayLost(peer: string): void {
    if (this.#over.signal.aborted) return;
    this.#breaks++;
    this.#context.report.say({
      event: "interrupted",
      peer,
      confirmed: this.session.confirmedBytes,
      received: this.session.deliveredBytes,
    });
  }

  /** Tells the peer why, if it can still be told, and not for long. */
  async #farewell(error: unknown): Promise<void> {
    const link = this.#link;
    const abort = this.session.abort(reasonFor(error), textFor(error));
    if (link === undefined || abort === undefined) return;
    await link.farewell(abort);
  }
}

function reasonFor(error: unknown): number {
  if (error instanceof DamagedError) return REASON.protocol;
  if (error instanceof LocalIoError) return REASON.localIo;
  if (error instanceof ReaderGoneError) return REASON.readerGone;
  if (error instanceof SignalError) return REASON.interrupted;
  if (error instanceof TimeLimitError) return REASON.timeLimit;
  return REASON.localIo;
}

function textFor(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Calls `late` after `ms`, unless it is disposed of before. */
function limit(ms: number | undefined, late: () => void): Disposable {
  const timer = ms === undefined ? undefined : setTimeout(late, ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** The reader and the writer of one connection. */
class Link {
  readonly #session: Session;
  readonly #connection: PeerConnection;
  readonly #bell: Bell;
  readonly #onRead: () => void;
  readonly #stopped = Promise.withResolvers<void>();
  #closed = false;
  #writing = false;

  constructor(
    session: Session,
    connection: PeerConnection,
    { writer, onRead }: { writer: Bell; onRead: () => void },
  ) {
    this.#session = session;
    this.#connection = connection;
    this.#bell = writer;
    this.#onRead = onRead;
  }

  /**
   * Runs both until the connection is lost or nothing is left to say.
   *
   * @throws {BrokenError} The connection is lost, or the peer ended the session.
   * @throws {DamagedError} The peer sent what must not be.
   */
  async run(): Promise<void> {
    const loops = [this.#read(), this.#write()];
    using _silence = this.#watchForSilence();
    try {
      await Promise.race([Promise.all(loops), this.#stopped.promise]);
    } finally {
      this.close();
      await Promise.allSettled(loops);
      this.#ended.resolve();
    }
  }

  readonly #ended = Promise.withResolvers<void>();

  /** Makes room for another connection; resolves when both loops have ended. */
  async stop(): Promise<void> {
    this.close();
    await this.#ended.promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopped.resolve();
    this.#connection.close();
    this.#bell.ring();
  }

  /** Sends ABORT, unless a write is under way, and lets it arrive. */
  async farewell(abort: Uint8Array): Promise<void> {
    if (this.#closed || this.#writing) return;
    using _limit = limit(ABORT_LIMIT_MS, () => this.close());
    try {
      await this.#connection.sink.write(abort);
      await this.#connection.sink.end();
      await this.#stopped.promise;
    } catch {
      // The connection is gone; the peer finds that out by itself.
    }
  }

  /** Until the end of the connection, at which a session that is over leaves. */
  async #read(): Promise<void> {
    for (;;) {
      const bytes = await this.#connection.source.read(this.#session.room());
      if (bytes === null) return this.close();
      this.#session.received(bytes.length, performance.now());
      this.#onRead();
    }
  }

  /** A peer that is gone may leave the writer stuck, so this is not its job. */
  #watchForSilence(): Disposable {
    const timer = setInterval(() => {
      if (this.#session.isSilent(performance.now())) this.close();
    }, SILENCE_CHECK_MS);
    return { [Symbol.dispose]: () => clearInterval(timer) };
  }

  async #write(): Promise<void> {
    while (!this.#closed) {
      const now = performance.now();
      const bytes = this.#session.nextToSend(now);
      if (bytes !== undefined) {
        this.#writing = true;
        await this.#connection.sink.write(bytes);
        this.#writing = false;
      } else if (this.#session.finished) {
        return this.close();
      } else {
        await this.#bell.wait(this.#session.wakeAt - now);
      }
    }
  }
}
