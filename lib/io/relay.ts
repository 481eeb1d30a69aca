/**
 * The relay: stdin and stdout joined with a socket by poll(2) on this very thread,
 * without a promise for each message. This is the fast way of a plain connection;
 * whatever comes in between (TLS, a limited rate, a record) goes by `pipe.ts`.
 *
 * It blocks the thread only for moments: see {@linkcode TimeSlice}, and when nothing
 * happens for {@linkcode HOT_MS} another thread does the waiting.
 */

import { delay } from "@std/async/delay";
import { BrokenError, reasonOf, TimeLimitError } from "../base/errors.ts";
import { type LibC, POLLERR, POLLHUP, POLLIN, POLLOUT } from "../base/libc.ts";
import { formatDuration } from "../base/units.ts";
import { HALF_CLOSE_HINT } from "../pipe/pipe.ts";
import type { Traffic } from "../pipe/traffic.ts";
import { Descriptor } from "./descriptor.ts";
import { Flow, type Port } from "./flow.ts";
import { AsyncPoll, PollSet, TimeSlice } from "../base/poll.ts";
import { stdinError, stdoutError } from "./local_errors.ts";

/** How long this thread waits for the next byte before another one does, in ms. */
const HOT_MS = 10;
/** The longest pause before it is asked again whether the peer has everything, in ms. */
const MAX_ACKNOWLEDGE_PAUSE_MS = 50;
/** How soon it is asked again whether a background job is in the foreground, in ms. */
const BACKGROUND_MS = 200;

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

/** What a relay is to do. */
export interface RelayOptions {
  /** Its abort ends the relay, which rejects with its reason. */
  readonly signal: AbortSignal;
  readonly traffic: Traffic;
  /** The longest time without a byte either way, in ms. */
  readonly idleTimeoutMs: number | undefined;
  /** Told once when our side, and once when the peer's side, ends first. */
  readonly onHalfClose?: (ended: "local" | "peer") => void;
  /** The most that one read may take, in bytes. */
  readonly dataSize: number;
  /** Where bytes to send come from: `message`, stdin, or nowhere. */
  readonly message: Uint8Array | undefined;
  readonly readsStdin: boolean;
  /** Whether what the peer sends is written, and not dropped. */
  readonly writesStdout: boolean;
  /** Whether the user wants it so; `undefined` where there is no choice. */
  readonly noHalfClose?: boolean | undefined;
  /** Whether our sending side is kept open until the peer has ended its own. */
  readonly keepsSendingOpen: boolean;
  /** Whether stdin is given up when the peer has ended. */
  readonly endsWithPeer: boolean;
  /** Called when all that the peer sent is written. */
  readonly closeStdout: () => void;
}

