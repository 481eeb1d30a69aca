import { assert, assertEquals, assertRejects } from "@std/assert";
import { libc } from "../../../lib/base/libc.ts";
import { NativeTls } from "../../../lib/tls/native_tls.ts";
import { makeSelfSigned } from "../../../lib/tls/self_signed.ts";
import { within } from "../../helpers/deadlines.ts";

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
