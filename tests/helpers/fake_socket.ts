/** A socket that is only said to be connected, and counts how often it was closed. */

import type { Socket } from "../../lib/net/socket.ts";

/** What {@linkcode fakeSocket} makes. */
export interface FakeSocket extends Socket {
  closed: number;
}

/** @param ports Those of 127.0.0.1 that it says to be connected from and to. */
export function fakeSocket(
  { local, remote }: { local: number; remote: number } = {
    local: 40_000,
    remote: 9,
  },
): FakeSocket {
  const at = (port: number) =>
    ({ transport: "tcp", hostname: "127.0.0.1", port }) as const;
  const close = () => void socket.closed++;
  const socket = {
    closed: 0,
    localAddr: at(local),
    remoteAddr: at(remote),
    read: () => Promise.resolve(null),
    write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
    closeWrite: () => Promise.resolve(),
    close,
    [Symbol.dispose]: close,
  };
  return socket;
}
