/**
 * TCP connections between two simulated sides. They are harsher than TCP may be:
 * bytes pass in any portions and at any pace, and a connection breaks at the byte
 * that it is told to, with or without what was under way, and with or without
 * telling anybody.
 */

import type { Cut, SideName } from "./plan.ts";

/** What decides how fast bytes pass, and counts them. */
export interface Network {
  /** Some number from 1 to `most`. */
  portion(most: number): number;
  /** How many bytes may pass to a side before something happens. */
  untilIncident(to: SideName): number;
  /** Called when bytes have passed to a side. */
  passed(to: SideName, bytes: number): void;
}

/** One direction of a connection. */
export class Pipe {
  readonly to: SideName;
  /** What is under way is in the middle: copying all of it at each step is slow. */
  #bytes = new Uint8Array(256);
  #start = 0;
  #end = 0;
  /** The writing end is closed: the reader sees the end after the last byte. */
  ended = false;
  /** The reading end is closed: the writer sees an error. */
  refused = false;
  /** Takes everything and passes nothing. */
  silent = false;

  constructor(to: SideName) {
    this.to = to;
  }

  get length(): number {
    return this.silent ? 0 : this.#end - this.#start;
  }

  write(bytes: Uint8Array): void {
    if (bytes.length > this.#bytes.length - this.#end) this.#makeRoom(bytes);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #makeRoom({ length }: Uint8Array): void {
    const rest = this.#bytes.subarray(this.#start, this.#end);
    this.#bytes = new Uint8Array(2 * (rest.length + length));
    this.#bytes.set(rest);
    this.#start = 0;
    this.#end = rest.length;
  }

  read(into: Uint8Array): number {
    const n = Math.min(into.length, this.length);
    into.set(this.#bytes.subarray(this.#start, this.#start + n));
    this.#start += n;
    return n;
  }

  clear(): void {
    this.#start = this.#end = 0;
  }
}

/** A connection: a pipe each way. */
export class Connection {
  readonly toConnect: Pipe = new Pipe("connect");
  readonly toListen: Pipe = new Pipe("listen");

  break({ flush, silent }: Cut): void {
    for (const pipe of [this.toConnect, this.toListen]) {
      if (!flush) pipe.clear();
      if (silent) {
        pipe.silent = true;
      } else {
        pipe.ended = true;
        pipe.refused = true;
      }
    }
  }
}

/** One side of a connection: closing it may reset the connection. */
export class Socket {
  readonly #in: Pipe;
  readonly #out: Pipe;
  readonly #network: Network;

  constructor(network: Network, incoming: Pipe, outgoing: Pipe) {
    this.#network = network;
    this.#in = incoming;
    this.#out = outgoing;
  }

  /** @returns How many bytes, `null` at the end, `undefined` when none are there now. */
  read(into: Uint8Array): number | null | undefined {
    if (this.#in.length === 0) {
      return this.#in.ended && !this.#in.silent ? null : undefined;
    }
    const most = this.#network.portion(Math.min(into.length, this.#in.length));
    const n = Math.min(most, this.#network.untilIncident(this.#in.to));
    const read = this.#in.read(into.subarray(0, n));
    this.#network.passed(this.#in.to, read);
    return read;
  }

  /** @returns How many bytes were taken, or `null` when the connection is gone. */
  write(bytes: Uint8Array): number | null {
    if (this.#out.silent) return bytes.length;
    if (this.#out.refused) {
      // The reset that answers destroys what was under way to us.
      this.#in.clear();
      this.#in.ended = true;
      return null;
    }
    const n = this.#network.portion(bytes.length);
    this.#out.write(bytes.subarray(0, n));
    return n;
  }

  /** Writes all of it at once, or nothing if the connection is gone. */
  send(bytes: Uint8Array): void {
    if (!this.#out.refused) this.#out.write(bytes);
  }

  close(): void {
    if (this.#in.length > 0) this.#out.clear();
    this.#out.ended = true;
    this.#in.refused = true;
    this.#in.clear();
  }
}

/** A socket whose bytes are not counted: incidents are about the session. */
export class IntruderSocket extends Socket {
  readonly #pipe: Pipe;

  constructor(network: Network, incoming: Pipe, outgoing: Pipe) {
    super(network, incoming, outgoing);
    this.#pipe = incoming;
  }

  override read(into: Uint8Array): number | null | undefined {
    if (this.#pipe.length > 0) return this.#pipe.read(into);
    return this.#pipe.ended ? null : undefined;
  }
}
