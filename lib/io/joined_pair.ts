/** Two sockets that are joined: the state of both sides, and what each waits for. */

import type { Traffic, WaitedFor } from "../pipe/traffic.ts";
import type { Flow } from "./flow.ts";

/** A connected socket that is joined with another. */
export interface JoinedSocket {
  readonly fd: number;
  /** The peer's address, for messages. */
  readonly peer: string;
  /** Ends our sending side. */
  shutdown(): void;
  /** Takes the error that the socket holds, if it has one. */
  takeError(): Error | undefined;
}

/** One side of a pair. */
export class Side {
  /**
   * The events that epoll(7) is asked for; `undefined` when it does not know the
   * socket.
   */
  events: number | undefined;
  /** The wait of `outgoing` that is counted now. */
  #waitsFor: WaitedFor | undefined;

  constructor(
    readonly socket: JoinedSocket,
    readonly pair: Pair,
    /** From this side to the other. */
    readonly outgoing: Flow,
    /** From the other side to this one. */
    readonly incoming: Flow,
    /** The waits of `outgoing`: for this side to send, for the other to take. */
    readonly waits: Readonly<Record<"from" | "to", WaitedFor>>,
  ) {}

  /** Whether `outgoing` goes on when this side has sent something. */
  get waitsToRead(): boolean {
    return !this.outgoing.ended && this.outgoing.waitsFor === "from";
  }

  /** Whether `incoming` goes on when this side has room. */
  get waitsToWrite(): boolean {
    return !this.incoming.ended && this.incoming.waitsFor === "to";
  }

  /** Counts the wait of `outgoing` that is over. */
  endWait(now: number): void {
    if (this.#waitsFor === undefined) return;
    this.pair.traffic.waited.end(this.#waitsFor, now);
    this.#waitsFor = undefined;
  }

  /** Begins to count the wait of `outgoing`, if it waits. */
  beginWait(now: number): void {
    const { ended, waitsFor } = this.outgoing;
    if (ended || waitsFor === "turn") return;
    this.#waitsFor = this.waits[waitsFor];
    this.pair.traffic.waited.begin(this.#waitsFor, now);
  }
}

/** Two sides, and the flows between them. */
export class Pair {
  readonly first: Side;
  readonly second: Side;
  readonly traffic: Traffic;
  /** Settles when both directions have ended, or the pair has failed. */
  readonly done = Promise.withResolvers<void>();
  /**
   * The failure of a side that takes no more, while what it has sent is still
   * delivered.
   */
  failure: unknown;

  constructor(
    first: JoinedSocket,
    second: JoinedSocket,
    toFirst: Flow,
    toSecond: Flow,
    traffic: Traffic,
  ) {
    this.first = new Side(first, this, toSecond, toFirst, {
      from: "receiving",
      to: "stdout",
    });
    this.second = new Side(second, this, toFirst, toSecond, {
      from: "stdin",
      to: "sending",
    });
    this.traffic = traffic;
  }

  otherThan(side: Side): Side {
    return side === this.first ? this.second : this.first;
  }
}
