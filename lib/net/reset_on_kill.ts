/**
 * Resets in place of ends: the peer of a process that is killed in the middle of a
 * transfer sees a failure.
 */

import { startClock } from "../base/clock.ts";
import { libc } from "../base/libc.ts";
import type { Socket } from "./socket.ts";
import { SocketDescriptor } from "./socket_descriptors.ts";
import {
  canFindSockets,
  findSystemSockets,
  isTcp,
  type SystemSocket,
} from "./system_sockets.ts";

/**
 * The time after its accept for which a connection, one of many, counts as a short
 * exchange that needs no protection, in ms.
 */
const GUARD_AFTER_MS = 100;

/**
 * The pause between two searches for sockets, as a multiple of the time that the
 * last one took.
 */
const GUARD_PAUSE = 50;

/** The longest such pause, in ms. */
const MAX_GUARD_PAUSE_MS = 1000;

/** Connections that are not guarded yet, the oldest first. */
const unguarded = new Set<ResetGuard>();
let guardClock: Disposable | undefined;
/** The time of the next search at the earliest, as `performance.now()`. */
let guardNotBefore = 0;

/**
 * Protects one connection: makes the peer see a reset when this process is killed.
 * Its descriptor is looked for when that is needed: for one of many only once it
 * has lasted a while, and together with others, since that takes milliseconds.
 */
export class ResetGuard {
  readonly #conn: Socket;
  readonly #since = performance.now();
  #socket: SystemSocket | undefined;

  readonly #keepaliveMs: number;
  #silenceClock: Disposable | undefined;

  /**
   * @param options.isOnly Whether there is no other connection, so that it is
   * guarded at once.
   * @param options.keepaliveMs Of `--keepalive`; 0 is off.
   */
  constructor(
    conn: Socket,
    { isOnly = false, keepaliveMs = 0 }: {
      readonly isOnly?: boolean | undefined;
      readonly keepaliveMs?: number | undefined;
    },
  ) {
    this.#conn = conn;
    this.#keepaliveMs = keepaliveMs;
    if (isOnly) {
      ResetGuard.#guard([this]);
      return;
    }
    if (!isTcp(conn)) return;
    unguarded.add(this);
    guardClock ??= ResetGuard.#startClock();
  }

  /** The descriptor, if it has been found; Windows has none. */
  get descriptor(): SocketDescriptor | undefined {
    return this.#socket instanceof SocketDescriptor ? this.#socket : undefined;
  }

  static #startClock(): Disposable {
    const pauseMs = guardNotBefore - performance.now();
    const delayMs = Math.max(GUARD_AFTER_MS, pauseMs);
    return startClock(delayMs, ResetGuard.#guardAll);
  }

  static #guardAll(): void {
    const now = performance.now();
    const due: ResetGuard[] = [];
    let rest: ResetGuard | undefined;
    for (const guard of unguarded) {
      if (now - guard.#since < GUARD_AFTER_MS) {
        rest = guard;
        break;
      }
      unguarded.delete(guard);
      due.push(guard);
    }
    ResetGuard.#guard(due);
    guardClock = rest === undefined ? undefined : ResetGuard.#startClock();
  }

  /** Finds the descriptors of connections, and protects them. */
  static #guard(guards: readonly ResetGuard[]): void {
    ResetGuard.findDescriptors(guards);
    for (const guard of guards) guard.#protect();
  }

  /** Sets SO_LINGER and keepalive. */
  #protect(): void {
    if (!isTcp(this.#conn)) return;
    this.#socket?.resetOnClose();
    if (this.#keepaliveMs > 0) this.#keepAlive(this.#keepaliveMs);
  }

  /** Gives a peer up that does not answer, whether there is anything under way or not. */
  #keepAlive(ms: number): void {
    const { descriptor } = this;
    if (descriptor === undefined) return;
    descriptor.keepAlive(ms);
    // As long as the questions of keepalive take.
    const limitLater = () =>
      startClock(ms / 4, () => {
        descriptor.limitSilence(2 * ms);
        this.#silenceClock = limitLater();
      });
    this.#silenceClock ??= limitLater();
  }

  /** Finds the descriptors of connections, as far as they are not known. */
  static findDescriptors(guards: readonly ResetGuard[]): void {
    // The first time, this takes longer than any search.
    libc();
    const startedAt = performance.now();
    const byConn = new Map(
      guards.filter((guard) => guard.#socket === undefined)
        .map((guard) => [guard.#conn, guard]),
    );
    if (byConn.size === 0) return;
    for (const [conn, socket] of findSystemSockets(byConn.keys())) {
      const guard = byConn.get(conn);
      if (guard !== undefined) guard.#socket = socket;
    }
    const endedAt = performance.now();
    const pauseMs = (endedAt - startedAt) * GUARD_PAUSE;
    guardNotBefore = endedAt + Math.min(pauseMs, MAX_GUARD_PAUSE_MS);
  }

  /** Lets the next close be an ordinary one; the last call. */
  release(): void {
    this.#forget();
    this.#socket?.closeOnClose();
    this.#socket?.forget();
  }

  /**
   * Resets the connection.
   *
   * @returns Whether the socket can be closed now without the peer taking it for an
   * end.
   */
  reset(): boolean {
    this.#forget();
    if (!isTcp(this.#conn)) {
      this.#socket?.forget();
      return false;
    }
    // Where one is aborted, all may be.
    if (this.#socket === undefined) {
      ResetGuard.findDescriptors([this, ...unguarded]);
    }
    this.#socket?.reset();
    // A socket that has no peer any more has no name either, by which to find it.
    return this.#socket !== undefined || canFindSockets();
  }

  #forget(): void {
    this.#silenceClock?.[Symbol.dispose]();
    unguarded.delete(this);
    if (unguarded.size > 0) return;
    guardClock?.[Symbol.dispose]();
    guardClock = undefined;
  }
}