/**
 * Joins stdin and stdout with a socket until both directions have ended. The
 * caller closes the socket.
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

class Relay implements Disposable {
  readonly #c: LibC;
  readonly #socket: RelaySocket;
  readonly #options: RelayOptions;
  readonly #resources = new DisposableStack();
  readonly #waits: AsyncPoll;
  readonly #up: Flow;
  readonly #down: Flow;
  #upFailure: unknown;
  /** Whether our sending side has been ended. */
  #isShut = false;
  #saidHalfClose = false;
  /** Whether the socket is asked for a failure while nobody reads or writes it. */
  #watchesSocket = true;
  readonly #slice = new TimeSlice();
  readonly #set: PollSet;

  constructor(c: LibC, socket: RelaySocket, options: RelayOptions) {
    this.#c = c;
    this.#socket = socket;
    this.#options = options;
    this.#set = new PollSet(c);
    this.#waits = this.#resources.use(new AsyncPoll(c));
    const onAbort = () => this.#waits[Symbol.dispose]();
    options.signal.addEventListener("abort", onAbort, { once: true });
    this.#resources.defer(() =>
      options.signal.removeEventListener("abort", onAbort)
    );
    const { traffic, dataSize, message, readsStdin, writesStdout } = options;
    const descriptor = Descriptor.ofSocket(c, socket.fd);
    this.#up = new Flow(c, {
      from: readsStdin ? this.#standard(0) : undefined,
      ...(message === undefined ? {} : { first: message }),
      to: { descriptor, failed: (cause) => this.#broken("send to", cause) },
      dataSize,
      splices: true,
      onWritten: (bytes) => traffic.addSent(bytes),
    });
    this.#down = new Flow(c, {
      from: {
        descriptor,
        failed: (cause) => this.#broken("receive from", cause),
      },
      to: writesStdout ? this.#standard(1) : undefined,
      dataSize,
      splices: true,
      onRead: (bytes) => traffic.addReceived(bytes),
    });
  }

  async run(): Promise<void> {
    for (;;) {
      this.#options.signal.throwIfAborted();
      this.#stepDown();
      this.#stepUp();
      if (this.#isOver()) break;
      await this.#wait();
    }
    await this.#untilAcknowledged();
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  /** stdin or stdout; a stdin that cannot be read is at its end. */
  #standard(fd: 0 | 1): Port | undefined {
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

  #stepUp(): void {
    const up = this.#up;
    if (up.ended || this.#upFailure !== undefined) return;
    try {
      up.step();
    } catch (error) {
      // What arrived before the connection broke is still to be had.
      if (!(error instanceof BrokenError)) throw error;
      this.#upFailure = error;
    }
  }

  #stepDown(): void {
    const down = this.#down;
    if (down.ended) return;
    down.step();
    if (!down.ended) return;
    this.#options.closeStdout();
    this.#sayHalfClose("peer");
  }

  /** Ends what has ended; tells whether nothing is left. */
  #isOver(): boolean {
    const { keepsSendingOpen, endsWithPeer, noHalfClose } = this.#options;
    const peerEnded = this.#down.ended;
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

  async #wait(): Promise<void> {
    if (this.#flows().some(({ waitsFor }) => waitsFor === "turn")) {
      await this.#slice.pauseIfOver();
      return;
    }
    const startedAt = performance.now();
    const limitMs = this.#limitMs(startedAt);
    const set = this.#set;
    set.clear();
    const places = this.#fill(set);
    if (set.wait(Math.min(HOT_MS, limitMs))) {
      await this.#slice.pauseIfOver();
    } else {
      await this.#waits.wait(set, limitMs === Infinity ? -1 : limitMs);
      this.#slice.restart();
    }
    this.#count(performance.now() - startedAt);
    this.#look(set, places);
  }

  /** Waits until the peer has everything; see {@linkcode RelaySocket.isAcknowledged}. */
  async #untilAcknowledged(): Promise<void> {
    const { signal } = this.#options;
    try {
      for (let pauseMs = 1; !this.#socket.isAcknowledged();) {
        await delay(Math.min(pauseMs, this.#limitMs(performance.now())), {
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

  /** Those that are still to do something. */
  #flows(): Flow[] {
    return [this.#up, this.#down].filter((flow) =>
      !flow.ended && !(flow === this.#up && this.#upFailure !== undefined)
    );
  }

  /** Fills in what is waited for; returns where the socket and stdout stand. */
  #fill(set: PollSet): { socket: number; stdout: number } {
    const [up, down] = [this.#up, this.#down];
    const flows = this.#flows();
    const upActive = flows.includes(up);
    let socketEvents = 0;
    let stdout = -1;
    if (upActive && up.waitsFor === "to") socketEvents |= POLLOUT;
    if (upActive && up.waitsFor === "from" && up.from?.descriptor.isPollable) {
      set.add(up.from.descriptor.fd, POLLIN);
    }
    if (flows.includes(down)) {
      if (down.waitsFor === "from") socketEvents |= POLLIN;
      if (down.to !== undefined && down.to.descriptor.kind !== "file") {
        const events = down.waitsFor === "to" ? POLLOUT : 0;
        stdout = set.add(down.to.descriptor.fd, events);
      }
    }
    const isWatched = socketEvents !== 0 || this.#watchesSocket;
    const socket = isWatched ? set.add(this.#socket.fd, socketEvents) : -1;
    return { socket, stdout };
  }

  /** Looks for what no read or write would tell. */
  #look(set: PollSet, { socket, stdout }: { socket: number; stdout: number }) {
    const { kind } = this.#down.to?.descriptor ?? {};
    const lost = kind === "pipe" ? POLLERR : POLLERR | POLLHUP;
    if (
      stdout >= 0 && kind !== "terminal" &&
      (set.happened(stdout) & lost) !== 0
    ) {
      throw stdoutError(new Deno.errors.BrokenPipe());
    }
    const isUsed = this.#flows().some((flow) =>
      flow.waitsFor === (flow === this.#up ? "to" : "from")
    );
    if (isUsed || socket < 0 || set.happened(socket) === 0) return;
    this.#watchesSocket = false;
    // What it still has to give is read before it is asked why it failed.
    if (!this.#down.ended) return;
    const error = this.#socket.takeError();
    if (error !== undefined) throw this.#broken("send to", error);
  }

  /** How long may be waited, in ms. */
  #limitMs(now: number): number {
    const { idleTimeoutMs, traffic } = this.#options;
    const from = this.#up.from?.descriptor;
    const inBackground = !this.#up.ended && from !== undefined &&
      !from.isPollable;
    const mostMs = inBackground ? BACKGROUND_MS : Infinity;
    if (idleTimeoutMs === undefined) return mostMs;
    const leftMs = idleTimeoutMs - (now - traffic.lastMoveAt);
    if (leftMs > 0) return Math.min(mostMs, Math.ceil(leftMs));
    throw new TimeLimitError(
      `No byte either way for ${
        formatDuration(idleTimeoutMs)
      } (--idle-timeout); ${traffic}`,
    );
  }

  /** Counts a wait for whoever was waited for. */
  #count(ms: number): void {
    const { waited } = this.#options.traffic;
    for (const flow of this.#flows()) {
      const isUp = flow === this.#up;
      if (flow.waitsFor === "from") {
        waited.add(isUp ? "stdin" : "receiving", ms);
      } else if (flow.waitsFor === "to") {
        waited.add(isUp ? "sending" : "stdout", ms);
      }
    }
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
