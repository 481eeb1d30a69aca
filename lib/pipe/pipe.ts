/**
 * The pipe: two ends joined in both directions, until both have ended.
 *
 * The directions are independent: one that is stalled or has ended never holds up
 * the other. Each ends on its own (half-close), and the first real failure ends
 * both.
 */

import type { Duplex, Sink, Source } from "./duplex.ts";
import { BrokenError, TimeLimitError } from "../base/errors.ts";
import type { Traffic } from "./traffic.ts";
import { formatDuration } from "../base/units.ts";

/** Our own end: where what is sent comes from and what is received goes. */
export interface LocalEnd extends Duplex {
  /** Whether it has anything to send; if not, our side ends after the peer's. */
  readonly sends: boolean;
  /** Whether its source is given up when the peer has ended. */
  readonly endsWithPeer: boolean;
  /** Resolves when the peer's end is waited for no longer, as nobody is here. */
  readonly gone?: Promise<void>;
  /**
   * Resolves when nothing of it is left, after its close or abort.
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
 * Everything that the peer sent is written before this resolves, also when
 * sending has failed in the meantime. The caller closes both ends; on failure and
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
  const giveUp = Promise.withResolvers<never>();
  const onAbort = () => giveUp.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const stopWatch = idleTimeoutMs === undefined
    ? undefined
    : watchIdle(traffic, idleTimeoutMs, giveUp.reject);
  try {
    signal.throwIfAborted();
    await Promise.race([
      bothWays(local, remote, options),
      giveUp.promise,
      ...[local.sink.failed, local.failed, remote.failed]
        .filter((failed) => failed !== undefined),
    ]);
  } catch (error) {
    remote.abort();
    local.abort();
    throw error instanceof BrokenError
      ? new BrokenError(`${error.message}; ${traffic}`, { cause: error.cause })
      : error;
  } finally {
    stopWatch?.();
    signal.removeEventListener("abort", onAbort);
  }
}

async function bothWays(
  local: LocalEnd,
  remote: Duplex,
  { onHalfClose, noHalfClose }: PipeOptions,
): Promise<void> {
  let hasOneEnded = false;
  let hasHalfClosed = false;
  const ended = (side: "local" | "peer") => {
    if (!hasOneEnded) onHalfClose?.(side);
    hasOneEnded = true;
  };
  const receiving = new Direction(remote.source, local.sink);
  const sending = new Direction(
    local.sends ? local.source : NOTHING,
    remote.sink,
  );
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

/** One of the two ways between two ends. */
class Direction {
  readonly #source: Source;
  readonly #sink: Sink;
  /** Resolves when nothing more moves. */
  #stopped: Promise<void> | undefined;
  /** Which of its ends has failed. */
  #failed: "source" | "sink" | undefined;

  constructor(source: Source, sink: Sink) {
    this.#source = source;
    this.#sink = sink;
  }

  /**
   * Moves bytes from the source to the sink until the source ends, then ends the
   * sink. When the source fails, what came before is still written, and the sink
   * not ended.
   *
   * When the connection at the sink is broken, what it has sent before that is
   * still to be had, so this rejects only after the opposite way has stopped. That
   * does not end its own sink, as a broken connection has no proper end.
   *
   * @param beforeEnd Waited for when the source has ended.
   */
  async run(
    opposite: Direction,
    beforeEnd?: () => Promise<void>,
  ): Promise<void> {
    const moved = this.#move();
    this.#stopped = moved.catch(() => {});
    await this.#orStop(moved, opposite);
    await beforeEnd?.();
    if (opposite.#failed === "sink") await this.#sink.flush?.();
    else await this.#orStop(this.#sink.end(), opposite);
  }

  async #orStop(work: Promise<void>, opposite: Direction): Promise<void> {
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
    let isReading = false;
    try {
      for (;;) {
        const room = await this.#sink.reserve?.();
        isReading = true;
        const bytes = await this.#source.read(room);
        isReading = false;
        if (bytes === null) return;
        await this.#sink.write(bytes);
      }
    } catch (error) {
      this.#failed = isReading ? "source" : "sink";
      await this.#sink.flush?.();
      throw error;
    }
  }
}

/** What may help when the connection breaks after our side has ended. */
export const HALF_CLOSE_HINT =
  " (some servers take the end of what is sent for a client that left: try --no-half-close)";

/**
 * Calls `reject` with a TimeLimitError when no byte has moved for `limitMs`.
 *
 * @returns Stops watching; to be called in any case.
 */
export function watchIdle(
  traffic: Traffic,
  limitMs: number,
  reject: (error: Error) => void,
): () => void {
  const remainingMs = () =>
    limitMs - (performance.now() - Math.max(traffic.lastMoveAt, startedAt));
  const look = () => {
    const ms = remainingMs();
    if (ms > 0) {
      timer = setTimeout(look, ms);
    } else {
      reject(
        new TimeLimitError(
          `No byte either way for ${
            formatDuration(limitMs)
          } (--idle-timeout); ${traffic}`,
        ),
      );
    }
  };
  const startedAt = performance.now();
  let timer = setTimeout(look, limitMs);
  return () => clearTimeout(timer);
}
