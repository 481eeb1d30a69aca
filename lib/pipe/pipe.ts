/**
 * The pipe: two ends joined in both directions, until both have ended.
 *
 * The directions are independent: one that is stalled or has ended never holds up
 * the other. Each ends on its own (half-close), and the first real failure ends
 * both.
 */

import { abortable } from "@std/async/abortable";
import { Deadline } from "../base/deadline.ts";
import { type Duplex, type Sink, type Source, withStreams } from "./duplex.ts";
import { BrokenError, TimeLimitError } from "../base/errors.ts";
import type { Traffic, WaitedFor, WaitTimes } from "./traffic.ts";
import { formatDuration } from "../base/units.ts";

/** Our own end: where what is sent comes from and what is received goes. */
export interface LocalEnd extends Duplex {
  /**
   * Whether it has anything to send. If not, our side is ended when the peer's has
   * ended.
   */
  readonly sends: boolean;
  /** Whether its source is given up when the peer has ended. */
  readonly endsWithPeer: boolean;
  /**
   * Settles when the peer's end is waited for no longer: resolves when nobody is
   * here to read, rejects with what ends the connection.
   */
  readonly gone?: Promise<void>;
  /**
   * Joins this end with a connection by a faster way than {@linkcode pipe}, with
   * the same contract.
   *
   * @returns `undefined` when it cannot; then nothing was moved.
   */
  joinDirectly?(
    remote: Duplex,
    options: PipeOptions,
  ): Promise<void> | undefined;
  /**
   * Waits, after `close` or `abort`, until nothing of it is left.
   *
   * @throws {LocalIoError} What it did has failed.
   */
  finished?(): Promise<void>;
}

export interface PipeOptions {
  /** Its abort aborts the connection; the pipe rejects with its reason. */
  readonly signal: AbortSignal;
  readonly traffic: Traffic;
  /** The longest time without a byte either way, in ms. */
  readonly idleTimeoutMs: number | undefined;
  /**
   * Whether our side ends only after the peer's; `undefined` where the user has no
   * choice.
   */
  readonly noHalfClose?: boolean | undefined;
  /** Called when one side has ended and the other has not. */
  readonly onHalfClose?: (ended: "local" | "peer") => void;
}

/**
 * Joins our end and the peer's until both directions have ended.
 *
 * Everything that the peer has sent is written before this settles, also when
 * sending fails in the meantime; not when the local end is `gone`. The caller closes
 * both ends; on failure and
 * abort both have been aborted, so that the peer does not take it for an end.
 *
 * @throws {BrokenError} The connection broke; with the byte counts.
 * @throws {TimeLimitError} Nothing moved for `idleTimeoutMs`.
 * @throws What the ends throw, and `signal.reason`.
 */
export async function pipe(
  local: LocalEnd,
  remote: Duplex,
  options: PipeOptions,
): Promise<void> {
  const { signal, traffic, idleTimeoutMs } = options;
  using deadline = idleDeadline(signal, traffic, idleTimeoutMs);
  try {
    deadline.signal.throwIfAborted();
    const joined = Promise.race([
      bothWays(local, remote, options),
      ...[local.sink.failed, local.failed, remote.failed]
        .filter((failed) => failed !== undefined),
    ]);
    await abortable(joined, deadline.signal);
  } catch (error) {
    remote.abort();
    local.abort();
    throw withTotals(error, traffic);
  }
}

/**
 * Makes a local end with another sink. Only {@linkcode pipe} joins it, as a faster way
 * would pass the sink by.
 */
export function withSink(local: LocalEnd, sink: Sink): LocalEnd {
  const { sends, endsWithPeer, gone } = local;
  return {
    ...withStreams(local, { sink }),
    sends,
    endsWithPeer,
    ...gone && { gone },
    ...local.finished && { finished: local.finished.bind(local) },
  };
}

/** Adds the byte counts to the error of a connection that broke. */
export function withTotals(error: unknown, traffic: Traffic): unknown {
  if (!(error instanceof BrokenError)) return error;
  const { message, cause } = error;
  return new BrokenError(`${message}; ${traffic}`, { cause });
}

