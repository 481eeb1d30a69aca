/** The counters of a connection: bytes, waits, and the measurements of TCP. */

const WAITED_FOR = ["stdin", "sending", "receiving", "stdout"] as const;

/**
 * The things that a transfer may have to wait for. "stdin" and "stdout" are
 * whatever is at our end: a file, a command, the target of `--forward`.
 */
export type WaitedFor = typeof WAITED_FOR[number];

/** The time waited for each of them, in ms. */
export type WaitedMs = Readonly<Record<WaitedFor, number>>;

/** No time at all. */
export const NOT_WAITED: WaitedMs = {
  stdin: 0,
  sending: 0,
  receiving: 0,
  stdout: 0,
};

/** The beginning of a wait that is not under way. */
const NEVER = -1;

/** Counters of how long a transfer has waited, and for what. */
export class WaitTimes {
  readonly #ms = { stdin: 0, sending: 0, receiving: 0, stdout: 0 };
  /** The beginning of each wait that is under way, as `performance.now()`, in ms. */
  readonly #since = {
    stdin: NEVER,
    sending: NEVER,
    receiving: NEVER,
    stdout: NEVER,
  };
  /** Called by {@linkcode total}, to add what is not counted yet. */
  update: () => void = () => {};

  /** Counts a wait that is over. */
  add(what: WaitedFor, ms: number): void {
    this.#ms[what] += ms;
  }

  /** Begins a wait, which counts from now on. One for each thing at a time. */
  begin(what: WaitedFor, now: number = performance.now()): void {
    this.#since[what] = now;
  }

  /** Ends a wait, and counts it; does nothing when none is under way. */
  end(what: WaitedFor, now: number = performance.now()): void {
    const since = this.#since[what];
    if (since === NEVER) return;
    this.#ms[what] += now - since;
    this.#since[what] = NEVER;
  }

  /** Counts the time until a promise has settled. */
  async during<T>(what: WaitedFor, work: Promise<T>): Promise<T> {
    this.begin(what);
    try {
      return await work;
    } finally {
      this.end(what);
    }
  }

  /** Adds up the waits so far, those under way included. */
  total(now: number): WaitedMs {
    this.update();
    const ms = { ...this.#ms };
    for (const what of WAITED_FOR) {
      const since = this.#since[what];
      if (since !== NEVER) ms[what] += now - since;
    }
    return ms;
  }
}

/** Adds two sums of waits. */
export function addWaits(a: WaitedMs, b: WaitedMs): WaitedMs {
  return {
    stdin: a.stdin + b.stdin,
    sending: a.sending + b.sending,
    receiving: a.receiving + b.receiving,
    stdout: a.stdout + b.stdout,
  };
}

/** The measurements of TCP on a connection. */
export interface TcpInfo {
  /** The smoothed time of a round trip, in ms (RFC 6298). */
  readonly roundTripMs: number;
  /** The number of segments that were sent again. */
  readonly retransmits: number;
}

/** A connection that TCP measures. */
export interface Line {
  /** The present measurements, or the last ones of a closed one; Linux alone has them. */
  readonly tcpInfo: TcpInfo | undefined;
}

/**
 * The bytes that have moved over one connection; counted where bytes meet the
 * socket.
 */
export class Traffic {
  readonly waited: WaitTimes = new WaitTimes();
  /** The line to the peer. */
  line: Line | undefined;
  /** The line to the target of `--forward`. */
  targetLine: Line | undefined;
  /** Bytes that the system took from us for the peer. */
  sent = 0;
  /** Bytes that the peer's side handed to us. */
  received = 0;
  /** The start of this connection, as `performance.now()`, in ms. */
  readonly startedAt: number = performance.now();
  /** The time of the last movement either way, as `performance.now()`, in ms. */
  lastMoveAt: number = this.startedAt;

  /**
   * Counts bytes that the system took from us.
   *
   * @param now The time, where it is known already, as `performance.now()`.
   */
  addSent(bytes: number, now = performance.now()): void {
    this.sent += bytes;
    this.lastMoveAt = now;
  }

  /**
   * Counts bytes that were handed to us.
   *
   * @param now The time, where it is known already, as `performance.now()`.
   */
  addReceived(bytes: number, now = performance.now()): void {
    this.received += bytes;
    this.lastMoveAt = now;
  }

  /** Writes "sent 5 bytes, received 1 byte". */
  toString(): string {
    return `sent ${countBytes(this.sent)}, received ${
      countBytes(this.received)
    }`;
  }
}

/** Writes "1 byte", "17 bytes". */
export function countBytes(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes} bytes`;
}

/** Writes "1 connection", "17 connections". */
export function countConnections(count: number): string {
  return count === 1 ? "1 connection" : `${count} connections`;
}

/** Writes "1 client", "17 clients". */
export function countClients(count: number): string {
  return count === 1 ? "1 client" : `${count} clients`;
}
