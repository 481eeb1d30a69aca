/** A listener that has something to do with each client before it is handed on. */

import { RefusedError } from "../base/errors.ts";
import { formatAddress } from "./address.ts";
import type { Listener } from "./listener.ts";
import type { Socket } from "./socket.ts";
import { refuseSocket } from "./system_sockets.ts";

/**
 * The most handshakes that are under way at a time. The next client takes the place
 * of the one that has taken longest, so that mute ones never fill it.
 */
const MAX_HANDSHAKES = 64;

/**
 * Prepares an accepted socket: a TLS handshake, a PROXY header.
 *
 * @param signal Its abort ends it.
 * @returns The socket that is handed on, the caller's to close.
 * @throws The reason why it is not handed on; it has been closed then.
 */
export type AcceptStep = (
  socket: Socket,
  signal: AbortSignal,
) => Promise<Socket>;

/** Receives the address of a client that is not handed on, and the reason. */
export type OnRefused = (peer: string, reason: string) => void;

/**
 * Accepts the clients that pass a handshake. The handshakes run beside each other,
 * so that a client that is mute, broken or refused holds up nobody; it is reported,
 * and forgotten.
 */
export class HandshakeListener implements Listener {
  readonly address: string;
  readonly exposed: boolean;
  readonly #listener: Listener;
  readonly #handshake: AcceptStep;
  readonly #onRefused: OnRefused;
  /** Each aborts one handshake; the oldest first. */
  readonly #handshakes = new Set<AbortController>();
  readonly #ready: Socket[] = [];
  readonly #waiting: PromiseWithResolvers<Socket>[] = [];
  #isAccepting = false;
  #isClosed = false;

  /** @param listener Accepts the sockets; this object's from now on. */
  constructor(listener: Listener, handshake: AcceptStep, onRefused: OnRefused) {
    this.address = listener.address;
    this.exposed = listener.exposed;
    this.#listener = listener;
    this.#handshake = handshake;
    this.#onRefused = onRefused;
  }

  accept(): Promise<Socket> {
    const ready = this.#ready.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    const turn = Promise.withResolvers<Socket>();
    this.#waiting.push(turn);
    if (!this.#isAccepting) this.#acceptAll();
    return turn.promise;
  }

  /** Accepts for as long as somebody waits. */
  async #acceptAll(): Promise<void> {
    this.#isAccepting = true;
    try {
      while (this.#waiting.length > 0) {
        this.#startHandshake(await this.#listener.accept());
      }
    } catch (error) {
      for (const turn of this.#waiting.splice(0)) turn.reject(error);
    } finally {
      this.#isAccepting = false;
    }
  }

  async #startHandshake(socket: Socket): Promise<void> {
    const peer = formatAddress(socket.remoteAddr);
    const handshake = new AbortController();
    this.#makeRoom();
    this.#handshakes.add(handshake);
    try {
      this.#handOn(await this.#handshake(socket, handshake.signal));
    } catch (error) {
      if (this.#isClosed) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#onRefused(peer, reason);
    } finally {
      this.#handshakes.delete(handshake);
    }
  }

  /** Makes room for one more handshake, at once, as a burst waits for nothing. */
  #makeRoom(): void {
    const [oldest] = this.#handshakes;
    if (oldest === undefined || this.#handshakes.size < MAX_HANDSHAKES) return;
    this.#handshakes.delete(oldest);
    oldest.abort(new RefusedError("too many handshakes at once"));
  }

  #handOn(socket: Socket): void {
    const turn = this.#waiting.shift();
    if (this.#isClosed) refuseSocket(socket);
    else if (turn === undefined) this.#ready.push(socket);
    else turn.resolve(socket);
  }

  close(): void {
    this.#listener.close();
    this.#isClosed = true;
    const reason = new RefusedError("the listener is closed");
    for (const handshake of this.#handshakes) handshake.abort(reason);
    for (const socket of this.#ready.splice(0)) refuseSocket(socket);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