async function bothWays(
  local: LocalEnd,
  remote: Duplex,
  { onHalfClose, noHalfClose, traffic: { waited } }: PipeOptions,
): Promise<void> {
  let hasOneEnded = false;
  let hasHalfClosed = false;
  const ended = (side: "local" | "peer") => {
    if (!hasOneEnded) onHalfClose?.(side);
    hasOneEnded = true;
  };
  const receiving = new Direction(remote.source, local.sink, {
    waited,
    from: "receiving",
    to: "stdout",
  });
  const source = local.sends ? local.source : NOTHING;
  const sending = new Direction(source, remote.sink, {
    waited,
    from: "stdin",
    to: "sending",
  });
  const receive = async () => {
    try {
      await receiving.run(sending);
    } catch (error) {
      const mayHelp = noHalfClose === false && hasHalfClosed;
      if (!mayHelp || !(error instanceof BrokenError)) throw error;
      const { message, cause } = error;
      throw new BrokenError(message + HALF_CLOSE_HINT, { cause });
    }
    ended("peer");
  };
  const received = receive();
  const send = async () => {
    await sending.run(receiving, async () => {
      if (local.sends && noHalfClose) ended("local");
      if (!local.sends || noHalfClose) await received;
      hasHalfClosed = true;
    });
    ended("local");
  };
  const sent = send();
  const everythingSent = local.endsWithPeer
    ? Promise.race([sent, received])
    : sent;
  const everythingReceived = local.gone === undefined
    ? received
    : Promise.race([received, local.gone]);
  await Promise.all([everythingReceived, everythingSent]);
  await remote.sink.end();
}

/** The source of an end that sends nothing. */
const NOTHING: Source = { read: () => Promise.resolve(null) };

/** The counters for the waits of one direction. */
interface Waits {
  readonly waited: WaitTimes;
  readonly from: WaitedFor;
  readonly to: WaitedFor;
}

/** One of the two directions between two ends. */
class Direction {
  readonly #source: Source;
  readonly #sink: Sink;
  readonly #waits: Waits;
  /** Resolves when nothing more moves. */
  #stopped: Promise<void> | undefined;
  /** The end that has failed. */
  #failed: "source" | "sink" | undefined;

  constructor(source: Source, sink: Sink, waits: Waits) {
    this.#source = source;
    this.#sink = sink;
    this.#waits = waits;
  }

  /**
   * Moves bytes from the source to the sink until the source ends, then ends the
   * sink. When the source fails, what came before is still written, and the sink
   * not ended.
   *
   * When the connection at the sink is broken, what it has sent before that is
   * still to be had, so this rejects only after the opposite direction has stopped.
   * That does not end its own sink, as a broken connection has no proper end.
   *
   * @param beforeEnd Waited for when the source has ended.
   */
  async run(
    opposite: Direction,
    beforeEnd?: () => Promise<void>,
  ): Promise<void> {
    const moved = this.#move();
    this.#stopped = moved.catch(() => {});
    await this.#afterOpposite(moved, opposite);
    await beforeEnd?.();
    if (opposite.#failed === "sink") return;
    await this.#afterOpposite(this.#sink.end(), opposite);
  }

  /**
   * Waits for work. When it fails as the connection at the sink is broken, waits
   * until the opposite direction has stopped as well.
   */
  async #afterOpposite(
    work: Promise<void>,
    opposite: Direction,
  ): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failed ??= "sink";
      const isBroken = error instanceof BrokenError && this.#failed === "sink";
      if (isBroken) await opposite.#stopped;
      throw error;
    }
  }

  async #move(): Promise<void> {
    const { waited, from, to } = this.#waits;
    let isReading = false;
    try {
      for (;;) {
        isReading = true;
        waited.begin(from);
        const bytes = await this.#source.read();
        waited.end(from);
        isReading = false;
        if (bytes === null) return;
        waited.begin(to);
        await this.#sink.write(bytes);
        waited.end(to);
      }
    } catch (error) {
      this.#failed = isReading ? "source" : "sink";
      throw error;
    }
  }
}

/** The advice for a connection that breaks after our side has ended. */
export const HALF_CLOSE_HINT =
  " (some servers take the end of what is sent for a client that left: try --no-half-close)";

/**
 * Limits the time without movement.
 *
 * @param limitMs In ms.
 * @returns Its signal is aborted with a {@linkcode TimeLimitError} when no byte has
 * moved for so long, and with `signal`.
 */
export function idleDeadline(
  signal: AbortSignal,
  traffic: Traffic,
  limitMs = Infinity,
): Disposable & { readonly signal: AbortSignal } {
  const deadline = new Deadline(signal);
  if (limitMs === Infinity) return deadline;
  const startedAt = performance.now();
  let timer = setTimeout(look, limitMs);
  function look(): void {
    const last = Math.max(traffic.lastMoveAt, startedAt);
    const leftMs = limitMs - (performance.now() - last);
    if (leftMs > 0) timer = setTimeout(look, leftMs);
    else deadline.abort(idleError(limitMs, traffic));
  }
  return {
    signal: deadline.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      deadline[Symbol.dispose]();
    },
  };
}

/** Makes the error for `--idle-timeout`: nothing has moved for too long. */
export function idleError(limitMs: number, traffic: Traffic): TimeLimitError {
  return new TimeLimitError(
    `No byte either way for ${
      formatDuration(limitMs)
    } (--idle-timeout); ${traffic}`,
  );
}
