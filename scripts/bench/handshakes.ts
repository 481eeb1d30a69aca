/**
 * Clients of TLS in a Worker, as those of one thread would be slower than some of
 * the listeners. It says "ready", is sent a {@linkcode HandshakeTask} each time
 * there is something to do, and answers when that is done; an error ends it.
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

/** The means by which the clients know the listener, and it knows them. */
export interface HandshakeTrust {
  /** The name in the listener's certificate. */
  readonly hostname: string;
  /** The CA, in PEM, by which the listener's certificate is verified. */
  readonly authority: string;
  /** Sent first; empty where clients prove nothing. */
  readonly proof: Uint8Array;
}

/** A piece of work for a Worker. */
export interface HandshakeTask extends HandshakeTrust {
  /** The listener's port on 127.0.0.1. */
  readonly port: number;
  /** The number of connections that are made, verified and ended. */
  readonly connections: number;
  /** The number of them at a time. */
  readonly parallel: number;
  /** Whether both sides end each connection, or the client closes it at once. */
  readonly endsInOrder: boolean;
}

self.onmessage = async ({ data: task }: MessageEvent<HandshakeTask>) => {
  let left = task.connections;
  const client = async () => {
    while (left-- > 0) await shakeHands(task);
  };
  await Promise.all(Array.from({ length: task.parallel }, client));
  self.postMessage("done");
};
self.postMessage("ready");

/** Makes and ends one connection; no session is resumed. */
async function shakeHands(
  { hostname, authority, proof, port, endsInOrder }: HandshakeTask,
): Promise<void> {
  const tcp = await Deno.connect({ hostname: "127.0.0.1", port });
  const caCerts = [authority];
  using conn = await Deno.startTls(tcp, { hostname, caCerts });
  await conn.handshake();
  if (proof.length > 0) await conn.write(proof);
  if (!endsInOrder) return;
  await conn.closeWrite();
  while (await conn.read(new Uint8Array(1)) !== null);
}
