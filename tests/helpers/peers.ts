/** Peers that behave badly, as processes, and where processes listen. */

import { until } from "./deadlines.ts";
import { evaluate, type Running } from "./process.ts";

/**
 * Starts a peer that sends zeros, reads one byte and then does nothing. Killed,
 * it resets the connection if it has been sent more than that byte: a socket that
 * is closed with unread bytes is reset (RFC 2525, section 2.17). Not done in the
 * test itself since closing a connection in Deno ends its sending side first.
 *
 * @param options.dialing A port to connect to, instead of listening.
 */
export async function resettingPeer(
  options: { sends: number; dialing?: number },
): Promise<Running & { port: number }> {
  const peer = evaluate(
    `const [sends, dialing] = Deno.args.map(Number);
    const raw = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    console.log("port", raw.addr.port);
    const conn = dialing
      ? await Deno.connect({ hostname: "127.0.0.1", port: dialing })
      : await raw.accept();
    await new Blob([new Uint8Array(sends)]).stream().pipeTo(conn.writable, { preventClose: true });
    await conn.read(new Uint8Array(1));
    console.log("ready");
    setInterval(() => {}, 1000);`,
    [options.sends, options.dialing ?? 0],
  );
  const [, port] = await peer.stdout.match(/port (\d+)\n/);
  return Object.assign(peer, { port: Number(port) });
}

/**
 * Starts a listener that answers nothing: its queue is full, so that the kernel
 * drops every further SYN (listen(2)).
 */
export async function blackHole(): Promise<Running & { port: number }> {
  const hole = evaluate(
    `const raw = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = raw.addr;
    const full = () => new Promise((resolve) => setTimeout(resolve, 500, "full"));
    while (await Promise.race([Deno.connect({ port }), full()]) !== "full");
    console.log("full", port);
    setInterval(() => {}, 1000);`,
  );
  const [, port] = await hole.stdout.match(/full (\d+)\n/);
  return Object.assign(hole, { port: Number(port) });
}

/** The TCP port on which a process listens, whatever it says about it. */
export function listeningPort(process: Running): Promise<number> {
  return until(async () => {
    const inodes = await socketsOf(process.pid);
    for (const family of ["tcp", "tcp6"]) {
      const table = await Deno.readTextFile(`/proc/net/${family}`);
      for (const line of table.trim().split("\n")) {
        const [, local = "", , state, , , , , , inode = ""] = line.trim()
          .split(/ +/);
        if (state !== "0A" || !inodes.has(inode)) continue;
        return Number.parseInt(local.split(":")[1] ?? "", 16);
      }
    }
  }, "a listening port");
}

/** The inodes of the sockets that a process has; none when it has gone. */
async function socketsOf(pid: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  const folder = `/proc/${pid}/fd`;
  try {
    for await (const { name } of Deno.readDir(folder)) {
      const [, inode] =
        /^socket:\[(\d+)\]$/.exec(await Deno.readLink(`${folder}/${name}`)) ??
          [];
      if (inode !== undefined) inodes.add(inode);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return inodes;
}
