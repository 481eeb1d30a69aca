/** The things that a transfer may have to wait for. */
export type WaitedFor = "stdin" | "sending" | "receiving" | "stdout";

/** The time waited for each of them, in ms. */
export type WaitedMs = Readonly<Record<WaitedFor, number>>;

/** Counts how long a transfer has waited, and for what. */
export class WaitTimes {
  readonly #ms = { stdin: 0, sending: 0, receiving: 0, stdout: 0 };
  /** The beginning of the waits that last, as `performance.now()`. */
  readonly #since = new Map<WaitedFor, number>();
  /** Called by {@linkcode total}, to add what is not counted yet. */
  update: () => void = () => {};

  /** Counts a wait that is over. */
  add(what: WaitedFor, ms: number): void {
    this.#ms[what] += ms;
  }

  /** Says that a wait begins, so that it counts while it lasts. */
  begin(what: WaitedFor, now: number = performance.now()): void {
    this.#since.set(what, now);
  }

  /** Says that a wait is over, and counts it. */
  end(what: WaitedFor, now: number = performance.now()): void {
    this.add(what, now - (this.#since.get(what) ?? now));
    this.#since.delete(what);
  }

  /** Adds up the waits so far, those that last included. */
  total(now: number): WaitedMs {
    this.update();
    const ms = { ...this.#ms };
    for (const [what, since] of this.#since) ms[what] += now - since;
    return ms;
  }
}

/**
 * The bytes that have moved over one connection; counted where bytes meet the
 * socket.
 */
export class Traffic {
  readonly waited: WaitTimes = new WaitTimes();
  /** Bytes that the system took from us for the peer. */
  sent = 0;
  /** Bytes that the peer's side handed to us. */
  received = 0;
  /** The start of this connection, as `performance.now()`, in ms. */
  readonly startedAt: number = performance.now();
  /** The time of the last movement either way, as `performance.now()`, in ms. */
  lastMoveAt: number = this.startedAt;

  /** @param now The time, when it is known, as `performance.now()`. */
  addSent(bytes: number, now = performance.now()): void {
    this.sent += bytes;
    this.lastMoveAt = now;
  }

  /** @param now The time, when it is known, as `performance.now()`. */
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
