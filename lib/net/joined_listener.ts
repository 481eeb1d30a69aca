/**
 * Several listening sockets as one, for a system on which one socket does not take
 * IPv4 and IPv6.
 */

import type { Socket } from "./socket.ts";
import { refuseSocket } from "./system_sockets.ts";

/** The part of Deno's listeners that is needed here. */
export interface Accepting<
  Conn extends Disposable,
  Addr extends Deno.Addr = Deno.NetAddr,
> {
  readonly addr: Addr;
  accept(): Promise<Conn>;
  close(): void;
}

/** A listener that accepts from several others. */
export class JoinedListener<
  Conn extends Socket,
  Addr extends Deno.Addr = Deno.NetAddr,
> implements Accepting<Conn, Addr> {
  /** The address of the first. */
  readonly addr: Addr;
  readonly #listeners: readonly Accepting<Conn, Addr>[];
  /** Pending accepts; those that did not win are kept for the next call. */
  readonly #waiting = new Map<Accepting<Conn, Addr>, Promise<Conn>>();

  /** @param listeners At least one; they are this object's from now on. */
  constructor(
    listeners: readonly [Accepting<Conn, Addr>, ...Accepting<Conn, Addr>[]],
  ) {
    this.#listeners = listeners;
    this.addr = listeners[0].addr;
  }

  /**
   * Accepts from whichever listener has a connection, or fails, first; of several,
   * from the first of them. One call at a time.
   */
  async accept(): Promise<Conn> {
    const first = await Promise.race(
      this.#listeners.map((listener) => this.#settled(listener)),
    );
    const conn = this.#waiting.get(first);
    this.#waiting.delete(first);
    return await (conn ?? first.accept());
  }

  /** Resolves when the listener has a connection, or has failed. */
  async #settled(
    listener: Accepting<Conn, Addr>,
  ): Promise<Accepting<Conn, Addr>> {
    const waiting = this.#waiting.get(listener) ?? listener.accept();
    this.#waiting.set(listener, waiting);
    await waiting.catch(() => {});
    return listener;
  }

  /** Closes all, and resets the connections that were accepted and not taken. */
  close(): void {
    for (const listener of this.#listeners) listener.close();
    for (const waiting of this.#waiting.values()) {
      waiting.then(refuseSocket, () => {});
    }
  }
}

/** The most attempts to get a port that the system chose for the second family, too. */
const ATTEMPTS = 16;

/**
 * Listens on one port of all IPv6 and of all IPv4 addresses.
 *
 * @param open Opens one of them; port 0 is the system's choice.
 * @param port The port, or 0.
 * @throws What `open` throws: for IPv4 with a port that the system chose for IPv6,
 * only after some attempts.
 */
export function listenOnBoth<Conn extends Socket>(
  open: (hostname: string, port: number) => Accepting<Conn>,
  port: number,
): JoinedListener<Conn> {
  for (let attempt = 1;; attempt++) {
    const first = open("::", port);
    try {
      return new JoinedListener([first, open("0.0.0.0", first.addr.port)]);
    } catch (error) {
      first.close();
      if (port !== 0 || attempt === ATTEMPTS) throw error;
    }
  }
}
