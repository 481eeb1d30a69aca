/** Several TCP clients of one listener. */

import type { Running } from "./process.ts";
import { dial, send } from "./tcp.ts";

/** Connects several clients. */
export async function dialAll(port: number, count: number): Promise<Conns> {
  const conns = new Conns();
  for (let i = 0; i < count; i++) conns.push(await dial(port));
  return conns;
}

/** Connections that are closed together. */
export class Conns extends Array<Deno.TcpConn> implements Disposable {
  [Symbol.dispose](): void {
    for (const conn of this) conn[Symbol.dispose]();
  }
}

/** Waits until the server has taken what each of these clients says. */
export async function seen(
  server: Running,
  conns: readonly Deno.Conn[],
): Promise<void> {
  for (const [i, conn] of conns.entries()) {
    await send(conn, `client ${i} is here\n`);
    await server.stdout.match(new RegExp(`client ${i} is here\n`));
  }
}

/** Connects, and leaves with a reset when its stdin ends. */
export const RESETTING = `import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()`;
