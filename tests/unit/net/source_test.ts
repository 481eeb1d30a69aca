import { assertEquals, assertRejects } from "@std/assert";
import { parseSource } from "../../../lib/net/source_address.ts";
import { dialFrom } from "../../../lib/net/source.ts";
import { delay } from "@std/async/delay";
import { libc } from "../../../lib/base/libc.ts";

// Opened for all tests of this process; it is never closed.
libc();

Deno.test({
  name: "dialFrom() leaves nothing open, whenever it is aborted",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const dial = dialFrom(parseSource("127.0.0.7"));
    const target = { hostname: "127.0.0.1", port };
    const why = new Error("enough");
    const ask = (signal: AbortSignal) => dial({ ...target, signal });
    await assertRejects(() => ask(AbortSignal.abort(why)), Error, "enough");
    // The sanitizer of resources sees what is left.
    for (let turns = 0; turns < 8; turns++) {
      const controller = new AbortController();
      const dialling = ask(controller.signal);
      for (let turn = 0; turn < turns; turn++) await delay(0);
      controller.abort(why);
      const [result] = await Promise.allSettled([dialling]);
      if (result.status === "fulfilled") result.value.close();
      else assertEquals(result.reason, why);
    }
    using conn = await ask(new AbortController().signal);
    assertEquals(conn.remoteAddr, { transport: "tcp", ...target });
    assertEquals(
      "hostname" in conn.localAddr && conn.localAddr.hostname,
      "127.0.0.7",
    );
  },
});
