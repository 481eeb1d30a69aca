/** What a transfer may have to wait for. */
export type WaitedFor = "stdin" | "sending" | "receiving" | "stdout";

/** How long a transfer has waited, and for what, in ms. */
export class Waited {
  readonly ms: Record<WaitedFor, number> = {
    stdin: 0,
    sending: 0,
    receiving: 0,
    stdout: 0,
  };

  add(what: WaitedFor, ms: number): void {
    this.ms[what] += ms;
  }
}

/** What has moved over one connection; written where bytes meet the socket. */
export class Traffic {
  readonly waited = new Waited();
  /** Bytes that the system took from us for the peer. */
  sent = 0;
  /** Bytes that the peer's side handed to us. */
  received = 0;
  /** When the first moment of this connection was, as `performance.now()`, in ms. */
  readonly startedAt: number = performance.now();
  /** When a byte last moved either way, as `performance.now()`, in ms. */
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

  /** "sent 5 bytes, received 1 byte". */
  toString(): string {
    return `sent ${countBytes(this.sent)}, received ${
      countBytes(this.received)
    }`;
  }
}

/** "1 byte", "17 bytes". */
export function countBytes(bytes: number): string {
  return bytes === 1 ? "1 byte" : `${bytes} bytes`;
}

/** "1 connection", "17 connections". */
export function countConnections(count: number): string {
  return count === 1 ? "1 connection" : `${count} connections`;
}

/** "1 client", "17 clients". */
export function countClients(count: number): string {
  return count === 1 ? "1 client" : `${count} clients`;
}
