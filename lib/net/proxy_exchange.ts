/** Questions to a proxy, its answers, and its refusals. */

import { writeAll } from "../base/bytes.ts";
import { formatAddress } from "./address.ts";
import type { ProxySettings } from "./proxy_settings.ts";
import type { Socket } from "./socket.ts";

/** The failure of a connection by way of a proxy. */
export class ProxyError extends Error {
  override readonly name = "ProxyError";
  /** Whether it may be over at the next attempt. */
  readonly isTemporary: boolean;

  /** @param message What the proxy does: `wants a user`. */
  constructor(message: string, isTemporary: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isTemporary = isTemporary;
  }

  /** Adds the proxy's address to the message. */
  withAddress({ address }: ProxySettings): ProxyError {
    const message = `the proxy "${formatAddress(address)}" ${this.message}`;
    return new ProxyError(message, this.isTemporary, { cause: this });
  }
}

/**
 * The stream of requests to a proxy and of its answers, read byte by byte where it
 * has to be.
 */
export class ProxyStream {
  readonly #socket: Socket;
  #hasAnswered = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Writes all of the bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await writeAll(this.#socket, bytes);
    } catch (cause) {
      throw this.#closed(cause);
    }
  }

  /** Reads exactly `length` bytes. */
  async readExactly(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length;) {
      const count = await this.#socket.read(bytes.subarray(filled))
        .catch((cause) => {
          throw this.#closed(cause);
        });
      if (count === null) throw this.#closed();
      this.#hasAnswered = true;
      filled += count;
    }
    return bytes;
  }

  #closed(cause?: unknown): ProxyError {
    const what = this.#hasAnswered
      ? "in the middle of its answer"
      : "without an answer";
    return new ProxyError(`closed the connection ${what}`, true, { cause });
  }
}

/**
 * Makes the error for a proxy that speaks another protocol, and tells which when
 * that can be seen.
 *
 * @param first The byte by which it was seen.
 */
export function notAProxy(protocol: string, first: number): ProxyError {
  const speaks = first === 5 && protocol !== "SOCKS5"
    ? ": it may be a SOCKS5 one, so try socks5h://"
    : first === 0x48 && protocol !== "HTTP" // H
    ? ": it may be an HTTP one, so try http://"
    : "";
  return new ProxyError(`is no ${protocol} proxy${speaks}`, false);
}
