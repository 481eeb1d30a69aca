/** A listener whose peers have passed TLS. */

import { RefusedError } from "../base/errors.ts";
import { formatAddress } from "../net/address.ts";
import type { Listener } from "../net/listener.ts";
import type { Socket } from "../net/socket.ts";
import type { Reporter } from "../report/reporter.ts";
import type { TlsServer } from "./tls.ts";

/**
 * The most handshakes that are under way at a time. The next client takes the
 * place of the one that has been at it for longest, so that mute ones never fill it.
 */
const MAX_HANDSHAKES = 64;

/**
 * Accepts the clients that pass. The handshakes run beside each other, so that a
 * client that is mute, broken or refused holds up nobody; it is reported, and
 * forgotten.
 */
export class TlsListener implements Listener {
  readonly address: string;
  readonly exposed: boolean;
  readonly #listener: Listener;
  readonly #server: TlsServer;
  readonly #report: Pick<Reporter, "say">;
  /** Each aborts one handshake; the oldest first. */
  readonly #handshakes = new Set<AbortController>();
  readonly #secured: Socket[] = [];
  readonly #waiting: PromiseWithResolvers<Socket>[] = [];
  #isAccepting = false;
  #isClosed = false;

  /** @param listener Opened with `server.listenTls`; this object's from now on. */
  constructor(
    listener: Listener,
    server: TlsServer,
    report: Pick<Reporter, "say">,
  ) {
    this.address = listener.address;
    this.exposed = listener.exposed;
    this.#listener = listener;
    this.#server = server;
    this.#report = report;
  }

  accept(): Promise<Socket> {
    const ready = this.#secured.shift();
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
      this.#handOn(await this.#server.secure(socket, handshake.signal));
    } catch (error) {
      if (this.#isClosed) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#report.say({ event: "handshake-failed", peer, reason });
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
    if (this.#isClosed) socket.close();
    else if (turn === undefined) this.#secured.push(socket);
    else turn.resolve(socket);
  }

  close(): void {
    this.#listener.close();
    this.#isClosed = true;
    const reason = new RefusedError("the listener is closed");
    for (const handshake of this.#handshakes) handshake.abort(reason);
    for (const socket of this.#secured.splice(0)) socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
