import { assert, assertEquals, assertRejects } from "@std/assert";
import { openDescriptors } from "../../../lib/base/descriptors.ts";
import { BrokenError } from "../../../lib/base/errors.ts";
import { libc } from "../../../lib/base/libc.ts";
import { Connection } from "../../../lib/net/connection.ts";
import { findSockets } from "../../../lib/net/socket_descriptors.ts";
import { Traffic } from "../../../lib/pipe/traffic.ts";
import { NativeTls } from "../../../lib/tls/native_tls.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { until, within } from "../../helpers/deadlines.ts";
import { c, unixTest } from "../../helpers/descriptors.ts";

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

unixTest(
  "connections that the peer has reset leave no descriptor when they are given up",
  async () => {
    const { cert, key } = await makeSelfSigned(["localhost"]);
    using listener = Deno.listenTls({ port: 0, cert, key });
    const count = () => [...openDescriptors(c())].length;
    const before = count();
    for (let round = 0; round < 10; round++) {
      const tcp = await Deno.connect({ port: listener.addr.port });
      const dialled = await Deno.startTls(tcp, {
        hostname: "localhost",
        caCerts: [cert],
      });
      const accepted = await listener.accept();
      await Promise.all([dialled.handshake(), accepted.handshake()]);
      const connection = new Connection(new NativeTls(dialled), {
        dataSize: undefined,
        traffic: new Traffic(),
      });
      const broken = assertRejects(() => connection.source.read(), BrokenError);
      findSockets([accepted]).get(accepted)?.reset();
      accepted.close();
      await broken;
      connection.abort();
    }
    await until(() => count() === before || undefined, "as many as before");
  },
);
