/**
 * Clients of TLS in a Worker, as those of one thread would be slower than some of
 * the listeners. It says "ready", is sent a {@linkcode HandshakeTask} each time
 * there is something to do, and answers when that is done; an error ends it.
 */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

/** What a Worker is to do. */
export interface HandshakeTask {
  /** On 127.0.0.1. */
  readonly port: number;
  /** The CA, in PEM, by which the listener's certificate is verified. */
  readonly authority: string;
  /** How many connections are made, verified and closed. */
  readonly connections: number;
  /** How many of them at a time. */
  readonly parallel: number;
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

/** Each for itself: nothing is resumed. */
async function shakeHands({ port, authority }: HandshakeTask): Promise<void> {
  using conn = await Deno.connectTls({
    hostname: "127.0.0.1",
    port,
    caCerts: [authority],
  });
  await conn.handshake();
}
