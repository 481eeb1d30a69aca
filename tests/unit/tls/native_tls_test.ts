import { assert, assertEquals, assertRejects } from "@std/assert";
import { BrokenError } from "../../../lib/base/errors.ts";
import { libc } from "../../../lib/base/libc.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { findSockets } from "../../../lib/net/socket_descriptors.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { NativeTls } from "../../../lib/tls/native_tls.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { c } from "../../helpers/descriptors.ts";

// What it opens stays open.
libc();

Deno.test({
  name: "abort() ends the connection of a mute client at once",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const { cert, key } = await makeSelfSigned(["localhost"]);
    using listener = Deno.listenTls({ port: 0, cert, key });
    assert(listener.addr.transport === "tcp");
    using mute = await Deno.connect({ port: listener.addr.port });
    const stream = new NativeTls(await listener.accept());
    const ended = assertRejects(() => stream.handshake());
    stream.abort();
    await ended;
    const end = mute.read(new Uint8Array(1)).catch(() => null);
    assertEquals(await within(end, "the end of the connection"), null);
  },
});

/** SOL_SOCKET and SO_COOKIE of Linux: a number that no other socket ever has. */
const [SOL_SOCKET, SO_COOKIE] = [1, 57];

/** The cookie of a socket; nothing when the descriptor is closed, or no socket. */
function cookieOf(fd: number): bigint | undefined {
  const cookie = new BigUint64Array(1);
  const bytes = new Uint8Array(cookie.buffer);
  const length = new Uint8Array(Uint32Array.of(bytes.length).buffer);
  const code = c().getsockopt(fd, SOL_SOCKET, SO_COOKIE, bytes, length);
  return code === 0 ? cookie[0] : undefined;
}

Deno.test({
  name:
    "connections that the peer has reset leave no descriptor when they are given up",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { cert, key } = await makeSelfSigned(["localhost"]);
    using listener = Deno.listenTls({ port: 0, cert, key });
    // Descriptors are of the whole process, in which other tests open theirs.
    const open = new Map<number, bigint>();
    for (let round = 0; round < 10; round++) {
      const tcp = await Deno.connect({ port: listener.addr.port });
      const dialled = await Deno.startTls(tcp, {
        hostname: "localhost",
        caCerts: [cert],
      });
      const accepted = await listener.accept();
      await Promise.all([dialled.handshake(), accepted.handshake()]);
      const stream = new NativeTls(dialled);
      const descriptor = findSockets([stream]).get(stream);
      descriptor?.forget();
      const cookie = cookieOf(descriptor?.fd ?? -1);
      assert(descriptor !== undefined && cookie !== undefined);
      open.set(descriptor.fd, cookie);
      const connection = new Connection(stream, {
        dataSize: undefined,
        traffic: new Traffic(),
      });
      const broken = assertRejects(() => connection.source.read(), BrokenError);
      findSockets([accepted]).get(accepted)?.reset();
      accepted.close();
      await broken;
      connection.abort();
    }
    const isClosed = () =>
      [...open].every(([fd, cookie]) => cookieOf(fd) !== cookie) || undefined;
    await until(isClosed, "the end of all sockets");
  },
});
