/** Ports that are used again, or by several listeners. */

import { assertEquals } from "@std/assert";
import { listener, sockpipe } from "../../helpers/program.ts";
import { closedPort, dial, receive, send } from "../../helpers/tcp.ts";

Deno.test("a listener restarts at once on the same port, though it had closed first", async () => {
  const port = closedPort();
  for (let round = 1; round <= 3; round++) {
    await using server = sockpipe(["--listen", `${port}`]);
    await server.listening();
    using conn = await dial(port);
    // Ours is the second end: TIME_WAIT stays at the listener's port (RFC 9293).
    assertEquals((await receive(conn)).length, 0);
    await send(conn, `round ${round}`);
    conn.closeWrite();
    assertEquals(await server.code(), 0);
    assertEquals(server.stdout.text(), `round ${round}`);
  }
});

Deno.test({
  name: "--reuse-port: two listeners share one port, and each gets its peer",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const { server: first, at } = await listener(["--reuse-port"]);
    await using _first = first;
    await using second = sockpipe(["--listen", at.address, "--reuse-port"]);
    assertEquals((await second.listening()).port, at.port);
    for (const text of ["one", "two"]) {
      // A peer that came to a listener which has its own already is refused.
      await using client = sockpipe(
        ["--connect", at.address, "--retry-delay", "20ms", "--message", text],
      );
      assertEquals(await client.code(), 0);
    }
    assertEquals([await first.code(), await second.code()], [0, 0]);
    assertEquals(
      [first.stdout.text(), second.stdout.text()].sort(),
      ["one", "two"],
    );
  },
});

Deno.test("--reuse-port does not let a listener in that has not asked for it", async () => {
  const { server, at } = await listener(["--reuse-port"]);
  await using _server = server;
  await using second = sockpipe(["--listen", at.address]);
  assertEquals(await second.code(), 4);
});
