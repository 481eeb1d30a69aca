/**
 * The relay: stdin and stdout joined with a socket by poll(2) on this very thread,
 * without a promise for each message. This is the fast way of a plain connection;
 * whatever comes in between (TLS, a limited rate, a record) goes by `pipe.ts`.
 *
 * It blocks the thread only for moments: see {@linkcode TimeSlice}, and when nothing
 * happens for {@linkcode HOT_MS} another thread does the waiting.
 */

import { delay } from "@std/async/delay";
import { onAbort } from "../base/deadline.ts";
import { BrokenError, reasonOf, TimeLimitError } from "../base/errors.ts";
import { type LibC, POLLIN, POLLOUT } from "../base/libc.ts";
import { HALF_CLOSE_HINT, idleError, type PipeOptions } from "../pipe/pipe.ts";
import { BACKGROUND_MS, Descriptor } from "./descriptor.ts";
import { Flow, type FlowEnd, type FlowWait } from "./flow.ts";
import { AsyncPoll, PollSet, TimeSlice } from "../base/poll.ts";
import { stdinError, stdoutError, StdoutReader } from "./local_errors.ts";

/** The time that this thread waits for the next byte before another one does, in ms. */
const HOT_MS = 10;
/** The bytes in one turn from which on moving them takes time that is not waiting. */
const BULK_TURN_BYTES = 16 * 1024;
/** The most short waits that are counted as one, between two looks at the clock. */
const UNTIMED_WAITS = 16;
/** The longest pause before asking again whether the peer has everything, in ms. */
const MAX_ACKNOWLEDGE_PAUSE_MS = 50;

/** The connected socket, as the relay needs it. */
export interface RelaySocket {
  readonly fd: number;
  /** The peer's address, for messages. */
  readonly peer: string;
  /** Ends our sending side. */
  shutdown(): void;
  /** Takes the error that the socket holds, if it has one. */
  takeError(): Error | undefined;
  /**
   * Whether the peer has all that was sent.
   *
   * @throws {Error} The connection has broken.
   */
  isAcknowledged(): boolean;
}

/** The options of a relay. */
export interface RelayOptions extends PipeOptions {
  /** The most that one read may take, in bytes. */
  readonly dataSize: number;
  /** The bytes to send instead of stdin; see `readsStdin`. */
  readonly message: Uint8Array | undefined;
  /** Whether stdin is sent; without it and a message, nothing is. */
  readonly readsStdin: boolean;
  /** The target of what the peer sends: stdout, a file, or nothing. */
  readonly target: "stdout" | FlowEnd | undefined;
  /** Whether our sending side is kept open until the peer has ended its own. */
  readonly keepsSendingOpen: boolean;
  /** Whether stdin is given up when the peer has ended. */
  readonly endsWithPeer: boolean;
  /** Called when all that the peer sent is written. */
  readonly closeTarget: () => void;
}

/**
 * Joins stdin and stdout, or a file, with a socket until both directions have ended.
 * The caller closes the socket.
 *
 * @throws {BrokenError} The connection broke; with the byte counts. What had come
 * before is written.
 * @throws {TimeLimitError} Nothing moved for `idleTimeoutMs`.
 * @throws {LocalIoError | ReaderGoneError} stdin or stdout failed.
 * @throws `signal.reason`.
 */
export async function relay(
  c: LibC,
  socket: RelaySocket,
  options: RelayOptions,
): Promise<void> {
  using relay = new Relay(c, socket, options);
  await relay.run();
}

/** The reason to stop working: all is done, nothing happens, or it took long. */
type Pause = "over" | "quiet" | "long";

/** The indexes in the {@linkcode PollSet}. */
const STDIN = 0;
const SOCKET = 1;
const STDOUT = 2;

class Relay implements Disposable {
  readonly #c: LibC;
  readonly #socket: RelaySocket;
  readonly #options: RelayOptions;
  readonly #resources = new DisposableStack();
  readonly #waits: AsyncPoll;
  readonly #set: PollSet;
  readonly #slice: TimeSlice;
  /** From stdin to the socket. */
  readonly #up: Flow;
  /** From the socket to stdout. */
  readonly #down: Flow;
  #upIsReady = true;
  #downIsReady = true;
  #upFailure: unknown;
  /** Whether our sending side has been ended. */
  #isShut = false;
  #saidHalfClose = false;
  /** Whether the socket is asked for a failure while nobody reads or writes it. */
  #watchesSocket = true;
  /** The time, as of the last wait: a look at the clock takes as long as a call. */
  #now = performance.now();
  readonly #reader = new StdoutReader();
  #untimedWaits = 0;
  #movedBytes = 0;

