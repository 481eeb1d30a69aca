/** A socket of Deno as a stream of node, for `node:tls`. */

import { writeAll } from "../base/bytes.ts";
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { Socket } from "../net/socket.ts";

/**
 * The most that is read from TCP at once, in bytes. More takes longer: each is new
 * memory several times on its way, and so much the system gives anew each time.
 */
const READ_BYTES = 64 * 1024;

/**
 * The encrypted bytes of a TLS connection. The reading side never ends: so the end
 * that the TLS socket reports is the peer's close_notify, and not that of TCP,
 * which anyone on the way can forge.
 */
export class SocketStream extends Duplex {
  /** Awaited before more is read from the socket. */
  resumed: Promise<void> | undefined;
  /** Called when TCP has ended. */
  onEnd: () => void = () => {};
  /** Called when there is something to write. */
  onWrite: () => void = () => {};
  readonly #conn: Socket;
  #writing: Promise<void> = Promise.resolve();
  #chunks = 0;

  /** @param conn Is closed by its owner, not by this. */
  constructor(conn: Socket) {
    super({ allowHalfOpen: true, readableHighWaterMark: READ_BYTES });
    this.#conn = conn;
  }

  override async _read(): Promise<void> {
    try {
      await this.resumed;
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const count = await this.#conn.read(buffer);
      if (count === null) this.onEnd();
      else this.push(buffer.subarray(0, count));
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override _write(
    chunk: Uint8Array,
    _encoding: string,
    callback: (error?: Error) => void,
  ): void {
    this.#chunks++;
    this.onWrite();
    this.#writing = writeAll(this.#conn, chunk);
    this.#writing.then(() => callback(), callback);
  }

  /** The number of chunks that the TLS socket has handed on. */
  get chunks(): number {
    return this.#chunks;
  }

  /**
   * Ends nothing, and `destroy` without an error destroys nothing: the TLS socket
   * calls them while its close_notify is still to come.
   */
  override end(...args: unknown[]): this {
    const callback = args.at(-1);
    if (typeof callback === "function") this.#writing.then(() => callback());
    return this;
  }

  override destroy(error?: Error): this {
    return error === undefined ? this : super.destroy(error);
  }

  /**
   * Waits until TCP has taken what was handed on, which the TLS socket does not.
   *
   * @throws What went wrong with TCP.
   */
  async written(): Promise<void> {
    while (this.writableLength > 0 && !this.destroyed) await this.#writing;
    await this.#writing;
  }
}
