import { assertEquals } from "@std/assert";
import type { Socket } from "../../../lib/net/socket.ts";
import {
  findWindowsSockets,
  type Winsock,
} from "../../../lib/net/windows_sockets.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const LOCAL = { transport: "tcp", hostname: "192.0.2.1", port: 5000 } as const;
const REMOTE = { transport: "tcp", hostname: "2001:db8::7", port: 80 } as const;

const FLOW = [0, 0, 0, 0];
const IPV6 = [0x20, 1, 0x0d, 0xb8, ...new Array(11).fill(0), 7];

/** Some sockets by their handles, each with the ports of both sides, and what was done;
 * `free` are the numbers of the sockets that are opened. */
function fakeWinsock(
  sockets: Record<number, [number, number]>,
  free: bigint[] = [],
) {
  const done: string[] = [];
  const write = (address: Bytes, port: number | undefined, rest: number[]) => {
    if (port === undefined) return -1;
    const [family = 0, ...bytes] = rest;
    address.fill(0);
    address.set([family, 0, port >> 8, port & 255, ...bytes]);
    return 0;
  };
  const calls = {
    getsockname: (handle: bigint, address: Bytes) =>
      write(address, sockets[Number(handle)]?.[0], [2, 192, 0, 2, 1]),
    getpeername: (handle: bigint, address: Bytes) =>
      write(address, sockets[Number(handle)]?.[1], [23, ...FLOW, ...IPV6]),
    setsockopt: (
      handle: bigint,
      level: number,
      option: number,
      value: Bytes,
    ) => {
      const linger = new Uint16Array(value.buffer);
      done.push(`${handle}: ${level} ${option} ${linger.join(" ")}`);
      return 0;
    },
    closesocket: (handle: bigint) => {
      done.push(`${handle}: close`);
      return 0;
    },
    socket: () => free.shift() ?? 0xffff_ffff_ffff_ffffn,
    shutdown: (handle: bigint, how: number) => {
      done.push(`${handle}: shutdown ${how}`);
      return 0;
    },
  };
  return { calls: calls as unknown as Winsock, done };
}

const PLAIN: Socket = {
  localAddr: LOCAL,
  remoteAddr: REMOTE,
  read: () => Promise.resolve(null),
  write: () => Promise.resolve(0),
  closeWrite: () => Promise.resolve(),
  close() {},
  [Symbol.dispose]() {},
};

Deno.test("findWindowsSockets() finds a handle by both addresses", () => {
  const { calls, done } = fakeWinsock({
    8: [5000, 81],
    12: [5001, 80],
    400: [5000, 80],
  });
  const socket = findWindowsSockets([PLAIN], calls).get(PLAIN);
  socket?.resetOnClose();
  socket?.closeOnClose();
  socket?.forget();
  assertEquals(done, ["400: 65535 128 1 0", "400: 65535 128 0 0"]);
});

Deno.test("findWindowsSockets() does not find what is held, and what it may not ask", () => {
  const { calls } = fakeWinsock({ 400: [5000, 80] });
  const first = findWindowsSockets([PLAIN], calls);
  assertEquals(first.size, 1);
  assertEquals(findWindowsSockets([PLAIN], calls).size, 0);
  first.get(PLAIN)?.forget();
  assertEquals(findWindowsSockets([PLAIN], null).size, 0);
});

Deno.test("reset() closes the socket itself, and another takes its number", () => {
  const { calls, done } = fakeWinsock({ 404: [5000, 80] }, [
    20n,
    24n,
    404n,
    28n,
  ]);
  findWindowsSockets([PLAIN], calls).get(PLAIN)?.reset();
  const linger = "404: 65535 128 1 0";
  assertEquals(done, [linger, "404: close", "20: close", "24: close"]);
});

Deno.test("reset() ends where there is no socket left to take the number", () => {
  const { calls, done } = fakeWinsock({ 404: [5000, 80] }, [20n]);
  findWindowsSockets([PLAIN], calls).get(PLAIN)?.reset();
  assertEquals(done.slice(1), ["404: close", "20: close"]);
});

Deno.test("shutdownBoth() ends what waits, and has the close reset", () => {
  const { calls, done } = fakeWinsock({ 404: [5000, 80] });
  findWindowsSockets([PLAIN], calls).get(PLAIN)?.shutdownBoth();
  assertEquals(done, ["404: 65535 128 1 0", "404: shutdown 2"]);
});