  constructor(c: LibC, socket: RelaySocket, options: RelayOptions) {
    this.#c = c;
    this.#socket = socket;
    this.#options = options;
    this.#set = new PollSet(c);
    this.#slice = new TimeSlice(c);
    for (const _ of [STDIN, SOCKET, STDOUT]) this.#set.add(-1, 0);
    this.#waits = this.#resources.use(new AsyncPoll(c));
    this.#resources.use(
      onAbort(options.signal, () => this.#waits[Symbol.dispose]()),
    );
    const { dataSize, message, readsStdin, target } = options;
    const descriptor = Descriptor.ofSocket(c, socket.fd);
    this.#up = new Flow(c, {
      from: readsStdin ? this.#standard(0) : undefined,
      ...(message === undefined ? {} : { first: message }),
      to: { descriptor, failed: (cause) => this.#broken("send to", cause) },
      dataSize,
      splices: true,
      onWritten: (bytes) => this.#count("sent", bytes),
    });
    this.#down = new Flow(c, {
      from: {
        descriptor,
        failed: (cause) => this.#broken("receive from", cause),
      },
      to: target === "stdout" ? this.#standard(1) : target,
      dataSize,
      splices: true,
      onRead: (bytes) => this.#count("received", bytes),
    });
    options.traffic.waited.update = () => this.#countWait();
  }

  async run(): Promise<void> {
    for (;;) {
      this.#options.signal.throwIfAborted();
      const pause = this.#work();
      if (pause === "over") break;
      if (pause === "quiet") await this.#waitElsewhere();
      else await this.#slice.pauseIfOver();
    }
    await this.#untilAcknowledged();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** Opens stdin or stdout; a stdin that cannot be read is at its end. */
  #standard(fd: 0 | 1): FlowEnd | undefined {
    const descriptor = Descriptor.ofGiven(
      this.#c,
      fd,
      fd === 0 ? "read" : "write",
    );
    if (descriptor === undefined) {
      if (fd === 0) return undefined;
      throw stdoutError(new Error("bad file descriptor"));
    }
    this.#resources.use(descriptor);
    return { descriptor, failed: fd === 0 ? stdinError : stdoutError };
  }

  /** Moves bytes and waits for more, for as long as this thread may do so. */
  #work(): Pause {
    for (;;) {
      if (this.#downIsReady) this.#stepDown();
      if (this.#upIsReady) this.#stepUp();
      if (this.#finishEnded()) return "over";
      if (this.#downIsReady || this.#upIsReady) {
        if (this.#slice.isOver(performance.now())) return "long";
        continue;
      }
      this.#fillPollSet();
      const limitMs = this.#limitMs();
      // Moving takes time only when there is much of it; else all was waiting.
      const isBulk = this.#movedBytes >= BULK_TURN_BYTES;
      if (isBulk) this.#now = performance.now();
      this.#movedBytes = 0;
      if (!this.#set.waitAwake(Math.min(HOT_MS, limitMs))) return "quiet";
      const isTimed = isBulk || ++this.#untimedWaits >= UNTIMED_WAITS ||
        this.#options.idleTimeoutMs !== undefined;
      if (isTimed) this.#countWait();
      this.#readPollSet();
      if (this.#slice.isOver(this.#now)) return "long";
    }
  }

  /** Lets another thread wait; timers and signals have their turn meanwhile. */
  async #waitElsewhere(): Promise<void> {
    const limitMs = this.#limitMs();
    await this.#waits.wait(this.#set, limitMs === Infinity ? -1 : limitMs);
    this.#slice.restart();
    this.#countWait();
    this.#readPollSet();
  }

  #stepUp(): void {
    const up = this.#up;
    this.#upIsReady = false;
    if (up.ended || this.#upFailure !== undefined) return;
    try {
      up.step();
      this.#upIsReady = up.waitsFor === "turn" && !up.ended;
    } catch (error) {
      // What arrived before the connection broke is still to be had.
      if (!(error instanceof BrokenError)) throw error;
      this.#upFailure = error;
    }
  }

  #stepDown(): void {
    const down = this.#down;
    this.#downIsReady = false;
    if (down.ended) return;
    down.step();
    this.#downIsReady = down.waitsFor === "turn" && !down.ended;
    if (!down.ended) return;
    this.#options.closeTarget();
    this.#sayHalfClose("peer");
  }

  /** Ends what has ended. @returns Whether nothing is left. */
  #finishEnded(): boolean {
    const peerEnded = this.#down.ended;
    if (!peerEnded && !this.#up.ended) return false;
    const { keepsSendingOpen, endsWithPeer, noHalfClose } = this.#options;
    if (peerEnded && this.#upFailure !== undefined) throw this.#upFailure;
    const sent = this.#up.ended || peerEnded && endsWithPeer;
    if (sent && noHalfClose) this.#sayHalfClose("local");
    if (sent && (peerEnded || !keepsSendingOpen) && !this.#isShut) {
      this.#isShut = true;
      this.#socket.shutdown();
      this.#sayHalfClose("local");
    }
    return sent && peerEnded;
  }

  #sayHalfClose(ended: "local" | "peer"): void {
    if (!this.#saidHalfClose) this.#options.onHalfClose?.(ended);
    this.#saidHalfClose = true;
  }

  /** The wait of the sending flow; `undefined` once it has ended or failed. */
  get #upWaitsFor(): FlowWait | undefined {
    const isActive = !this.#up.ended && this.#upFailure === undefined;
    return isActive ? this.#up.waitsFor : undefined;
  }

  get #downWaitsFor(): FlowWait | undefined {
    return this.#down.ended ? undefined : this.#down.waitsFor;
  }

  /** Fills the set with what is waited for. */
  #fillPollSet(): void {
    const [up, down] = [this.#upWaitsFor, this.#downWaitsFor];
    const stdin = up === "from" ? this.#up.from?.descriptor : undefined;
    const isAsked = stdin?.isPollable === true;
    this.#set.replace(STDIN, isAsked ? stdin.fd : -1, POLLIN);
    const events = (up === "to" ? POLLOUT : 0) |
      (down === "from" ? POLLIN : 0);
    const isWatched = events !== 0 || this.#watchesSocket;
    this.#set.replace(SOCKET, isWatched ? this.#socket.fd : -1, events);
    const stdout = down === undefined ? undefined : this.#down.to?.descriptor;
    // A file is always ready, and has no reader that could leave.
    const isDone = stdout?.kind === "file" || this.#reader.hasLeft;
    const fd = stdout === undefined || isDone ? -1 : stdout.fd;
    this.#set.replace(STDOUT, fd, down === "to" ? POLLOUT : 0);
  }

  /** Counts the time since the last look at the clock for what is waited for. */
  #countWait(): void {
    this.#untimedWaits = 0;
    const before = this.#now;
    this.#now = performance.now();
    const [up, down] = [this.#upWaitsFor, this.#downWaitsFor];
    const { waited } = this.#options.traffic;
    const ms = this.#now - before;
    if (up !== undefined) waited.add(up === "from" ? "stdin" : "sending", ms);
    if (down !== undefined) {
      waited.add(down === "from" ? "receiving" : "stdout", ms);
    }
  }

  /** Reads what has happened from the set. */
  #readPollSet(): void {
    const [up, down] = [this.#upWaitsFor, this.#downWaitsFor];
    const stdin = this.#set.happened(STDIN);
    const socket = this.#set.happened(SOCKET);
    const stdout = this.#set.happened(STDOUT);
    this.#upIsReady = up === "from" ? stdin !== 0 : up === "to" && socket !== 0;
    this.#downIsReady = down === "from" ? socket !== 0 : down === "to" &&
      (stdout !== 0 || this.#down.to?.descriptor.kind === "file");
    if (this.#down.to?.descriptor.tellsReaderLeft(stdout)) this.#reader.leave();
    const isUsed = up === "to" || down === "from";
    if (socket !== 0 && !isUsed) this.#checkSocket();
  }

  /** Checks for a reset, where nothing is read or written. */
  #checkSocket(): void {
    this.#watchesSocket = false;
    // What it still has to give is read before it is asked why it failed.
    if (!this.#down.ended) return;
    const error = this.#socket.takeError();
    if (error !== undefined) throw this.#broken("send to", error);
  }

  /** Waits until the peer has everything; see {@linkcode RelaySocket.isAcknowledged}. */
  async #untilAcknowledged(): Promise<void> {
    const { signal } = this.#options;
    try {
      for (let pauseMs = 1; !this.#socket.isAcknowledged();) {
        await delay(Math.min(pauseMs, this.#limitMs()), {
          signal,
        });
        pauseMs = Math.min(pauseMs * 2, MAX_ACKNOWLEDGE_PAUSE_MS);
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof TimeLimitError) throw error;
      throw this.#broken("send to", error);
    }
  }

  /**
   * Computes how long may be waited, in ms.
   *
   * @throws {TimeLimitError} The time is over.
   */
  #limitMs(): number {
    const { idleTimeoutMs, traffic } = this.#options;
    const stdin = this.#up.from?.descriptor;
    const inBackground = this.#upWaitsFor === "from" &&
      stdin?.isPollable === false;
    const graceMs = this.#down.ended ? Infinity : this.#reader.remainingMs();
    const mostMs = Math.min(inBackground ? BACKGROUND_MS : Infinity, graceMs);
    if (idleTimeoutMs === undefined) return mostMs;
    const leftMs = idleTimeoutMs - (performance.now() - traffic.lastMoveAt);
    if (leftMs > 0) return Math.min(mostMs, Math.ceil(leftMs));
    throw idleError(idleTimeoutMs, traffic);
  }

  #count(what: "sent" | "received", bytes: number): void {
    const { traffic } = this.#options;
    this.#movedBytes += bytes;
    if (what === "sent") traffic.addSent(bytes, this.#now);
    else traffic.addReceived(bytes, this.#now);
  }

  #broken(action: string, cause: unknown): BrokenError {
    const { traffic, noHalfClose } = this.#options;
    const mayHelp = noHalfClose === false && this.#isShut && !this.#down.ended;
    const hint = mayHelp ? HALF_CLOSE_HINT : "";
    return new BrokenError(
      `Cannot ${action} "${this.#socket.peer}": ${
        reasonOf(cause)
      }${hint}; ${traffic}`,
      { cause },
    );
  }
}
