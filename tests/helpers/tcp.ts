/** Ends of TCP connections in the test itself. Every wait has a deadline. */

import { concat } from "./bytes.ts";
import { within } from "./deadlines.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A listener in the test itself, on a port of its own. */
export function rawListener(): Deno.TcpListener & { readonly port: number } {
  const raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return Object.assign(raw, { port: raw.addr.port });
}

/** Waits for the program at a raw listener. */
export function accept(raw: Deno.TcpListener): Promise<Deno.TcpConn> {
  return within(raw.accept(), "a connection");
}

/** Connects to a listener that has announced itself. */
export function dial(port: number): Promise<Deno.TcpConn> {
  const hostname = "127.0.0.1";
  return within(Deno.connect({ hostname, port }), "a connection");
}

/** Connects two ends within the test, each the caller's to close. */
export async function tcpPair(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
  using raw = rawListener();
  return await Promise.all([accept(raw), dial(raw.port)]);
}

/** A port on which nothing listens: the system's choice of a moment ago. */
export function closedPort(): number {
  using raw = rawListener();
  return raw.port;
}

/** Writes all bytes to a raw end. */
export async function send(
  conn: Deno.Conn,
  data: string | Uint8Array,
): Promise<void> {
  let bytes = typeof data === "string" ? encoder.encode(data) : data;
  while (bytes.length > 0) {
    bytes = bytes.subarray(
      await within(conn.write(bytes.subarray(0, 65536)), "the peer to read"),
    );
  }
}

/** Reads from a raw end until its end, or until `length` bytes have come. */
export async function receive(
  conn: Deno.Conn,
  length = Infinity,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let left = length;
  while (left > 0) {
    const chunk = new Uint8Array(Math.min(left, 65536));
    const count = await within(conn.read(chunk), "bytes or an end");
    if (count === null) break;
    left -= count;
    chunks.push(chunk.subarray(0, count));
  }
  return concat(chunks);
}

/** Like {@linkcode receive}, as text. */
export async function receiveText(
  conn: Deno.Conn,
  length?: number,
): Promise<string> {
  return decoder.decode(await receive(conn, length));
}
