/** An echo server in the test itself, and exchanges with it. */

import { within } from "./deadlines.ts";
import { dial, rawListener, receive, send } from "./tcp.ts";

/** An echo server in the test itself, until it is disposed of. */
export class Echo implements AsyncDisposable {
  readonly #raw = rawListener();
  readonly #serving: Promise<void>;
  readonly port: number = this.#raw.port;

  constructor() {
    this.#serving = this.#serve();
  }

  async #serve(): Promise<void> {
    const echoes: Promise<void>[] = [];
    for await (const conn of this.#raw) echoes.push(this.#echo(conn));
    await Promise.all(echoes);
  }

  async #echo(conn: Deno.TcpConn): Promise<void> {
    using _ = conn;
    const buffer = new Uint8Array(65536);
    for (;;) {
      const count = await conn.read(buffer).catch(() => null);
      if (count === null) break;
      await send(conn, buffer.subarray(0, count));
    }
    conn.closeWrite();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#raw.close();
    await within(this.#serving, "the end of all echoes");
  }
}

/** Sends all, ends, and gives back what has come meanwhile. */
export async function exchange(
  port: number,
  data: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  using conn = await dial(port);
  const received = receive(conn);
  await send(conn, data);
  conn.closeWrite();
  return await received;
}
